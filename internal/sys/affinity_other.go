//go:build !linux

package sys

import (
	"time"
)

func GetAffinity(tid int) ([]int, error) { return nil, ErrPlatform }
func SetAffinity(tid, cpu int) error     { return ErrPlatform }
func ThreadCPU() (time.Duration, error)  { return 0, ErrPlatform }
