package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Remove removes what is dead, if it still is: sys.ErrBusy otherwise, and
// fs.ErrNotExist where somebody else was faster. What is InUse is looked at
// anew. Errors, beside those of the system: fs.ErrPermission for what belongs
// to another user.
//
// The lock of the topic is held meanwhile. A successor that comes in between
// waits for it and makes the topic anew. A subscriber that joins in between is
// seen in any case, for the topic is looked at once more after its name is
// gone, and gets its name back: whoever has joined looks at the name too.
func (c *Candidate) Remove() error {
	var err error
	switch c.Kind {
	case DeadTopic, DeadSubscriber:
		err = c.removeLocked()
	default:
		err = c.sweep()
	}
	if err == nil {
		return nil
	}
	name := c.Path
	if c.Topic != "" {
		name = Address(c.Topic)
	}
	e := &sys.Error{Op: "prune", Kind: "topic", Name: name, Err: err}
	var h *hintError
	if errors.As(err, &h) {
		e.Hint = h.hint
	}
	return e
}

func (c *Candidate) sweep() error {
	mount, err := openMount(c.dir)
	if err != nil {
		return err
	}
	defer mount.Close()
	err = sweepOne(mount, c.name, true)
	if errors.Is(err, errInUse) {
		err = fmt.Errorf("%w: %w", err, sys.ErrBusy)
	}
	return err
}

// errRevived: what was dead is no more what it was.
var errRevived = fmt.Errorf("somebody has come back to it meanwhile: %w", sys.ErrBusy)

// removeLocked removes a topic, or a file of it, holding its lock.
func (c *Candidate) removeLocked() error {
	p, err := newPlace(c.dir, c.Topic)
	if err != nil {
		return err
	}
	o := &Owner{place: p}
	defer o.Close()
	if o.dir, o.dirStat, err = openDir(p.path()); err != nil {
		return err
	}
	if uid := os.Geteuid(); uid != 0 && int64(uid) != int64(o.dirStat.UID) {
		return fmt.Errorf("it belongs to uid %d, and this is uid %d: %w", o.dirStat.UID, uid, syscall.EPERM)
	}
	err = o.takeLock(0)
	switch {
	case errors.Is(err, errAgain):
		return fmt.Errorf("somebody else has removed it: %w", fs.ErrNotExist)
	case err != nil:
		return err
	}
	if err := o.adoptData(false); err != nil {
		return err
	}
	if c.Kind == DeadSubscriber {
		return o.pruneMember(c.id)
	}
	epoch, ok := o.epoch()
	if !ok || o.dirStat.Ino != c.ino || epoch != c.epoch {
		return errRevived
	}
	return o.pruneTopic()
}

// epoch reads the word in the hot lines.
func (o *Owner) epoch() (uint64, bool) {
	w, err := mem.Pointer[uint64](o.data.region, o.Layout.Hot+HotEpoch)
	if err != nil {
		return 0, false
	}
	return mem.TryLoad(w)
}

// beforePrune makes tests do something between the two looks of pruneTopic.
var beforePrune = func() {}

// pruneTopic renames the topic away and deletes it, unless somebody subscribes.
// The lock is held.
func (o *Owner) pruneTopic() error {
	if o.anyLiving() {
		return errRevived
	}
	mount, err := openMount(o.place.dir)
	if err != nil {
		return err
	}
	defer mount.Close()
	beforePrune()
	name, dead := o.name+suffix, deadPrefix+NewID().String()
	if err := sys.RenameatNoReplace(mount.Int(), name, dead); err != nil {
		return err
	}
	// SYNC POINT: prune. Name gone, then look at the subscribers; in Peer.join
	// they have their file first, and then look at the name. At least one of
	// the two sees the other.
	if ok, err := named(mount.Int(), dead, &o.dirStat); err != nil || !ok || o.anyLiving() {
		if sys.RenameatNoReplace(mount.Int(), dead, name) == nil {
			return errRevived
		}
		// The name is a new topic's already. Who has joined this one is told,
		// and finds that.
	}
	return destroy(mount, dead, o.dir)
}

// anyLiving reports whether a subscriber lives. What cannot be seen counts as
// life.
func (o *Owner) anyLiving() bool {
	living, n := false, 0
	err := entries(o.dir, func(name string, _ uint64, _ uint8) bool {
		n++
		hex, ok := strings.CutPrefix(name, memberFile)
		if id, valid := ParseID(hex); ok && valid {
			m, err := openMember(o.dir, &o.dirStat, name, id, o.TopicID, o.Config.Held)
			switch {
			case err == nil:
				living = m.Alive()
				m.close()
			case errors.Is(err, sys.ErrCorrupt), errors.Is(err, sys.ErrTruncated), errors.Is(err, fs.ErrNotExist):
			default:
				living = true
			}
		}
		return !living
	})
	return living || err != nil
}

// pruneMember removes the file of a dead subscriber of a topic without a
// publisher, whose lock is held: its entry first, as a publisher does.
func (o *Owner) pruneMember(id ID) error {
	name := memberFile + id.String()
	m, err := openMember(o.dir, &o.dirStat, name, id, o.TopicID, o.Config.Held)
	if err != nil {
		return err
	}
	defer m.close()
	if m.Alive() {
		return errRevived
	}
	if err := o.freeEntry(id); err != nil {
		return err
	}
	return unlinkIf(o.dir, name, &m.stat)
}

// freeEntry frees what the table has of a subscriber.
func (o *Owner) freeEntry(id ID) error {
	r := o.data.region
	return r.Guard(func() error {
		for i := range o.Config.Subscribers {
			at := o.Layout.Entry(i)
			state, err := mem.Pointer[uint64](r, at+EntryState)
			if err != nil {
				return err
			}
			if ID(r.Bytes()[at+EntryID:]) == id && *state&3 != StateNone {
				mem.StoreRelease64(state, (*state>>2+1)<<2|StateNone)
			}
		}
		return nil
	})
}
