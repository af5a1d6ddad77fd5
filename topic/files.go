package topic

import (
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

// What this package needs of the files of a topic. Tests put memory of their
// own behind it, so that the race detector sees the algorithm.
type (
	// host is the publisher's side: *topicdir.Owner.
	host interface {
		Name() string
		Named() error
		Members() ([]*topicdir.Member, error)
		Member(topicdir.ID) (*topicdir.Member, error)
		Refused() []*topicdir.Refused
		Close() error
		Remove() error
	}

	// source is a subscriber's or an observer's side: *topicdir.Peer.
	source interface {
		Name() string
		Named() error
		PublisherAlive() (bool, error)
		Close() error
	}

	// membership is a subscriber's own file: *topicdir.Membership.
	membership interface {
		Leave() error
	}

	// participant is such a file as the publisher has it: *topicdir.Member.
	participant interface {
		Alive() bool
		Unlink() error
		Close() error
	}
)

// member is a subscriber, for its publisher.
type member struct {
	ID     topicdir.ID
	PID    int // as it says itself, in its own namespace
	Region mem.Region
	participant
}

// own is a subscriber, for itself.
type own struct {
	ID     topicdir.ID
	Region mem.Region
	membership
}
