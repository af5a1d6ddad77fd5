package order

import (
	"fmt"

	"github.com/seed-298b2b26/shm/shmtest/explore"
)

// blocking is block with one subscriber: section 6.2, with step 5 of section 7
// and section 8. Either side sleeps without a bound. The subscriber is admitted
// from the beginning, takes every sample, and holds one at a time.
type blocking struct {
	sleeping // of the subscriber
	slots    uint64

	stamp  []*explore.Word
	data   [][2]*explore.Word
	cursor *explore.Word
	pin    *explore.Word
	want   *explore.Word
}

func (b *blocking) system() *explore.System {
	sys := &explore.System{}
	b.head, b.wake, b.flag = sys.Word("head", 0), sys.Word("wake", 0), sys.Word("sleepers", 0)
	for p := range b.slots {
		b.stamp = append(b.stamp, sys.Word(fmt.Sprintf("stamp[%d]", p), 0).Show(showStamp))
		b.data = append(b.data, [2]*explore.Word{
			sys.Word(fmt.Sprintf("data[%d].0", p), 100), sys.Word(fmt.Sprintf("data[%d].1", p), 100),
		})
	}
	b.cursor, b.pin, b.want = sys.Word("cursor", 0), sys.Word("pin", 0), sys.Word("want", 0)
	explore.Rounds(sys, "publisher", blocker{}, b.publish)
	explore.Rounds(sys, "subscriber", taker{}, b.take)
	return sys
}

type blocker struct {
	next, cursor, pin uint64
	waits             bool // want is not 0
}

// publish waits for room once, or publishes one sample.
func (b *blocking) publish(t *explore.Thread, p *blocker) bool {
	n := p.next
	if n == b.samples {
		return false
	}
	// The first number from n on whose slot no pin blocks; more than one
	// pin there is not.
	q := n
	if p.pin != 0 && (p.pin-1)%b.slots == n%b.slots {
		q++
	}
	if need := min(q-min(q, b.slots-1), n); p.cursor < need {
		if b.look(t, p, n); p.cursor < need {
			p.waits = true
			var c uint64
			if b.is("cursor loaded, then want") {
				c = t.LoadAcquire64(b.cursor)
			}
			t.Say("SYNC POINT: want")
			t.StoreRelease64(b.want, 1+min(need+b.slots/4, n))
			if !b.is("no full fence after want") {
				t.Say("SYNC POINT: want")
				t.FullFence()
			}
			if b.free && !b.is("no membarrier after want") {
				t.Say("SYNC POINT: want")
				t.Membarrier()
			}
			if !b.is("cursor loaded, then want") {
				t.Say("SYNC POINT: want")
				c = b.acquire(t, "cursor loaded plainly after want", b.cursor)
			}
			if c < need {
				t.FutexWait(b.cursor, c)
			}
		}
		return true
	}
	if p.waits {
		p.waits = false
		t.StoreRelease64(b.want, 0)
	}
	s := n % b.slots
	p.next++
	t.StoreRelease64(b.stamp[s], n<<2|busy)
	t.StoreFence()
	if p.pin != 0 && (p.pin-1)%b.slots == s {
		t.FullFence()
		b.look(t, p, n)
		if p.pin != 0 && (p.pin-1)%b.slots == s {
			t.StoreRelease64(b.stamp[s], n<<2|hole)
			return true
		}
	}
	t.Store64(b.data[s][0], n)
	t.Store64(b.data[s][1], n)
	b.release(t, "sample's stamp stored plainly", b.stamp[s], n<<2|sample)
	b.release(t, "head stored plainly", b.head, n+1)
	b.ring(t)
	return true
}

// look is section 6.1, for the one subscriber.
func (b *blocking) look(t *explore.Thread, p *blocker, shown uint64) {
	before := p.cursor
	p.cursor = max(p.cursor, min(b.acquire(t, "look loads the cursor plainly", b.cursor), shown))
	if v := t.LoadAcquire64(b.pin); v != p.pin {
		if v != 0 && (v-1 < before || v-1 >= shown) {
			v = 0
		}
		p.pin = v
	}
}

type taker struct{ at, head uint64 }

// take takes one sample, or sleeps.
func (b *blocking) take(t *explore.Thread, l *taker) bool {
	c := l.at
	if c == b.samples {
		return false
	}
	if c >= l.head {
		b.sleep(t, &l.head)
		return true
	}
	s := c % b.slots
	t.StoreRelease64(b.pin, 1+c)
	t.FullFence()
	stamp := t.LoadAcquire64(b.stamp[s])
	if stamp == c<<2|sample {
		v0, v1 := t.Load64(b.data[s][0]), t.Load64(b.data[s][1])
		t.Assert(v0 == c && v1 == c, "it holds sample %d, whose words are of %d and %d", c, v0, v1)
	} else {
		t.Assert(stamp == c<<2|hole, "sample %d is not there but %s", c, showStamp(stamp))
	}
	was := l.at
	l.at = c + 1
	var w uint64
	if b.is("want loaded, then cursor") {
		w = t.LoadAcquire64(b.want)
	}
	t.Say("SYNC POINT: want")
	t.StoreRelease64(b.cursor, c+1)
	if !b.free && !b.is("no full fence after the cursor") {
		t.Say("SYNC POINT: want")
		t.FullFence()
	}
	if !b.is("want loaded, then cursor") {
		t.Say("SYNC POINT: want")
		w = t.LoadAcquire64(b.want)
	}
	if w != 0 && was < w-1 && w-1 <= c+1 {
		t.FutexWake(b.cursor)
	}
	t.StoreRelease64(b.pin, 0)
	return true
}
