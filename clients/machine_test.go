//go:build linux

package clients

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

// arm64Peer is the peer in C for arm64, and the emulator that runs it.
func arm64Peer(t testing.TB) (qemu, path string) {
	t.Helper()
	cc, err := exec.LookPath("aarch64-linux-gnu-gcc")
	if err != nil {
		t.Skip("needs a C compiler for arm64: aarch64-linux-gnu-gcc is not there")
	}
	if qemu, err = exec.LookPath("qemu-aarch64-static"); err != nil {
		t.Skip("needs qemu-aarch64-static")
	}
	return qemu, compile(t, cc, "peer.c", slices.Concat(strict, []string{"-O2", "-static"})...)
}

func python(t testing.TB, args ...string) *shmtest.Process {
	t.Helper()
	return shmtest.Exec(t, shmtest.Python(t), append([]string{"testdata/observer.py"}, args...)...)
}
