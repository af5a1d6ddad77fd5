package mem

import (
	"errors"
	"strings"
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

func TestCheckType(t *testing.T) {
	type good struct {
		A uint32
		B [4]struct{ X, Y int16 }
		C float64
	}
	type bad struct {
		A uint32
		B [2]struct{ P *int32 }
	}
	if err := CheckType[good](); err != nil {
		t.Error(err)
	}
	if err := CheckType[[0]uint32](); err == nil {
		t.Error("a type without a size was accepted")
	}
	var te *TypeError
	if err := CheckType[bad](); !errors.As(err, &te) || !strings.Contains(err.Error(), "B[].P") {
		t.Errorf("got %v", err)
	}
	for name, err := range map[string]error{
		"int": CheckType[int](), "uint": CheckType[uint](), "uintptr": CheckType[uintptr](),
		"string": CheckType[string](), "slice": CheckType[[]byte](), "map": CheckType[map[int8]int8](),
		"chan": CheckType[chan bool](), "func": CheckType[func()](), "any": CheckType[any](),
		"pointer": CheckType[*byte](),
	} {
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
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

func TestGuardLetsOtherPanicsThrough(t *testing.T) {
	defer func() {
		if recover() != "mine" {
			t.Error("the panic was swallowed")
		}
	}()
	Heap(8).Guard(func() error { panic("mine") })
}
