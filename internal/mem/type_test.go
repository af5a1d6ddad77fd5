package mem

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

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

func TestCheckTypeConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if CheckType[[3]struct{ A uint8 }]() != nil || CheckType[[3]struct{ A int }]() == nil {
				t.Error("another answer")
			}
		})
	}
	wg.Wait()
}
