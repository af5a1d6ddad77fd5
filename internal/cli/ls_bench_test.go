//go:build linux

package cli_test

import (
	"os/exec"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// BenchmarkLs is the whole command on a machine with 1,000 segments and 300
// processes more than it had.
func BenchmarkLs(b *testing.B) {
	if !shmtest.Isolated() {
		b.Skip("needs IPC and mount namespaces of its own")
	}
	path, err := exec.LookPath("shm")
	if err != nil {
		b.Fatal(err)
	}
	for range 1000 {
		segment(b, 4096, 0o600)
	}
	attached := segment(b, 4096, 0o600)
	for range 300 {
		a, err := sysv.Attach(attached, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { a.Detach() })
		cmd := exec.Command("sleep", "600")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	}
	for b.Loop() {
		if err := exec.Command(path, "ls").Run(); err != nil {
			b.Fatal(err)
		}
	}
}
