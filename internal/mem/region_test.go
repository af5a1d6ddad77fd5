package mem

import (
	"os"
	"testing"
)

func TestCheck(t *testing.T) {
	r := Heap(100)
	for _, c := range []struct {
		off         int64
		size, align uintptr
		ok          bool
	}{
		{0, 100, 1, true}, {0, 101, 1, false}, {100, 0, 1, true}, {101, 0, 1, false},
		{-1, 1, 1, false}, {96, 4, 4, true}, {97, 3, 1, true}, {97, 2, 2, false},
		{1 << 62, 1, 1, false}, {8, ^uintptr(0), 1, false}, {8, ^uintptr(0) - 7, 8, false},
		{64, 32, 64, true}, {32, 32, 64, false},
	} {
		if err := r.Check(c.off, c.size, c.align); (err == nil) != c.ok {
			t.Errorf("Check(%d, %d, %d) = %v", c.off, c.size, c.align, err)
		}
	}
	if err := (Region{}).Check(0, 0, 1); err != nil {
		t.Errorf("empty region: %v", err)
	}
}

func TestViews(t *testing.T) {
	r := Heap(64)
	p, err := Pointer[uint32](r, 4)
	if err != nil {
		t.Fatal(err)
	}
	*p = 0x01020304
	if b := r.Bytes()[4:8]; b[0] != 4 || b[3] != 1 {
		t.Errorf("bytes %x: not little-endian in place", b)
	}
	if _, err := Pointer[uint32](r, 6); err == nil {
		t.Error("unaligned pointer given")
	}
	if _, err := Pointer[uint64](r, 60); err == nil {
		t.Error("pointer past the end given")
	}
	s, err := Slice[uint16](r, 2, 31)
	if err != nil || len(s) != 31 {
		t.Fatal(err)
	}
	for _, n := range []int{-1, 32, 1 << 40, 1 << 62} {
		if _, err := Slice[uint16](r, 2, n); err == nil {
			t.Errorf("%d values given", n)
		}
	}
	if s, err := Slice[uint16](r, 64, 0); err != nil || len(s) != 0 {
		t.Errorf("empty slice at the end: %v", err)
	}
}

func TestSlice(t *testing.T) {
	r := Heap(100)
	part, err := r.Slice(10, 20)
	if err != nil || part.Len() != 20 || part.Addr() != r.Addr()+10 || cap(part.Bytes()) != 20 {
		t.Errorf("%d bytes at %#x, %v", part.Len(), part.Addr(), err)
	}
	for _, c := range []struct {
		off int64
		n   int
	}{{0, -1}, {-1, 1}, {81, 20}, {100, 1}, {1 << 62, 1}, {0, 1 << 62}} {
		if _, err := r.Slice(c.off, c.n); err == nil {
			t.Errorf("%d bytes at %d given", c.n, c.off)
		}
	}
}

func TestHeap(t *testing.T) {
	for n := range 200 {
		r := Heap(n)
		if r.Len() != n || cap(r.Bytes()) != n {
			t.Errorf("%d bytes of %d", r.Len(), n)
		}
		if n > 0 && r.Addr()%64 != 0 {
			t.Errorf("at %#x", r.Addr())
		}
	}
}

func TestContains(t *testing.T) {
	page := uintptr(os.Getpagesize())
	if (Region{}).Contains(0) {
		t.Error("an empty region contains something")
	}
	m := mapped(t, 2)
	r := Of(m.Bytes()[100 : page+1])
	for addr, want := range map[uintptr]bool{
		m.Addr() - 1: false, m.Addr(): true, m.Addr() + 100: true, m.Addr() + page: true,
		// The rest of the last page cannot be told from the region.
		m.Addr() + 2*page - 1: true, m.Addr() + 2*page: false,
	} {
		if got := r.Contains(addr); got != want {
			t.Errorf("%#x: %v", addr-m.Addr(), got)
		}
	}
}
