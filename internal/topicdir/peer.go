package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// OpenOptions say which topic is meant.
type OpenOptions struct {
	Dir string // where topics are; empty for /dev/shm
	UID *int   // if not nil, who must own it; else fs.ErrPermission
}

// Peer is a topic as a subscriber or an observer sees it. Methods may be
// called concurrently, but not concurrently with Close.
type Peer struct {
	TopicID ID
	Config  Config
	Layout  Layout
	Sharing Sharing
	UID     uint32 // of the owner
	Maker   Maker  // of the topic: its first publisher, as that said itself

	// Data is the file data, read-only; its publisher can cut it short.
	// Bell is the bell, read-write: empty where this user may not ring it,
	// or it is not as it should be (see BellErr). Both are valid until
	// Close.
	Data    mem.Region
	Bell    mem.Region
	BellErr error // why there is no Bell

	place
	dir        *sys.FD
	dirStat    sys.Stat
	data, bell memory

	mu     sync.Mutex
	cached *publisher // the last one that lived
}

// Open opens a topic for reading. Errors, beside those of the system:
// fs.ErrNotExist, fs.ErrPermission, sys.ErrCorrupt, sys.ErrVersion.
func Open(name string, opts *OpenOptions) (*Peer, error) {
	const op = "open"
	if opts == nil {
		opts = &OpenOptions{}
	}
	p, err := newPlace(opts.Dir, name)
	if err != nil {
		return nil, err
	}
	for range tries {
		var peer *Peer
		peer, err = open(p, opts)
		if err == nil {
			return peer, nil
		}
		if !errors.Is(err, errAgain) {
			break
		}
	}
	return nil, p.fail(op, err)
}

func open(pl place, opts *OpenOptions) (p *Peer, err error) {
	p = &Peer{place: pl}
	if p.dir, p.dirStat, err = openDir(p.path()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.Close()
			p = nil
		}
	}()
	p.UID = p.dirStat.UID
	if opts.UID != nil && int64(*opts.UID) != int64(p.UID) {
		return p, fmt.Errorf("the topic belongs to uid %d, not to uid %d: %w", p.UID, *opts.UID, syscall.EPERM)
	}
	if p.Sharing, err = sharingOf(&p.dirStat); err != nil {
		return p, err
	}
	fd, st, err := openChecked(p.dir.Int(), dataFile, sys.O_RDONLY, rules{dir: &p.dirStat, uid: int64(p.UID), links: true, minSize: HeaderSize})
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			// It is being removed, or somebody has removed this file alone.
			if ok, e := named(sys.AT_FDCWD, p.path(), &p.dirStat); e == nil && !ok {
				err = errAgain
			} else {
				err = hinted("the publisher has to create it anew", "the file data is missing: %w", sys.ErrCorrupt)
			}
		}
		return p, err
	}
	defer fd.Close()
	d, err := openData(fd, &st, false)
	if err != nil {
		return p, fmt.Errorf("data: %w", err)
	}
	p.data, p.TopicID, p.Maker, p.Config, p.Layout = d.memory, d.header.Instance, d.header.Maker, d.config, d.layout
	p.BellErr = p.openBell()
	p.Data, p.Bell = p.data.region, p.bell.region
	return p, nil
}

// openBell maps the bell, in which nothing is believed.
func (p *Peer) openBell() error {
	fd, _, err := openChecked(p.dir.Int(), bellFile, sys.O_RDWR,
		// Who may write it can give it more names; that harms nobody.
		rules{dir: &p.dirStat, uid: int64(p.UID), links: true, minSize: BellSize})
	if err != nil {
		return err
	}
	defer fd.Close()
	p.bell, err = mapFile(fd, BellSize, true)
	return err
}

// Name is the topic's name.
func (p *Peer) Name() string { return p.name }

// Path is where the topic's directory is.
func (p *Peer) Path() string { return p.place.path() }

// Named answers nil while the topic's name still stands for this topic, and
// sys.ErrRemoved otherwise. It takes one look.
func (p *Peer) Named() error {
	ok, err := named(sys.AT_FDCWD, p.path(), &p.dirStat)
	switch {
	case err != nil:
		return p.fail("look", err)
	case !ok:
		return p.fail("look", hinted("open it again", "its name was removed or stands for another topic: %w", sys.ErrRemoved))
	}
	return nil
}

// Renewed reports whether the name stands for another topic by now.
func (p *Peer) Renewed() bool {
	st, err := sys.LstatAt(sys.AT_FDCWD, p.path())
	return err == nil && (st.Ino != p.dirStat.Ino || st.Dev != p.dirStat.Dev)
}

// PublisherAlive asks the kernel whether a publisher of the topic lives. It
// takes one system call while the publisher does, and a scan of the directory
// otherwise. A topic that was removed has none that it could find.
func (p *Peer) PublisherAlive() (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cached != nil {
		if p.cached.life.alive(p.cached.fd, &p.cached.header.Maker) {
			return true, nil
		}
		p.cached.fd.Close()
		p.cached = nil
	}
	if id, ok := publisherOf(p.data.region, &p.Layout); ok && p.livingPublisher(publisherFile+id.String()) {
		return true, nil
	}
	// Perhaps a successor is there that has not said so in data yet.
	n := 0
	err := entries(p.dir, func(name string, _ uint64, _ uint8) bool {
		n++
		return n <= scanMost && !(strings.HasPrefix(name, publisherFile) && p.livingPublisher(name))
	})
	if err != nil {
		return false, p.fail("look", err)
	}
	return p.cached != nil, nil
}

// livingPublisher keeps the publisher's file with the name, if one lives that
// has it. p.mu is held.
func (p *Peer) livingPublisher(name string) bool {
	pub, err := openPublisher(p.dir, &p.dirStat, name)
	if err != nil {
		return false
	}
	if pub.header.Topic != p.TopicID || !pub.life.alive(pub.fd, &pub.header.Maker) {
		pub.fd.Close()
		return false
	}
	p.cached = pub
	return true
}

// publisherOf reads the publisher's ID in the hot lines. While it is being
// stored it may be half the old one and half the new.
func publisherOf(data mem.Region, l *Layout) (id ID, ok bool) {
	n, ok := data.TryReadAt(id[:], l.Hot+HotPublisher)
	return id, ok && n == len(id)
}

// Publisher gives the maker of the publisher's file, as PublisherAlive found
// it last; nil if it found none.
func (p *Peer) Publisher() *Maker {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cached == nil {
		return nil
	}
	m := p.cached.header.Maker
	return &m
}

// Close unmaps the memory. Memberships are left first. Later calls do
// nothing.
func (p *Peer) Close() error {
	p.mu.Lock()
	if p.cached != nil {
		p.cached.fd.Close()
		p.cached = nil
	}
	p.mu.Unlock()
	p.Data, p.Bell = mem.Region{}, mem.Region{}
	err := p.data.unmap()
	if e := p.bell.unmap(); err == nil {
		err = e
	}
	if e := p.dir.Close(); err == nil {
		err = e
	}
	if err != nil {
		return p.fail("close", err)
	}
	return nil
}

// Inode identifies the topic's directory: two peers with the same one are of
// the same topic, as long as one of them is open.
func (p *Peer) Inode() (dev, ino uint64) { return p.dirStat.Dev, p.dirStat.Ino }
