package wait

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
)

// bare is the least that two processes can do: they sleep on the very number
// that they hand to and fro, with no flag, no bound and no way out.
func bare(mine, theirs *object, rounds uint32, first bool) error {
	give := func(n uint32) {
		atomic.StoreUint32(mine.word, n)
		sys.FutexWake(mem.Addr(mine.word), math.MaxInt32)
	}
	take := func(n uint32) {
		for atomic.LoadUint32(theirs.word) != n {
			sys.FutexWait(mem.Addr(theirs.word), n-1, -1)
		}
	}
	for n := uint32(1); n <= rounds; n++ {
		if first {
			give(n)
			take(n)
		} else {
			take(n)
			give(n)
		}
	}
	return nil
}

func init() {
	shmtest.Handle("bare", func(c *shmtest.Child) {
		rounds, err := strconv.ParseUint(os.Args[1], 10, 32)
		c.Check(err)
		t := childT{c: c}
		mine := newObject(t, mapFile(t, c.File(0), 1, sys.PROT_READ|sys.PROT_WRITE))
		theirs := newObject(t, mapFile(t, c.File(0), 0, sys.PROT_READ|sys.PROT_WRITE))
		c.Send("ready")
		c.Check(bare(mine, theirs, uint32(rounds), false))
	})
}

// BenchmarkPingPong is a round trip between two processes.
func BenchmarkPingPong(b *testing.B) {
	b.Run("bare futex", func(b *testing.B) {
		f := memfd(b, 2)
		child := shmtest.Command{Handler: "bare", Args: []string{fmt.Sprint(b.N)}, ExtraFiles: []*os.File{f}}.Start(b)
		mine, theirs := mapObject(b, f, 0), mapObject(b, f, 1)
		child.Expect("ready")
		b.ResetTimer()
		bare(mine, theirs, uint32(b.N), true)
		b.StopTimer()
		child.Wait()
	})
	for _, c := range []struct {
		name string
		game game
	}{
		{"sleep", game{Strategy: Sleep}},
		{"sleep, fence-free", game{Strategy: Sleep, Free: true}},
		{"adaptive", game{Strategy: Adaptive}},
		{"adaptive, fence-free", game{Strategy: Adaptive, Free: true}},
		{"spin", game{Strategy: Spin}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.game.Rounds = uint64(b.N)
			_, st, _ := play(b, c.game, "")
			b.ReportMetric(float64(st.Sleeps)/float64(b.N), "sleeps/op")
		})
	}
}

// BenchmarkWake is what a publisher pays for each publication while nobody
// sleeps.
func BenchmarkWake(b *testing.B) {
	for _, free := range []bool{false, true} {
		b.Run(fmt.Sprintf("fence-free %v", free), func(b *testing.B) {
			o := mapObject(b, memfd(b, 1), 0)
			w := o.waker(b, free)
			n := uint64(0)
			for b.Loop() {
				n++
				o.publish(w, n)
			}
		})
	}
}

// BenchmarkWaitReady is a Wait that does not wait.
func BenchmarkWaitReady(b *testing.B) {
	o := mapObject(b, memfd(b, 1), 0)
	s := o.sleeper(b, Config{})
	ready := o.past(0)
	ctx := b.Context()
	for b.Loop() {
		s.Wait(ctx, ready)
	}
}
