//go:build linux

package sysv_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// attachC finds, attaches and detaches the segment with the key argv[1] as
// often as each line of standard input says, and tells how many nanoseconds
// that took.
const attachC = `
#include <stdio.h>
#include <stdlib.h>
#include <sys/shm.h>
#include <time.h>

int main(int argc, char **argv)
{
	key_t key = strtol(argv[1], NULL, 10);
	long n;

	while (scanf("%ld", &n) == 1) {
		struct timespec a, b;
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (long i = 0; i < n; i++) {
			void *p = shmat(shmget(key, 0, 0), NULL, 0);
			if (p == (void *)-1 || shmdt(p))
				return 3;
		}
		clock_gettime(CLOCK_MONOTONIC, &b);
		printf("%ld\n", (b.tv_sec - a.tv_sec) * 1000000000 + (b.tv_nsec - a.tv_nsec));
		fflush(stdout);
	}
	return 0;
}
`

// BenchmarkAttachDetach is shmget, shmat and shmdt of a segment that exists,
// in Go and in C. Both take turns, so that whatever else the machine does hits
// both; beside the time of its own each shows C's and the ratio Go/C.
func BenchmarkAttachDetach(b *testing.B) {
	program := shmtest.CompileC(b, attachC, "-O2")
	key := newKey(b)
	create(b, key, 4096, 0o600)
	inGo := func(n int) {
		for range n {
			id, err := sysv.Get(key, 0, 0)
			if err != nil {
				b.Fatal(err)
			}
			a, err := sysv.Attach(id, 0, 0)
			if err != nil {
				b.Fatal(err)
			}
			if err := a.Detach(); err != nil {
				b.Fatal(err)
			}
		}
	}
	c := shmtest.Exec(b, program, itoa(key))
	inC := func(n int) time.Duration {
		c.Send(strconv.Itoa(n))
		ns, err := strconv.ParseInt(c.Recv(), 10, 64)
		check(b, err)
		return time.Duration(ns)
	}
	turns := func(b *testing.B) (inGoTook, inCTook time.Duration) {
		const turn = 1000
		for left := b.N; left > 0; left -= turn {
			n := min(left, turn)
			start := time.Now()
			inGo(n)
			inGoTook += time.Since(start)
			inCTook += inC(n)
		}
		return inGoTook, inCTook
	}
	for _, language := range []string{"Go", "C"} {
		b.Run(language, func(b *testing.B) {
			b.ReportAllocs()
			g, c := turns(b)
			each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(b.N) }
			own := each(g)
			if language == "C" {
				own = each(c)
			}
			b.ReportMetric(own, "ns/op")
			b.ReportMetric(each(c), "C-ns/op")
			b.ReportMetric(each(g)/each(c), "Go/C")
		})
	}
	c.Wait()
}

// BenchmarkStat is IPC_STAT.
func BenchmarkStat(b *testing.B) {
	id := private(b, 4096, 0o600)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sysv.Stat(id); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList is the whole table with 200 segments, read from /proc and asked
// for one by one.
func BenchmarkList(b *testing.B) {
	for range 200 {
		private(b, 1, 0o600)
	}
	for name, list := range map[string]func() ([]sysv.Segment, error){"proc": sysv.List, "shmctl": sysv.ReadTable} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := list(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
