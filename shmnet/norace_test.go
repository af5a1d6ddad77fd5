//go:build !race

package shmnet

const raceEnabled = false
