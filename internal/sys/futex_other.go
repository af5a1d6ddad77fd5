//go:build !(linux && (amd64 || arm64 || loong64 || riscv64))

package sys

import "time"

func FutexWait(uintptr, uint32, time.Duration) error { return ErrPlatform }
func FutexWake(uintptr, int) (int, error)            { return 0, ErrPlatform }
func FutexWakePrivate(*uint32, int) (int, error)     { return 0, ErrPlatform }
func HasFutexWaitv() bool                            { return false }
func Membarrier(int) (int, error)                    { return 0, ErrPlatform }
func Yield()                                         {}

func FutexWaitv(uintptr, uint32, *uint32, uint32, time.Duration) error { return ErrPlatform }
