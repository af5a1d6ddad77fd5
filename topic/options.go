package topic

import (
	"log/slog"
	"time"

	"github.com/seed-298b2b26/shm/internal/topicdir"
)

// Policy is what happens when a subscriber is too slow.
type Policy uint32

const (
	// DropOldest never makes the publisher wait: who is too slow loses the
	// oldest samples and is told how many.
	DropOldest Policy = 2

	// Block makes the publisher wait, so that no admitted subscriber loses
	// anything: a veto for each of them, until Options.Patience ends.
	Block Policy = 1
)

// String is the policy's name on the command line.
func (p Policy) String() string {
	switch p {
	case Block:
		return "block"
	case DropOldest:
		return "drop"
	}
	return "unknown"
}

// Sharing is who may subscribe to a topic.
type Sharing int

const (
	Private     Sharing = iota // the publisher's user
	Group                      // Options.GID
	All                        // everybody
	ObserveOnly                // nobody; everybody may observe
)

// Defaults of Options.
const (
	DefaultSlots       = 32
	DefaultSize        = 1024
	DefaultSubscribers = 8
	DefaultHeld        = 2
	DefaultPatience    = 10 * time.Second
)

// Options say how a topic is made. The zero value means the defaults.
type Options struct {
	Size        int    // largest sample in bytes (DefaultSize)
	Slots       int    // samples that the memory holds, a power of two (DefaultSlots, or what Subscribers and Held need)
	Subscribers int    // at most (DefaultSubscribers); observers do not count
	Held        int    // samples that one subscriber may hold at once (DefaultHeld)
	Policy      Policy // DropOldest when 0
	Align       int    // of the samples in memory, a power of two; 64 when 0, 4096 for whole pages

	// Patience is how long a subscriber that takes nothing may hold up the
	// publisher under Block before it loses its right to; 0 means
	// DefaultPatience, less means for ever.
	Patience time.Duration

	// Wait is what a publisher does under Block before it sleeps.
	Wait Wait

	Sharing Sharing
	GID     int // for Group

	// HugePages asks for huge pages (madvise(2), MADV_HUGEPAGE). The kernel
	// gives them where /sys/kernel/mm/transparent_hugepage/shmem_enabled says
	// advise, and if it has some; otherwise nothing changes. It pays for
	// topics of many megabytes.
	HugePages bool

	// Housekeep, if not 0, starts a goroutine that does the housekeeping (see
	// Publisher.Poll) as often as that, until Close, so that a publisher that
	// publishes now and then only admits subscribers soon. It costs each
	// sample a lock that nobody else wants, some 10 ns.
	Housekeep time.Duration

	// Exclusive never takes over a topic whose publisher is dead.
	Exclusive bool

	Type     string // name of what the samples are; subscribers must agree
	TypeHash [32]byte

	Dir    string       // of topics; posix.DefaultDir when empty
	Logger *slog.Logger // told of demotions, evictions and take-overs; nil is silent
}

func (o *Options) orDefault() Options {
	var v Options
	if o != nil {
		v = *o
	}
	def := func(p *int, n int) {
		if *p == 0 {
			*p = n
		}
	}
	def(&v.Size, DefaultSize)
	def(&v.Subscribers, DefaultSubscribers)
	def(&v.Held, DefaultHeld)
	if v.Slots == 0 {
		v.Slots = DefaultSlots
		if in := func(n, most int) bool { return 0 < n && n <= most }; in(v.Subscribers, topicdir.MaxSubscribers) && in(v.Held, topicdir.MaxHeld) {
			v.Slots = max(v.Slots, int(topicdir.LeastSlots(v.Subscribers, v.Held)))
		}
	}
	def(&v.Align, 64)
	if v.Policy == 0 {
		v.Policy = DropOldest
	}
	if v.Patience == 0 {
		v.Patience = DefaultPatience
	} else if v.Patience < 0 {
		v.Patience = -1
	}
	return v
}

// Start is where a new subscriber begins.
type Start int

const (
	Next   Start = iota // with the next sample that is published
	Oldest              // with the oldest that is still there
	Newest              // with the newest that is there, else the next
)

// SubscribeOptions say how to subscribe. The zero value means the defaults.
type SubscribeOptions struct {
	From Start

	// Wait makes Subscribe wait for a topic that does not exist yet, and for
	// the admission, as long as its context allows.
	WaitTopic     bool
	WaitAdmission bool

	// OwnerGone is how long Next goes on waiting for a successor when the
	// publisher was killed, before it gives ErrOwnerDied; 0 means for as long
	// as its context allows.
	OwnerGone time.Duration

	// UID, if not nil, is whose topic it must be.
	UID *uint32

	Type     string
	TypeHash [32]byte

	// Wait is what Next does before it sleeps.
	Wait Wait

	Dir string // of topics; posix.DefaultDir when empty
}

// Wait is how a subscriber waits for samples, and a publisher for room.
type Wait int

const (
	Adaptive Wait = iota // spins for some microseconds where that has proved to pay
	Sleep                // never spins
	Spin                 // never sleeps, where there is more than one processor
)
