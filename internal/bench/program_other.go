//go:build !linux

package bench

import "os/exec"

func killWhole(*exec.Cmd) {}

func owned(string, int) bool { return false }
