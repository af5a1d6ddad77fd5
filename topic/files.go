package topic

import (
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

// What this package needs of the files of a topic. Tests put memory of their
// own behind it, so that the race detector sees the algorithm.
type (
	// host is the publisher's side: owner.
	host interface {
		Name() string
		Named() error
		Members() ([]*topicdir.Member, error)
		Member(topicdir.ID) (*member, error)
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

// owner is the host that there is in fact.
type owner struct{ *topicdir.Owner }

// Member gives the subscriber with the ID; see topicdir.Owner.
func (o owner) Member(id topicdir.ID) (*member, error) {
	m, err := o.Owner.Member(id)
	if err != nil {
		return nil, err
	}
	return newMember(m), nil
}

func newMember(m *topicdir.Member) *member { return &member{m.ID, m.PID, m.Region, m} }

// own is a subscriber, for itself.
type own struct {
	ID     topicdir.ID
	Region mem.Region
	membership
}
