package shm_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm"
)

// inTurns measures several functions in turns, calls at a time, so that
// whatever else the machine does meets all alike, and gives the median time
// of one call of each in nanoseconds.
func inTurns(b *testing.B, calls int, fs ...func()) []float64 {
	samples := make([][]float64, len(fs))
	for b.Loop() {
		for i, f := range fs {
			begin := time.Now()
			for range calls {
				f()
			}
			samples[i] = append(samples[i], float64(time.Since(begin))/float64(calls))
		}
	}
	medians := make([]float64, len(fs))
	for i, s := range samples {
		slices.Sort(s)
		medians[i] = s[len(s)/2]
	}
	return medians
}

// BenchmarkGuard compares accesses with the fault guard and the gate with
// plain ones to the same memory: how many nanoseconds a small one is longer
// (over-ns), and which part of the throughput a large one has (of-plain).
func BenchmarkGuard(b *testing.B) {
	for _, size := range []struct {
		name     string
		n, calls int
	}{{"64B", 64, 1000}, {"4KiB", 4096, 300}, {"1MiB", 1 << 20, 1}} {
		s := create(b, newAddress(b, "posix"), 1<<20, nil)
		raw, p := s.Bytes()[:size.n], make([]byte, size.n)
		compare := func(name string, plain, guarded func()) {
			b.Run(name+"/"+size.name, func(b *testing.B) {
				m := inTurns(b, size.calls, plain, guarded)
				b.ReportMetric(m[1], "ns/op")
				b.ReportMetric(m[0], "plain-ns")
				b.ReportMetric(m[1]-m[0], "over-ns")
				b.ReportMetric(m[0]/m[1], "of-plain")
			})
		}
		compare("ReadAt", func() { copy(p, raw) }, func() { s.ReadAt(p, 0) })
		compare("WriteAt", func() { copy(raw, p) }, func() { s.WriteAt(p, 0) })
		compare("View", func() { copy(p, raw) }, func() {
			s.View(func(m []byte) error { copy(p, m); return nil })
		})
	}
	s := create(b, newAddress(b, "posix"), 4096, nil)
	v, err := shm.At[[8]uint64](s, 0)
	want(b, err)
	word, err := shm.Atomic[atomic.Uint64](s, 64)
	want(b, err)
	var value [8]uint64
	b.Run("Typed/64B", func(b *testing.B) {
		m := inTurns(b, 1000,
			func() { value = *v.Pointer() },
			func() { value, _ = v.Load() },
			func() { v.Store(value) },
			func() { word.Add(1) })
		b.ReportMetric(m[0], "plain-ns")
		b.ReportMetric(m[1], "load-ns")
		b.ReportMetric(m[2], "store-ns")
		b.ReportMetric(m[3], "atomic-add-ns")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkOpen opens and closes memory that exists.
func BenchmarkOpen(b *testing.B) {
	for _, kind := range []string{"posix", "sysv", "private", "memfd"} {
		b.Run(kind, func(b *testing.B) {
			address := create(b, newAddress(b, kind), 4096, nil).Address()
			b.ReportAllocs()
			for b.Loop() {
				s, err := shm.Open(address, nil)
				if err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}

// BenchmarkCreate creates, removes and closes memory, below and above the
// size from which the memory limits are read before.
func BenchmarkCreate(b *testing.B) {
	for _, kind := range []string{"posix", "sysv", "private", "memfd"} {
		for _, size := range []struct {
			name string
			n    int64
		}{{"4KiB", 4096}, {"1MiB", 1 << 20}} {
			b.Run(kind+"/"+size.name, func(b *testing.B) {
				address := newAddress(b, kind)
				b.ReportAllocs()
				for b.Loop() {
					s, err := shm.Create(address, size.n, nil)
					if err != nil {
						b.Fatal(err)
					}
					s.Remove()
					s.Close()
				}
			})
		}
	}
}
