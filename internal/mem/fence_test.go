package mem

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestCompilerKeepsOrder compiles testdata/order and looks for what must be
// there, in this order.
func TestCompilerKeepsOrder(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Log("no go command here")
		return
	}
	const (
		x86Still = `MOVL\t.*mem\.still\+128\(SB\), `
		x86Full  = `XCHGL\t[A-Z0-9]+, .*\bown\+`
		armStore = `STLR\t`
	)
	store := func(n string) string { return `MOV[QD]\t.*\$` + n + `\b` }
	for _, arch := range []struct {
		name string
		want map[string][]string
	}{
		{"amd64", map[string][]string{
			"Stores": {
				store("257"), x86Still, store("258"), store("259"), x86Still, store("260"), x86Still,
				x86Still, store("261"), x86Still, x86Full, store("262"), `CALL\t.*mem\.StoreFenceNT\(SB\)`, store("263"),
			},
			"Loads": {`MOVQ\t\(AX\)`, x86Still, `MOVQ\t\(AX\)`, x86Full, `MOVQ\t\(AX\)`, `MOVQ\t\(AX\)`},
			"Zeros": {x86Still, `MOVQ\t\$0, \(AX\)`, x86Still, `MOVQ\t\$0, 8\(AX\)`},
		}},
		{"arm64", map[string][]string{
			"Stores": {
				store("257"), `CALL\t.*mem\.StoreFence\(SB\)`, store("258"), store("259"), store("260"), armStore, store("261"), armStore,
				`CALL\t.*mem\.FullFence\(SB\)`, store("262"), `CALL\t.*mem\.StoreFenceNT\(SB\)`, store("263"),
			},
			"Loads": {`MOVD\t\(R0\)`, `CALL\t.*mem\.LoadFence\(SB\)`, `MOVD\t\(R[0-9]+\)`, `CALL\t.*mem\.FullFence\(SB\)`, `MOVD\t\(R[0-9]+\)`, `LDAR\t\(R[0-9]+\)`},
			"Zeros": {`STLR\tZR, \(R0\)`, `MOVD\tZR, 8\(R0\)`},
		}},
	} {
		t.Run(arch.name, func(t *testing.T) {
			if arch.name != runtime.GOARCH && testing.Short() {
				return // another architecture's standard library takes a while
			}
			cmd := exec.Command("go", "build", "-gcflags=-S", "./testdata/order")
			cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch.name, "CGO_ENABLED=0", "GOFLAGS=")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for name, want := range arch.want {
				_, text, ok := strings.Cut(string(out), "order."+name+" STEXT")
				if !ok {
					t.Fatalf("no function %s in\n%s", name, out)
				}
				text, _, _ = strings.Cut(text, " STEXT")
				at := 0
				for _, w := range want {
					m := regexp.MustCompile(w).FindStringIndex(text[at:])
					if m == nil {
						t.Fatalf("%s: nothing like %q after byte %d of\n%s", name, w, at, text)
					}
					at += m[1]
				}
			}
		})
	}
}

// meeting lets two threads go on together.
type meeting struct {
	turn [2]atomic.Uint64
	over atomic.Bool
}

// meet waits for the other one, and is false when that one has left for good.
func (m *meeting) meet(me int) bool {
	n := m.turn[me].Add(1)
	for spins := 0; m.turn[1-me].Load() < n; spins++ {
		if m.over.Load() {
			return false
		}
		if spins > 10_000 {
			runtime.Gosched()
		}
	}
	return true
}

// storeBuffering lets two threads run rounds of
//
//	x = 1; fence; a = y   ||   y = 1; fence; b = x
//
// until a = b = 0 is seen, which no order of the four steps gives, or limit
// has passed.
func storeBuffering(fence func(), limit time.Duration) (seen bool, rounds int) {
	type cell struct {
		x uint64
		_ [120]byte
		y uint64
		_ [120]byte
		a uint64
		_ [120]byte
		b uint64
		_ [120]byte
	}
	cells := make([]cell, 500)
	var m meeting
	run := func(mine, other, saw func(*cell) *uint64) {
		for range rand.IntN(300) {
			LoadFence() // so that now the one is ahead and now the other
		}
		for i := range cells {
			c := &cells[i]
			StoreRelease64(mine(c), 1)
			fence()
			*saw(c) = LoadAcquire64(other(c))
		}
	}
	x, y := func(c *cell) *uint64 { return &c.x }, func(c *cell) *uint64 { return &c.y }
	a, b := func(c *cell) *uint64 { return &c.a }, func(c *cell) *uint64 { return &c.b }
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread()
		for m.meet(1) {
			run(y, x, b)
			m.meet(1)
		}
	})
	for end := time.Now().Add(limit); !seen && time.Now().Before(end); rounds += len(cells) {
		clear(cells)
		m.meet(0)
		run(x, y, a)
		m.meet(0)
		for i := range cells {
			seen = seen || cells[i].a == 0 && cells[i].b == 0
		}
	}
	m.over.Store(true)
	wg.Wait()
	return seen, rounds
}

