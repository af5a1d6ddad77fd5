package topicdir

import (
	"fmt"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Sharing says who may subscribe to a topic.
type Sharing uint8

// The ways of sharing. Whoever may subscribe may observe.
const (
	Private     Sharing = iota // the owner's user
	Group                      // a group
	All                        // everybody
	ObserveOnly                // everybody observes, the owner's user subscribes
)

func (s Sharing) String() string {
	switch s {
	case Private:
		return "private"
	case Group:
		return "group"
	case All:
		return "all"
	case ObserveOnly:
		return "observe only"
	}
	return fmt.Sprintf("sharing %d", uint8(s))
}

// modes are the permissions of a topic's files.
type modes struct{ dir, data, bell, id, lock uint32 }

var modesOf = [...]modes{
	Private:     {0o0700, 0o600, 0o600, 0o400, 0o600},
	Group:       {0o3770, 0o640, 0o660, 0o440, 0o600},
	All:         {0o3777, 0o644, 0o666, 0o444, 0o600},
	ObserveOnly: {0o0755, 0o644, 0o600, 0o444, 0o600},
}

// sharingOf is the way of sharing that a directory's mode stands for.
func sharingOf(st *sys.Stat) (Sharing, error) {
	for s, m := range modesOf {
		if st.Mode&0o7777 == m.dir {
			return Sharing(s), nil
		}
	}
	return 0, corrupt("the directory has mode %#o, which no topic has", st.Mode&0o7777)
}
