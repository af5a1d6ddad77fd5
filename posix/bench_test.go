package posix_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

// BenchmarkOpenMap opens, maps, unmaps and closes an object that exists. A C
// loop of the same calls runs in turns with it, a thousand rounds each; x-of-C
// compares the medians of these turns, so that what else the machine does hits
// both alike.
func BenchmarkOpenMap(b *testing.B) {
	for _, size := range []int{4096, 16 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			const turn = 1000
			name := "/" + shmtest.Name(b)
			o, err := posix.CreateSized(name, int64(size), 0o600, nil)
			check(b, err)
			check(b, o.Close())
			defer posix.Unlink(name, nil)
			p := shmtest.Exec(b, peer(b), "loop", name, fmt.Sprint(size))
			var here, inC []float64
			n, start := 0, time.Now()
			for b.Loop() {
				// Not by check, whose Helper costs as much as a system call.
				o, err := posix.Open(name, posix.O_RDWR, 0, nil)
				if err != nil {
					b.Fatal(err)
				}
				m, err := mapping.SharedFile(o.FD(), 0, size, rw, nil)
				if err != nil {
					b.Fatal(err)
				}
				if err := errors.Join(m.Unmap(), o.Close()); err != nil {
					b.Fatal(err)
				}
				if n++; n%turn == 0 {
					here = append(here, float64(time.Since(start).Nanoseconds())/turn)
					b.StopTimer()
					p.Send("turn")
					var ns float64
					if _, err := fmt.Sscan(p.Recv(), &ns); err != nil {
						b.Fatal(err)
					}
					inC = append(inC, ns)
					b.StartTimer()
					start = time.Now()
				}
			}
			p.Wait()
			if len(here) > 0 {
				b.ReportMetric(median(inC), "ns/op-in-C")
				b.ReportMetric(median(here)/median(inC), "x-of-C")
			}
		})
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// BenchmarkCreateSized is a whole life: reserved, named, removed.
func BenchmarkCreateSized(b *testing.B) {
	for _, size := range []int64{4096, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			name := "/" + shmtest.Name(b)
			b.SetBytes(size)
			for b.Loop() {
				o, err := posix.CreateSized(name, size, 0o600, nil)
				check(b, err)
				check(b, posix.Unlink(name, nil))
				check(b, o.Close())
			}
		})
	}
}
