//go:build linux

package clients

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// What c/bench.c does, in Go.
func init() {
	shmtest.Handle("bench pub", func(c *shmtest.Child) {
		var size, slots int
		var count uint64
		if _, err := fmt.Sscan(c.Args[1]+" "+c.Args[2]+" "+c.Args[4], &size, &count, &slots); err != nil {
			c.Fatal(err)
		}
		p, err := topic.Create(c.Args[0], &topic.Options{Size: size, Slots: slots, Subscribers: 1, Held: 2, Policy: policyOf(c.Args[3])})
		c.Check(err)
		c.Send("created")
		for p.Stats().Subscribers == 0 {
			time.Sleep(time.Millisecond)
			c.Check(p.Poll())
		}
		c.Send("ready")
		c.Recv()
		begun := time.Now()
		for i := range count {
			l, err := p.Loan(context.Background(), size)
			c.Check(err)
			binary.LittleEndian.PutUint64(l.Bytes(), i)
			c.Check(l.Publish())
		}
		c.Send("%.0f a second", float64(count)/time.Since(begun).Seconds())
		c.Check(p.Close())
	})
	shmtest.Handle("bench sub", func(c *shmtest.Child) {
		s, err := topic.Subscribe(context.Background(), c.Args[0], &topic.SubscribeOptions{WaitAdmission: true})
		c.Check(err)
		c.Send("admitted")
		var taken, lost, sum uint64
		var begun time.Time
		for {
			m, err := s.Next(context.Background())
			if errors.Is(err, io.EOF) {
				break
			}
			c.Check(err)
			if taken++; taken == 1 {
				begun = time.Now()
			}
			sum += binary.LittleEndian.Uint64(m.Data)
			lost += m.Missed
			m.Release()
		}
		c.Send("%.0f a second, %d lost, %d", float64(taken)/time.Since(begun).Seconds(), lost, sum)
		c.Check(s.Close())
	})
}

// BenchmarkStream compares languages: one publisher, one subscriber, each in a
// process of its own, 64 bytes a sample. Machines change their speed within
// seconds, so all are measured in turns, and what is reported is the median of
// ratios to Go on both sides in the same turn.
func BenchmarkStream(b *testing.B) {
	ways := [][2]string{{"go", "go"}, {"go", "c"}, {"c", "go"}, {"c", "c"}}
	for _, policy := range []string{"block", "drop"} {
		b.Run(policy, func(b *testing.B) {
			ratios := map[[2]string][]float64{}
			var rates []float64
			for b.Loop() {
				var turn [4]float64
				for i, way := range ways {
					turn[i] = stream(b, way, policy)
				}
				rates = append(rates, turn[0])
				for i, way := range ways {
					ratios[way] = append(ratios[way], turn[i]/turn[0])
				}
			}
			b.ReportMetric(median(rates)/1e6, "M/s-go")
			for _, way := range ways[1:] {
				b.ReportMetric(median(ratios[way]), way[0]+">"+way[1]+"/go")
			}
		})
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// stream gives how many samples a second a publisher publishes: under block
// that is what its subscriber takes.
func stream(b *testing.B, way [2]string, policy string) (rate float64) {
	const count = 2_000_000
	name := shmtest.Name(b)
	run := func(language, verb string, args ...string) *shmtest.Process {
		if language == "go" {
			return shmtest.Start(b, "bench "+verb, args...)
		}
		path := compile(b, shmtest.CC(b), "../c/bench.c", slices.Concat(strict, []string{"-O2"})...)
		return shmtest.Exec(b, path, append([]string{verb}, args...)...)
	}
	pub := run(way[0], "pub", name, "64", fmt.Sprint(count), policy, "1024")
	pub.Expect("created")
	sub := run(way[1], "sub", name)
	pub.Expect("ready")
	sub.Expect("admitted")
	pub.Send("go")
	if _, err := fmt.Sscanf(pub.Recv(), "%f a second", &rate); err != nil {
		b.Fatal(err)
	}
	pub.Wait()
	sub.Recv()
	sub.Wait()
	if err := topic.Remove(name, nil); err != nil {
		b.Fatal(err)
	}
	return rate
}
