package shmtest

import (
	"os"
	"testing"
)

// User is an identity for Command.User.
type User struct {
	UID, GID int
}

// Other returns a user without privileges, 65534 (nobody), who owns nothing.
// It skips the test if this process is not root and so cannot become another.
func Other(t testing.TB) *User {
	t.Helper()
	NeedRoot(t)
	return &User{UID: 65534, GID: 65534}
}

// NeedRoot skips the test unless it runs as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if uid := os.Geteuid(); uid != 0 {
		t.Skipf("needs root: running as uid %d", uid)
	}
}