// TestStoreBuffering shows that FullFence is one: each of two threads stores
// a word and then looks at the other's, and one at least sees the other.
func TestStoreBuffering(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Log("two threads do not run at once with GOMAXPROCS 1")
		return
	}
	t.Run("without a fence", func(t *testing.T) {
		if raceEnabled || runtime.GOARCH != "amd64" {
			return // a release store is a fence here, or is ordered before the acquire load
		}
		seen, rounds := storeBuffering(StoreFence, 20*time.Second)
		if !seen {
			t.Logf("not seen in %d rounds: the machine gives us no two cores at once, so that the test with a fence shows nothing", rounds)
			return
		}
		t.Logf("seen within %d rounds", rounds)
	})
	t.Run("with a fence", func(t *testing.T) {
		limit := 2 * time.Second
		if testing.Short() {
			limit = 200 * time.Millisecond
		}
		seen, rounds := storeBuffering(FullFence, limit)
		if seen {
			t.Errorf("both saw the old value, within %d rounds", rounds)
		}
		t.Logf("%d rounds", rounds)
	})
}

// TestStampedCopies is the shape of a slot: a writer says busy, writes, says
// done; a reader copies between two looks at the stamp. No copy between equal
// stamps may be mixed.
func TestStampedCopies(t *testing.T) {
	if raceEnabled {
		return // readers copy what is being written, on purpose, and the race detector reports that
	}
	var slot struct {
		stamp   uint64
		_       [120]byte
		payload [64]uint64
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer stop.Store(true)
		words := make([]uint64, len(slot.payload))
		n := uint64(200_000)
		if testing.Short() {
			n = 20_000
		}
		for p := uint64(1); p <= n; p++ {
			StoreRelease64(&slot.stamp, p<<1|1)
			StoreFence()
			for i := range words {
				words[i] = p
			}
			copy(slot.payload[:], words)
			StoreRelease64(&slot.stamp, p<<1)
			for range rand.IntN(400) {
				LoadFence() // so that some copies are whole
			}
		}
	})
	taken, busy := 0, 0
	for !stop.Load() {
		before := LoadAcquire64(&slot.stamp)
		got := slot.payload
		LoadFence()
		if before&1 != 0 || before == 0 || LoadAcquire64(&slot.stamp) != before {
			busy++
			continue
		}
		taken++
		for i, w := range got {
			if w != before>>1 {
				t.Fatalf("word %d of sample %d belongs to sample %d", i, before>>1, w)
			}
		}
	}
	wg.Wait()
	t.Logf("%d copies taken, %d overwritten", taken, busy)
}

func TestFenceValues(t *testing.T) {
	var w [3]uint32
	StoreRelease32(&w[1], 1<<31|5)
	if w != [3]uint32{0, 1<<31 | 5, 0} || LoadAcquire32(&w[1]) != w[1] {
		t.Errorf("words %x", w)
	}
	var q [3]uint64
	StoreRelease64(&q[1], 1<<63|5)
	if q != [3]uint64{0, 1<<63 | 5, 0} || LoadAcquire64(&q[1]) != q[1] {
		t.Errorf("words %x", q)
	}
	FullFence()
	StoreFence()
	StoreFenceNT()
	LoadFence()
}

func BenchmarkFence(b *testing.B) {
	var w struct {
		_ [128]byte
		p uint64
		_ [128]byte
	}
	for _, c := range []struct {
		name string
		op   func(n int)
	}{
		{"plain store", func(n int) {
			for i := range n {
				w.p = uint64(i)
			}
		}},
		{"StoreRelease64", func(n int) {
			for i := range n {
				StoreRelease64(&w.p, uint64(i))
			}
		}},
		{"atomic.StoreUint64", func(n int) {
			for i := range n {
				atomic.StoreUint64(&w.p, uint64(i))
			}
		}},
		{"store, FullFence", func(n int) {
			for i := range n {
				StoreRelease64(&w.p, uint64(i))
				FullFence()
			}
		}},
		{"store, StoreFence", func(n int) {
			for i := range n {
				StoreRelease64(&w.p, uint64(i))
				StoreFence()
			}
		}},
		{"store, StoreFenceNT", func(n int) {
			for i := range n {
				StoreRelease64(&w.p, uint64(i))
				StoreFenceNT()
			}
		}},
		{"LoadAcquire64, LoadFence", func(n int) {
			for range n {
				LoadAcquire64(&w.p)
				LoadFence()
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) { c.op(b.N) })
	}
}

func BenchmarkPause(b *testing.B) {
	for range b.N {
		Pause()
	}
}
