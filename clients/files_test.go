//go:build linux

package clients

import (
	"path/filepath"
	"testing"
)

func dirOf(name string) string { return "/dev/shm/" + name + ".topic" }

// members gives the files of a topic's subscribers.
func members(t testing.TB, name string) []string {
	t.Helper()
	found, err := filepath.Glob(dirOf(name) + "/r.*")
	if err != nil {
		t.Fatal(err)
	}
	return found
}
