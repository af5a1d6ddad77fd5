package shmnet

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// ends are both ends of one direction in the heap.
type ends struct {
	s      sender
	r      receiver
	region mem.Region
}

func newEnds(t testing.TB, size int64) *ends {
	t.Helper()
	sz := sizes{size, size}
	e := &ends{region: mem.Heap(int(sz.total()))}
	l, err := linesOf(e.region, 0)
	must(t, err)
	e.s, e.r = newSender(l, sz.ring(e.region, 0)), newReceiver(l, sz.ring(e.region, 0))
	e.s.grow.most = 1 << 20
	return e
}

// offer carries an offer over, as the socket would.
func (e *ends) offer(size int64, accept bool) {
	m := newMemory(mem.Heap(int(size)), 2, nil)
	e.s.offered(m)
	if !accept {
		m = nil
	}
	e.r.answer(m)
}

// TestModel sends and takes at random, through rings that grow and shrink, and
// compares with a buffer.
func TestModel(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		e := newEnds(t, ringLeast)
		var model bytes.Buffer
		next := byte(0)
		sent, taken := 0, 0
		for range 3000 {
			switch rnd.IntN(12) {
			case 0, 1, 2, 3: // send
				must(t, e.s.settle())
				must(t, e.s.refresh())
				p := make([]byte, rnd.IntN(6000))
				for i := range p {
					p[i] = next
					next++
				}
				free := e.s.free()
				n := e.s.put(p)
				if want := min(uint64(len(p)), free, publishMost); uint64(n) != want {
					t.Fatalf("put took %d of %d, %d were free", n, len(p), free)
				}
				next -= byte(len(p) - n)
				model.Write(p[:n])
				e.s.publish()
				sent += n
			case 4: // in place
				must(t, e.s.refresh())
				b := e.s.space()
				b = b[:min(len(b), rnd.IntN(100))]
				for i := range b {
					b[i] = next
					next++
				}
				model.Write(b)
				e.s.tail += uint64(len(b))
				e.s.publish()
				sent += len(b)
			case 5, 6, 7, 8: // take
				if e.r.there() == 0 {
					must(t, e.r.refill())
				}
				p := make([]byte, rnd.IntN(6000))
				n := e.r.get(p)
				if want := model.Next(n); !bytes.Equal(p[:n], want) {
					t.Fatalf("seed %d: took other bytes than were sent, at %d", seed, taken)
				}
				e.r.take(n)
				taken += n
			case 9: // in place
				must(t, e.r.refill())
				b := e.r.bytes()
				if want := model.Next(len(b)); !bytes.Equal(b, want) {
					t.Fatalf("seed %d: see other bytes than were sent, at %d", seed, taken)
				}
				e.r.take(len(b))
				taken += len(b)
			case 10:
				if n := e.s.next(int64(rnd.IntN(1 << 20))); n > 0 {
					if checkRing(n, e.s.grow.most) != nil {
						t.Fatalf("offers %d bytes", n)
					}
					e.offer(n, rnd.IntN(10) > 0)
				}
			case 11:
				if rnd.IntN(4) == 0 {
					_, _, err := e.s.shrink()
					must(t, err)
				}
			}
			if e.s.tail-e.s.head > e.s.size() {
				t.Fatalf("%d bytes in a ring of %d", e.s.tail-e.s.head, e.s.size())
			}
		}
		for taken < sent {
			must(t, e.r.refill())
			b := e.r.bytes()
			if len(b) == 0 {
				t.Fatalf("seed %d: %d bytes of %d never came", seed, sent-taken, sent)
			}
			if want := model.Next(len(b)); !bytes.Equal(b, want) {
				t.Fatalf("seed %d: other bytes at the end", seed)
			}
			e.r.take(len(b))
			taken += len(b)
		}
	}
}

