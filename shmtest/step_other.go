//go:build !linux

package shmtest

import "errors"

func stopHere() {}

func inodeOf(string) (string, error) { return "", errors.ErrUnsupported }
