package topicdir

import (
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
)

// Owner is the publisher's side of a topic: the locks that make this process
// its only publisher, and the memory. Methods may be called concurrently, but
// not concurrently with Close and Remove.
type Owner struct {
	ID       ID      // of this publisher, and of its file p.ID
	TopicID  ID      // of the topic
	Config   Config  //
	Layout   Layout  //
	Sharing  Sharing //
	TookOver bool    // there was a publisher before, which died or closed

	// Data is the file data, to be read and written. Bell is the bell: every
	// subscriber can scribble on it and cut it short. Both are valid until
	// Close.
	Data mem.Region
	Bell mem.Region

	place
	dir, lock, own             *sys.FD
	dirStat, dataStat, ownStat sys.Stat
	data, bell                 memory

	mu      sync.Mutex
	members []*Member // in the order in which they were seen
	known   map[ID]*Member
	refused map[ID]*Refused
	scanned uint64 // how often
	buffer  []byte
}

// Name is the topic's name, Path its directory's.
func (o *Owner) Name() string { return o.name }

// Path is where the topic's directory is.
func (o *Owner) Path() string { return o.place.path() }

// Dir is the descriptor of the topic's directory, -1 after Close. It carries
// no lock.
func (o *Owner) Dir() int { return o.dir.Int() }

// Named answers nil while the topic's name still stands for this topic, with
// its data and this publisher's own file in it, and sys.ErrRemoved when
// somebody removed or replaced one of them. It takes three looks, a few
// microseconds.
func (o *Owner) Named() error {
	if o.dir.Int() < 0 {
		return o.fail("look", fs.ErrClosed)
	}
	for _, f := range []struct {
		dir  int
		name string
		st   *sys.Stat
	}{
		{sys.AT_FDCWD, o.path(), &o.dirStat},
		{o.dir.Int(), dataFile, &o.dataStat},
		{o.dir.Int(), publisherFile + o.ID.String(), &o.ownStat},
	} {
		ok, err := named(f.dir, f.name, f.st)
		if err != nil {
			return o.fail("look", fmt.Errorf("%s: %w", f.name, err))
		}
		if !ok {
			return o.fail("look", hinted("create the topic anew", "%s was removed or replaced: %w", f.name, sys.ErrRemoved))
		}
	}
	return nil
}

// AdviseHuge asks the kernel to back data with huge pages.
func (o *Owner) AdviseHuge() error {
	if err := o.data.mapping.Advise(0, o.data.mapping.Len(), mapping.MADV_HUGEPAGE); err != nil {
		return o.fail("create", fmt.Errorf("huge pages: %w", err))
	}
	return nil
}

// Close unmaps the memory and then gives up the locks: from then on somebody
// else may take the topic over. Nothing is removed. Members are closed. Later
// calls do nothing.
func (o *Owner) Close() error {
	o.mu.Lock()
	members := slices.Clone(o.members)
	o.mu.Unlock()
	for _, m := range members {
		m.Close()
	}
	o.Data, o.Bell = mem.Region{}, mem.Region{}
	err := o.data.unmap()
	if e := o.bell.unmap(); err == nil {
		err = e
	}
	for _, fd := range []*sys.FD{o.own, o.lock, o.dir} {
		if fd == nil {
			continue
		}
		if e := fd.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return o.fail("close", err)
	}
	return nil
}

// Remove removes the topic and closes the Owner. Peers keep what they have
// mapped, and find out by Named. Where the name stands for something else by
// now, that is left alone and the error is sys.ErrRemoved. After Close it is
// fs.ErrClosed.
func (o *Owner) Remove() error {
	if o.dir.Int() < 0 {
		return o.fail("remove", fs.ErrClosed)
	}
	err := bury(o.place, o.dir, &o.dirStat)
	if e := o.Close(); err == nil {
		err = e
	}
	if err != nil {
		return o.fail("remove", err)
	}
	return nil
}
