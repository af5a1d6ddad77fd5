package posix_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

// BenchmarkOpenMap opens, maps, unmaps and closes an object that exists. The
// same calls in a C loop run just before and just after; x-of-C is how many
// times as long it takes here as in the faster of the two.
func BenchmarkOpenMap(b *testing.B) {
	for _, size := range []int{4096, 16 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			name := "/" + shmtest.Name(b)
			o, err := posix.CreateSized(name, int64(size), 0o600, nil)
			check(b, err)
			check(b, o.Close())
			defer posix.Unlink(name, nil)
			program := peer(b)
			inC := func() float64 {
				var ns float64
				p := shmtest.Exec(b, program, "loop", name, fmt.Sprint(size), "100000")
				if _, err := fmt.Sscan(p.Recv(), &ns); err != nil {
					b.Fatal(err)
				}
				p.Wait()
				return ns
			}
			c := inC()
			start := time.Now()
			for b.Loop() {
				o, err := posix.Open(name, posix.O_RDWR, 0, nil)
				check(b, err)
				m, err := mapping.SharedFile(o.FD(), 0, size, rw, nil)
				check(b, err)
				check(b, m.Unmap())
				check(b, o.Close())
			}
			mine := float64(time.Since(start).Nanoseconds()) / float64(b.N)
			c = min(c, inC())
			b.ReportMetric(c, "ns/op-in-C")
			b.ReportMetric(mine/c, "x-of-C")
		})
	}
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
