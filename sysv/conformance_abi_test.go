//go:build linux

package sysv_test

import (
	"encoding/binary"
	"os"
	"reflect"
	"runtime"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/sysv"
)

// TestConformanceABI is about the calls' numbers and layouts. The kernel's
// answers go to a segment, whose bytes are then looked at.
func TestConformanceABI(t *testing.T) {
	const untouched = 0xa5
	buffer := attach(t, private(t, int64(page), 0o600), 0, 0)
	clear := func() {
		for i := range buffer.Bytes() {
			buffer.Bytes()[i] = untouched
		}
	}
	le := binary.LittleEndian

	t.Run("SV-145", func(t *testing.T) {
		type numbers struct{ get, at, ctl, dt uintptr }
		n, ok := map[string]numbers{"amd64": {29, 30, 31, 67}, "arm64": {194, 196, 195, 197}}[runtime.GOARCH]
		if !ok {
			t.Skipf("needs amd64 or arm64: this is %s", runtime.GOARCH)
		}
		call := func(number, a, b, c uintptr) uintptr {
			t.Helper()
			r, _, errno := syscall.Syscall(number, a, b, c)
			if errno != 0 {
				t.Fatalf("system call %d: %v", number, errno)
			}
			return r
		}
		key := newKey(t)
		const size = 12345
		id := call(n.get, uintptr(key), size, sysv.IPC_CREAT|sysv.IPC_EXCL|0o642)
		t.Cleanup(func() { sysv.Remove(sysv.ID(id)) })
		addr := call(n.at, id, 0, 0)
		clear()
		call(n.ctl, id, sys.IPC_STAT, buffer.Addr()) // without IPC_64

		// Offsets of struct shmid_ds, and where it ends.
		b := buffer.Bytes()
		uid, gid, pid := uint64(os.Geteuid()), uint64(os.Getegid()), uint64(os.Getpid())
		for _, f := range []struct {
			name         string
			offset, size int
			want         uint64
		}{
			{"key", 0, 4, uint64(uint32(key))}, {"uid", 4, 4, uid}, {"gid", 8, 4, gid}, {"cuid", 12, 4, uid}, {"cgid", 16, 4, gid},
			{"segsz", 48, 8, size}, {"dtime", 64, 8, 0}, {"cpid", 80, 4, pid}, {"lpid", 84, 4, pid}, {"nattch", 88, 8, 1},
			{"mode", 20, 2, 0o642}, // see SV-146 about the other two
		} {
			got := uint64(le.Uint32(b[f.offset:]))
			switch f.size {
			case 2:
				got = uint64(le.Uint16(b[f.offset:]))
			case 8:
				got = le.Uint64(b[f.offset:])
			}
			if got != f.want {
				t.Errorf("%s at %d is %d, want %d", f.name, f.offset, got, f.want)
			}
		}
		if s := stat(t, sysv.ID(id)); s.AttachTime.Unix() != int64(le.Uint64(b[56:])) || s.ChangeTime.Unix() != int64(le.Uint64(b[72:])) {
			t.Errorf("atime and ctime are %d and %d, want %v and %v", le.Uint64(b[56:]), le.Uint64(b[72:]), s.AttachTime, s.ChangeTime)
		}
		wrote := func(cmd string, size int) {
			t.Helper()
			for i := size; i < page; i++ {
				if b[i] != untouched {
					t.Fatalf("%s wrote byte %d, past its %d", cmd, i, size)
				}
			}
			if b[size-1] == untouched {
				t.Errorf("%s did not write byte %d, its last", cmd, size-1)
			}
		}
		if !emulated() { // where the emulator writes them
			wrote("IPC_STAT", 112)
			clear()
			call(n.ctl, 0, sys.IPC_INFO, buffer.Addr())
			wrote("IPC_INFO", 72)
			clear()
			call(n.ctl, 0, sys.SHM_INFO, buffer.Addr())
			wrote("SHM_INFO", 48)
			// IPC_64 is no part of a command here.
			_, _, errno := syscall.Syscall(n.ctl, id, sys.IPC_STAT|0x100, buffer.Addr())
			if errno != syscall.EINVAL {
				t.Errorf("IPC_STAT|IPC_64: %v, want EINVAL", errno)
			}
		}
		call(n.dt, addr, 0, 0)
		wantNattch(t, sysv.ID(id), 0)
	})

	t.Run("SV-146", func(t *testing.T) {
		needKernel(t, "the emulator writes two bytes")
		mode, _ := reflect.TypeFor[sys.IpcPerm]().FieldByName("Mode")
		if mode.Offset != 20 || mode.Type.Size() != 4 {
			t.Errorf("our mode has %d bytes at %d, want 4 at 20", mode.Type.Size(), mode.Offset)
		}
		id := private(t, int64(page), 0o604)
		attach(t, id, 0, 0)
		check(t, sysv.Lock(id))
		check(t, sysv.Remove(id))
		clear()
		_, err := sys.Shmctl(int(id), sys.IPC_STAT, buffer.Addr())
		check(t, err)
		if got := le.Uint32(buffer.Bytes()[20:]); got != 0o3604 {
			t.Errorf("the four bytes of mode are %#o, want 03604", got)
		}
		check(t, sysv.Unlock(id))
	})
}
