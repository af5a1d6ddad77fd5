//go:build !linux

package sys

import (
	"syscall"
	"time"
)

func GetAffinity(tid int) ([]int, error) { return nil, syscall.ENOSYS }
func SetAffinity(tid, cpu int) error     { return syscall.ENOSYS }
func ThreadCPU() (time.Duration, error)  { return 0, syscall.ENOSYS }