// FuzzRing lets the other side write any words between steps of ours. Nothing
// may panic, no cursor may leave its bounds.
func FuzzRing(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(bytes.Repeat([]byte{3, 128, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 4))
	f.Add([]byte{0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, program []byte) {
		e := newEnds(t, ringLeast)
		lines := e.region.Bytes()[directionAt : directionAt+directionStride]
		var failed bool
		note := func(err error) {
			if err != nil {
				failed = true
			}
		}
		for len(program) >= 10 && !failed {
			op, at, value := program[0], int(program[1])*4&^7, program[2:10]
			program = program[10:]
			if at+8 <= len(lines) {
				copy(lines[at:], value)
			}
			switch op % 9 {
			case 0:
				note(e.r.refill())
			case 1:
				e.r.take(e.r.get(make([]byte, 3000)))
			case 2:
				note(e.s.refresh())
				e.s.put(make([]byte, 3000))
				e.s.publish()
			case 3:
				note(e.s.settle())
			case 4:
				if n := e.s.next(1 << 16); n > 0 {
					e.s.offered(newMemory(mem.Heap(int(n)), 1, nil))
				}
			case 5:
				_, _, err := e.s.shrink()
				note(err)
			case 6:
				if e.r.next == nil {
					e.r.answer(newMemory(mem.Heap(8192), 1, nil))
				}
			case 7:
				e.r.arm()
				e.r.ready()
				e.r.disarm()
				e.s.arm()
				e.s.ready()
				e.s.disarm()
			case 8:
				e.r.hinted()
				e.r.finished()
				e.s.refused()
				e.s.sleeping()
				e.r.wake()
				len1, len2 := len(e.s.space()), len(e.r.bytes())
				if uint64(len1) > e.s.size() || uint64(len2) > e.r.size() {
					t.Fatal("more than the ring")
				}
			}
			if e.s.tail-e.s.head > e.s.size() || e.r.tail-e.r.head > e.r.size() {
				t.Fatalf("cursors out of bounds: %d-%d of %d, %d-%d of %d", e.s.tail, e.s.head, e.s.size(), e.r.tail, e.r.head, e.r.size())
			}
		}
	})
}

// TestLies are those of a peer that each end must notice.
func TestLies(t *testing.T) {
	for _, lie := range []struct {
		name string
		tell func(e *ends) error
		want string
	}{
		{"tail past the ring", func(e *ends) error { e.r.sender.Tail = ringLeast + 1; return e.r.refill() }, "the peer says that 4097 bytes are there"},
		{"tail goes back", func(e *ends) error {
			e.r.sender.Tail = 10
			if err := e.r.refill(); err != nil {
				return nil
			}
			e.r.sender.Tail = 9
			return e.r.refill()
		}, "the peer says that 9 bytes are there, after 10"},
		{"tail behind head", func(e *ends) error { e.r.sender.Tail = ^uint64(0); return e.r.refill() }, "the peer says that -1 bytes are there"},
		{"head past tail", func(e *ends) error { e.s.receiver.Head = 1; return e.s.refresh() }, "the peer says that it took 1 bytes of 0"},
		{"head goes back", func(e *ends) error {
			e.s.put(make([]byte, 100))
			e.s.receiver.Head = 50
			if err := e.s.refresh(); err != nil {
				return nil
			}
			e.s.receiver.Head = 49
			return e.s.refresh()
		}, "the peer says that it took 49 bytes of 100, after 50"},
		{"moves to nowhere", func(e *ends) error { e.r.sender.MoveTo, e.r.sender.Moves = 7, 1; return e.r.refill() }, "it moved to ring 7, which was not accepted"},
		{"moves twice", func(e *ends) error { e.r.sender.Moves = 2; return e.r.refill() }, "it moved 2 times, and 0 were followed"},
		{"moves past the ring", func(e *ends) error { e.r.sender.MoveAt, e.r.sender.Moves = 5000, 1; return e.r.refill() }, "5000 bytes are there"},
		{"answers what was not asked", func(e *ends) error {
			e.s.offered(newMemory(mem.Heap(8192), 1, nil))
			e.s.receiver.Answer = 2<<1 | 1
			return e.s.settle()
		}, "answers offer 2 of 1"},
		{"followed what was not moved", func(e *ends) error {
			e.s.offered(newMemory(mem.Heap(8192), 1, nil))
			e.s.receiver.Answer, e.s.receiver.Moved = 1<<1|1, 5
			return e.s.settle()
		}, "followed 5 moves of 0"},
	} {
		t.Run(lie.name, func(t *testing.T) {
			err := lie.tell(newEnds(t, ringLeast))
			if err == nil || !bytes.Contains([]byte(err.Error()), []byte(lie.want)) {
				t.Errorf("got %v, want %q", err, lie.want)
			}
		})
	}
}
