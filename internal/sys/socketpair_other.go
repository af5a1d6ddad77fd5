//go:build !linux

package sys

func Socketpair() ([2]int, error) { return [2]int{-1, -1}, ErrPlatform }
