package shmnet

import (
	"bytes"
	"io"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// TestMemoryMade: what is shared is reserved to the last page, sealed for good,
// and has no name.
func TestMemoryMade(t *testing.T) {
	for _, size := range []int64{4096 + 2*16<<10, 1 << 20} {
		m, f, err := kernel{}.make("shmnet:test", size)
		must(t, err)
		st, err := sys.Fstat(f.FD())
		must(t, err)
		seals, err := f.Seals()
		must(t, err)
		if st.Size != size || st.Blocks*512 < size || st.Nlink != 0 || seals&needSeals != needSeals || seals&mayNotSeals != 0 {
			t.Errorf("%d bytes, %d of them reserved, %d names, seals %v", st.Size, st.Blocks*512, st.Nlink, seals)
		}
		m.release()
		must(t, f.Close())
	}
}

// TestAwake writes to, and reads from, a peer that never sleeps: no bell is
// rung, and nobody naps.
func TestAwake(t *testing.T) {
	both(t, nil, func(t *testing.T, a, b *Conn) {
		text := noise(5000)
		got := make([]byte, len(text))
		for range 5000 {
			for _, c := range [][2]*Conn{{a, b}, {b, a}} {
				_, err := c[0].Write(text)
				must(t, err)
				if _, err := io.ReadFull(c[1], got); err != nil || !bytes.Equal(got, text) {
					t.Fatalf("other bytes came, or %v", err)
				}
			}
		}
		for _, c := range []*Conn{a, b} {
			st := c.Stats()
			if st.Rings != 0 || st.Naps != 0 || st.Sent != 5000*5000 || st.Received != 5000*5000 || st.Plain {
				t.Errorf("%+v", st)
			}
		}
	})
}
