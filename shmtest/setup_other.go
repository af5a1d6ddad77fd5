//go:build !linux

package shmtest

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

func setUp(string) int {
	fmt.Fprintln(os.Stderr, "shmtest: only on Linux")
	return 2
}

func childAttr([]Cap) *syscall.SysProcAttr { return nil }
func loneAttr() *syscall.SysProcAttr       { return nil }
func inode(os.FileInfo) uint64             { return 0 }

const (
	sigStop = syscall.SIGTERM
	sigCont = syscall.SIGTERM
	sigQuit = syscall.SIGTERM
)

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
func stopped(int) (bool, error)      { return false, errors.ErrUnsupported }
