package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Membership is a subscriber's own file r.ID: its lock, by which the
// publisher knows that we live, and its memory. Methods may be called
// concurrently, but not concurrently with Leave.
type Membership struct {
	ID     ID
	Region mem.Region // MemberSize(K) bytes, read-write, valid until Leave

	peer   *Peer
	fd     *sys.FD
	stat   sys.Stat
	memory memory
}

// Join makes r.ID. init, if not nil, stores cursor and ask (see MemberCursor)
// in the region, which is zero but for its header, before anybody can see it.
// Errors, beside those of the system: fs.ErrPermission where this user may
// only observe, sys.ErrRemoved when the topic was removed, and ENOSPC.
func (p *Peer) Join(init func(mem.Region)) (*Membership, error) {
	if p.dir.Int() < 0 {
		return nil, p.fail("join", fs.ErrClosed)
	}
	m, err := p.join(NewID(), init)
	if err != nil {
		return nil, p.fail("join", err)
	}
	return m, nil
}

func (p *Peer) join(id ID, init func(mem.Region)) (m *Membership, err error) {
	for range tries {
		m, err = p.joinOnce(id, init)
		if err == nil {
			// SYNC POINT: prune. Who removes a topic without a publisher looks
			// for subscribers after its name is gone.
			if err = p.Named(); err != nil {
				m.Leave()
				return nil, err
			}
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		// The directory is gone, or our temporary file was taken for a dead
		// one's.
		if e := p.Named(); e != nil {
			return nil, e
		}
	}
	switch {
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		hint := "ask its owner, or observe"
		if p.Sharing == ObserveOnly {
			hint = "observe it"
		}
		return nil, hinted(hint, "the topic of uid %d is shared as %q: %w", p.UID, p.Sharing, err)
	case errors.Is(err, syscall.ENOSPC):
		free := int64(0)
		if fs, e := sys.Fstatfs(p.dir.Int()); e == nil {
			free = int64(fs.Free) * fs.BlockSize
		}
		return nil, hinted("free some memory there", "a subscriber needs %d bytes, and %d are free there: %w", MemberSize(p.Config.Held), free, err)
	}
	return m, err
}

func (p *Peer) joinOnce(id ID, init func(mem.Region)) (*Membership, error) {
	size := int64(MemberSize(p.Config.Held))
	d, err := newDraft(p.dir.Int(), size)
	if err != nil {
		return nil, err
	}
	m := &Membership{ID: id, peer: p}
	if m.memory, err = mapFile(d.fd, size, true); err != nil {
		d.discard()
		return nil, err
	}
	m.Region = m.memory.region
	header := Header{Kind: KindSubscriber, Size: size, Instance: id, Topic: p.TopicID, Maker: thisMaker()}
	b := make([]byte, HeaderSize)
	header.encode(b)
	mem.Copy(m.Region.Bytes(), b)
	if init != nil {
		init(m.Region)
	}
	if err := setReady(m.Region); err != nil {
		m.memory.unmap()
		d.discard()
		return nil, err
	}
	mode := modesOf[p.Sharing].id
	if uint32(os.Geteuid()) != p.UID {
		// Root in somebody else's topic: the publisher has to read it. Who
		// may look into the directory the directory says.
		mode |= 0o044
	}
	if m.fd, err = d.publish(memberFile+id.String(), mode, true); err == nil {
		m.stat, err = m.fd.Stat()
	}
	if err != nil {
		m.memory.unmap()
		return nil, err
	}
	return m, nil
}

// Named answers nil while the file still has its name, and sys.ErrRemoved
// when somebody removed it: then no publisher knows of this subscriber any
// more.
func (m *Membership) Named() error {
	ok, err := named(m.peer.dir.Int(), memberFile+m.ID.String(), &m.stat)
	if err == nil && !ok {
		err = fmt.Errorf("the subscriber's file was removed: %w", sys.ErrRemoved)
	}
	if err != nil {
		return m.peer.fail("look", err)
	}
	return nil
}

// Leave unmaps the file and gives up its lock. The file itself stays: it is
// the publisher that removes it, after it has freed the entry in its table.
// (Should no publisher live, an entry without a file would keep the next one
// from taking over.) Later calls do nothing.
func (m *Membership) Leave() error {
	if m.fd.Int() < 0 {
		return nil
	}
	m.Region = mem.Region{}
	err := m.memory.unmap()
	if e := m.fd.Close(); err == nil {
		err = e
	}
	if err != nil {
		return m.peer.fail("leave", err)
	}
	return nil
}
