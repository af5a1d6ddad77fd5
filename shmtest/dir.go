package shmtest

import (
	"os"
	"testing"
)

// Dir returns a new directory to be used as a shm directory: on the tmpfs of
// the shm mount where that can be written, or else t.TempDir. Like the mount
// it may be written by every user (mode 1777). It is removed with what is in
// it when the test is over.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(ShmMount, Name(t)+".dir")
	if err != nil {
		dir = t.TempDir()
	} else {
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Errorf("shmtest: %v", err)
			}
		})
	}
	// Not through Mkdir's mode, which the umask would change.
	if err := os.Chmod(dir, os.ModeSticky|0o777); err != nil {
		t.Fatalf("shmtest: %v", err)
	}
	return dir
}
