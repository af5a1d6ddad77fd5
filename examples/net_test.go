package examples

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

// serve starts a server of the examples, and gives the address where it
// listens. At the end of the test it is interrupted, and nothing must be left.
func serve(t *testing.T, name string) (address string, p *shmtest.Process) {
	t.Helper()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	address = filepath.Join(dir, "s")
	argv := []string{build(t, name), address}
	if emulator := os.Getenv("SHMTEST_EXEC"); emulator != "" {
		argv = append([]string{emulator}, argv...)
	}
	p = shmtest.Exec(t, argv[0], argv[1:]...)
	p.Expect("listening at " + address)
	return address, p
}

func stop(t *testing.T, address string, p *shmtest.Process) {
	t.Helper()
	p.Signal(syscall.SIGINT)
	if st := p.Exit(); !st.Success() {
		t.Errorf("after SIGINT: %v", st)
	}
	if _, err := os.Lstat(address); !os.IsNotExist(err) {
		t.Errorf("the socket file is still there: %v", err)
	}
}

func TestHTTP(t *testing.T) {
	address, p := serve(t, "http/server")
	out := run(t, build(t, "http/client"), "", address)
	expect(t, out, `(?m)^200 OK: hello from process \d+$`)
	expect(t, out, `(?m)^200 OK: sent 16777216 bytes, checksum 8d6ff48f; got 16777216 bytes, checksum 8d6ff48f$`)
	stop(t, address, p)
}

func TestNetRPC(t *testing.T) {
	address, p := serve(t, "netrpc/server")
	out := run(t, build(t, "netrpc/client"), "", address)
	expect(t, out, `(?m)^6 \* 7 = 42$`)
	expect(t, out, `(?m)^the sum of the first 1000 squares is 332833500$`)
	expect(t, out, `(?m)^1 / 0: divided by zero$`)
	expect(t, out, `(?m)^the server is process \d+$`)
	stop(t, address, p)
}
