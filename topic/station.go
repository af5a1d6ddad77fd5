package topic

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/internal/wait"
)

// station is what all subscribers and observers of one topic in this process
// have in common: the mapping, and the one thread that sleeps for all of
// them.
type station struct {
	ring    *ring
	peer    source
	config  topicdir.Config
	sharing topicdir.Sharing
	bell    *bell
	sleeper *wait.Sleeper
	outlook outlook

	key  stationKey
	refs int // guarded by stations.mu
}

// stationKey tells topics apart, and ways of waiting. An inode is not used
// again while it is open.
type stationKey struct {
	dev, ino uint64
	wait     Wait
}

var stations = struct {
	mu  sync.Mutex
	all map[stationKey]*station
}{all: map[stationKey]*station{}}

// stationFor gives the station of a topic that was just opened. The peer is
// its own, or is closed because there was one already.
func stationFor(peer *topicdir.Peer, w Wait) (*station, error) {
	dev, ino := peer.Inode()
	key := stationKey{dev, ino, w}
	stations.mu.Lock()
	defer stations.mu.Unlock()
	st := stations.all[key]
	if st != nil && (st.bell.sleepers != nil || peer.Bell.Len() == 0) {
		st.refs++
		peer.Close()
		return st, nil
	}
	g, err := newRing(peer.Data, &peer.Config, &peer.Layout)
	if err != nil {
		peer.Close()
		return nil, opError("subscribe", peer.Name(), err)
	}
	st = newStation(g, peer, peer.Config, peer.Bell, w)
	st.sharing, st.key = peer.Sharing, key
	stations.all[key] = st
	return st, nil
}

// sleepBound is how long a subscriber sleeps at most, by default 100 ms. Tests
// make it so long that a lost wake-up cannot be overlooked.
var sleepBound time.Duration

func newStation(g *ring, peer source, c topicdir.Config, bell mem.Region, w Wait) *station {
	st := &station{ring: g, peer: peer, config: c, bell: newBell(bell), refs: 1}
	arm := st.bell.arm(g.fencefree)
	st.sleeper = wait.New(wait.Config{
		Bound: sleepBound, Word: g.wake, Regions: []mem.Region{g.region}, Strategy: wait.Strategy(w),
		// On the way to sleep there is time for a look at other things.
		Arm: func() bool {
			st.lookOut()
			return arm != nil && arm()
		},
	})
	return st
}

// leave ends one use.
func (st *station) leave() error {
	stations.mu.Lock()
	defer stations.mu.Unlock()
	if st.refs--; st.refs > 0 {
		return nil
	}
	if stations.all[st.key] == st {
		delete(stations.all, st.key)
	}
	st.sleeper.Close()
	return st.peer.Close()
}

const (
	// lookEvery is how often somebody who waits looks whether the topic's
	// name is still there: one system call.
	lookEvery = time.Second

	// lookLeast bounds how often it asks whether the publisher lives.
	lookLeast = 10 * time.Millisecond

	// spinLook is how many looks at the head lie between two at the clock
	// where a subscriber never sleeps.
	spinLook = 1 << 12
)

// outlook is whether there is hope of further samples, as whoever waited saw
// it last.
type outlook struct {
	removed atomic.Pointer[shm.Error] // the topic's name is gone
	dead    atomic.Int64              // for how long there has been no publisher, ns
	gone    atomic.Int64              // the shortest OwnerGone that somebody asked for; 0: nobody

	mu     sync.Mutex
	looked time.Time
	died   time.Time // when the publisher was first seen dead
}

// lookOut looks at the topic's name, and for the publisher if that was asked
// for, not more often than need be. It is called on the way to sleep, which
// the bound of every sleep brings about ten times a second.
func (st *station) lookOut() {
	o := &st.outlook
	o.mu.Lock()
	defer o.mu.Unlock()
	every, gone := lookEvery, time.Duration(o.gone.Load())
	if gone > 0 {
		every = min(every, max(gone/4, lookLeast))
	}
	t := time.Now()
	if !o.looked.IsZero() && t.Sub(o.looked) < every {
		return
	}
	o.looked = t
	if err := st.peer.Named(); err != nil {
		e := opError("next", st.peer.Name(), err)
		e.Hint = "subscribe again"
		o.removed.Store(e)
	} else {
		o.removed.Store(nil)
	}
	if gone <= 0 {
		return
	}
	alive, err := st.peer.PublisherAlive()
	switch {
	case err != nil: // it cannot be known
	case alive:
		o.died = time.Time{}
		o.dead.Store(0)
	default:
		if o.died.IsZero() {
			o.died = t
		}
		o.dead.Store(int64(t.Sub(o.died)))
	}
}

// ask notes that somebody wants to know of the publisher's death that soon.
func (o *outlook) ask(gone time.Duration) {
	if gone <= 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if least := o.gone.Load(); least == 0 || int64(gone) < least {
		o.gone.Store(int64(gone))
	}
}
