package memfd_test

import (
	_ "embed"
	"fmt"
	"os"
	"testing"

	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmtest"
)

//go:embed testdata/peer.c
var peerSource string

// TestC hands memory to a program in C and takes some from it.
func TestC(t *testing.T) {
	if emulated {
		t.Skip("the C program would be this machine's, not the emulated one's")
	}
	peer := shmtest.CompileC(t, peerSource, "-Wall", "-Werror")
	for _, network := range []string{"unix", "unixpacket"} {
		t.Run("from-c/"+network, func(t *testing.T) {
			shmtest.CheckLeaks(t)
			a, b := connected(t, network)
			other := end(t, a)
			p := shmtest.Command{Path: peer, Args: []string{"send", fmt.Sprint(3 * page)}, ExtraFiles: []*os.File{other}}.Start(t)
			must(t, other.Close())
			const want = memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW | memfd.F_SEAL_SEAL
			f := file(t)(memfd.Receive(background, b, &memfd.Want{MinSize: int64(3 * page), MaxSize: int64(3 * page), Seals: want, Writable: true}))
			if f.Name() != "from C" || seals(t, f) != want {
				t.Errorf("name %q, seals %v", f.Name(), seals(t, f))
			}
			m := mapped(t)(mapShared(f, rw))
			if got := string(m.Bytes()[:13]); got != "hello from C\x00" {
				t.Errorf("bytes %q", got)
			}
			copy(m.Bytes(), "hello from Go\x00")
			p.Send("go")
			p.Expect("hello from Go")
			p.Wait()
		})
		t.Run("to-c/"+network, func(t *testing.T) {
			shmtest.CheckLeaks(t)
			a, b := connected(t, network)
			other := end(t, b)
			p := shmtest.Command{Path: peer, Args: []string{"receive"}, ExtraFiles: []*os.File{other}}.Start(t)
			must(t, other.Close())
			f := sized(t, int64(2*page), memfd.F_SEAL_SHRINK|memfd.F_SEAL_GROW)
			_, err := f.WriteAt([]byte("hello from Go"), 0)
			must(t, err)
			must(t, memfd.Send(background, a, f))
			// MFD_NOEXEC_SEAL adds F_SEAL_EXEC, 32.
			p.Expect(fmt.Sprintf("hello from Go, %d bytes, seals %d", 2*page, seals(t, f)))
			p.Wait()
			b2 := make([]byte, 12)
			if _, err := f.ReadAt(b2, 0); err != nil || string(b2) != "changed by C" {
				t.Errorf("bytes %q, %v", b2, err)
			}
		})
	}
}
