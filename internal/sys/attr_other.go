//go:build !(linux && (amd64 || arm64 || loong64 || riscv64))

package sys

import "time"

func Birth(string, bool) (time.Time, error) { return time.Time{}, ErrPlatform }
func HasACL(string) bool                    { return false }
