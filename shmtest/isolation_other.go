//go:build !linux

package shmtest

import "errors"

func isolate() error { return errors.ErrUnsupported }
