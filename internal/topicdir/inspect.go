package topicdir

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Info is what can be seen of a topic from outside, at one moment or during
// a few: the topic goes on meanwhile.
type Info struct {
	Name    string
	Path    string
	UID     uint32
	GID     uint32
	Mode    uint32 // of the directory, permissions only
	Sharing Sharing
	TopicID ID
	Maker   Maker // of data: the first publisher, and when
	Config  Config
	Layout  Layout
	Size    int64 // bytes of memory that its files take

	Head     uint64
	Epoch    uint64
	Since    uint64 // the first number of this epoch
	End      uint64
	Counters [Counters]uint64

	Alive     bool      // a publisher lives
	Publisher *Maker    // the living one, or the last; nil if that is not known
	Heard     time.Time // when a publisher last gave a sign of life; zero where none did
	Members   []MemberInfo
	Refused   []Refused // files that are not what their name says

	ino uint64 // of the directory
}

// States of a subscriber in the table.
const (
	StateNone     = 0 // not there: it reads without protection
	StateAdmitted = 1
	StateDemoted  = 2
)

// MemberInfo is a subscriber.
type MemberInfo struct {
	ID     ID
	UID    uint32
	Maker  Maker
	Alive  bool
	Size   int64  // bytes of memory that its file takes
	State  int    // StateNone and so on
	From   uint64 // the first number that is protected, unless StateNone
	Cursor uint64 // the next number that it wants
	Ask    uint64
	Pins   []uint64 // the numbers that it holds
	Taken  uint64   // its own counters
	Lost   uint64
	Copied uint64
	Sleeps uint64
}

// Inspect looks at a topic, of a living or dead publisher, without touching
// it. On an error it gives what it has seen until then: at least Name and
// Path, and owner and mode where there is a directory.
func Inspect(name string, opts *OpenOptions) (*Info, error) {
	const op = "inspect"
	if opts == nil {
		opts = &OpenOptions{}
	}
	p, err := newPlace(opts.Dir, name)
	info := &Info{Name: name, Path: p.path()}
	if err != nil {
		return info, err
	}
	if err := info.inspect(p); err != nil {
		return info, p.fail(op, err)
	}
	return info, nil
}

func (info *Info) inspect(p place) error {
	if st, err := sys.LstatAt(sys.AT_FDCWD, info.Path); err == nil {
		info.ownedBy(&st)
	}
	dir, st, err := openDir(info.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	info.ownedBy(&st)
	info.measure(dir)
	info.publishers(dir, &st)
	peer, err := open(p, &OpenOptions{})
	if errors.Is(err, errAgain) {
		err = fmt.Errorf("it was removed: %w", sys.ErrRemoved)
	}
	if err != nil {
		return err
	}
	defer peer.Close()
	info.Sharing, info.TopicID, info.Maker = peer.Sharing, peer.TopicID, peer.Maker
	info.Config, info.Layout = peer.Config, peer.Layout

	hot := make([]byte, HotSize)
	if _, err := peer.Data.ReadAt(hot, info.Layout.Hot); err != nil {
		return fmt.Errorf("data: %w: %w", sys.ErrTruncated, err)
	}
	info.Head, info.Epoch = le.Uint64(hot[HotHead:]), le.Uint64(hot[HotEpoch:])
	info.Since, info.End = le.Uint64(hot[HotSince:])<<sinceEpochBits>>(sinceEpochBits+2), le.Uint64(hot[HotEnd:])
	for i := range info.Counters {
		info.Counters[i] = le.Uint64(hot[HotCounters+8*i:])
	}
	info.hear(peer, le.Uint64(hot[HotAlive:]))
	return info.members(peer)
}

// hear finds out when a publisher last gave a sign of life: by its
// housekeeping, its last sample, or its start. What lies in the future is
// nobody's.
func (info *Info) hear(peer *Peer, alive uint64) {
	now := time.Now()
	sign := func(t time.Time) {
		if t.After(info.Heard) && !t.After(now) {
			info.Heard = t
		}
	}
	if info.Publisher != nil {
		sign(info.Publisher.Made)
	}
	sign(time.Unix(0, int64(alive)))
	var b [8]byte
	if info.Head > 0 {
		slot := int64((info.Head - 1) & uint64(info.Config.Slots-1))
		if n, ok := peer.Data.TryReadAt(b[:], info.Layout.Slot(slot)+SlotTime); ok && n == len(b) {
			sign(time.Unix(0, int64(le.Uint64(b[:]))))
		}
	}
}

func (info *Info) ownedBy(st *sys.Stat) {
	info.UID, info.GID, info.Mode, info.ino = st.UID, st.GID, st.Mode&0o7777, st.Ino
}

// measure adds up the memory of the files.
func (info *Info) measure(dir *sys.FD) {
	info.Size = 0
	n := 0
	entries(dir, func(name string, _ uint64, _ uint8) bool {
		if st, err := sys.LstatAt(dir.Int(), name); err == nil {
			info.Size += st.Blocks * 512
		}
		n++
		return n < scanMost
	})
}

// publishers looks for a living one, or any.
func (info *Info) publishers(dir *sys.FD, st *sys.Stat) {
	n := 0
	entries(dir, func(name string, _ uint64, _ uint8) bool {
		if n++; n > scanMost || !strings.HasPrefix(name, publisherFile) {
			return n <= scanMost
		}
		pub, err := openPublisher(dir, st, name)
		if err != nil {
			return true
		}
		defer pub.fd.Close()
		if info.Publisher == nil {
			info.Publisher = &pub.header.Maker
		}
		if alive(pub.fd, &pub.header.Maker) {
			info.Publisher, info.Alive = &pub.header.Maker, true
		}
		return !info.Alive
	})
}

func (info *Info) members(peer *Peer) error {
	table := make([]byte, info.Config.Subscribers*EntrySize)
	if _, err := peer.Data.ReadAt(table, info.Layout.Table); err != nil {
		return fmt.Errorf("data: %w: %w", sys.ErrTruncated, err)
	}
	n := 0
	return entries(peer.dir, func(name string, _ uint64, _ uint8) bool {
		n++
		hex, ok := strings.CutPrefix(name, memberFile)
		id, valid := ParseID(hex)
		if !ok || !valid {
			return n < scanMost
		}
		m, err := openMember(peer.dir, &peer.dirStat, name, id, peer.TopicID, info.Config.Held)
		if err == nil {
			var one MemberInfo
			one, err = m.info(info.Config.Held)
			m.close()
			one.inTable(table)
			if err == nil {
				info.Members = append(info.Members, one)
				return n < scanMost
			}
		}
		r := Refused{Name: name, UID: overflowUID(), Err: err}
		if st, e := sys.LstatAt(peer.dir.Int(), name); e == nil {
			r.UID = st.UID
			info.Refused = append(info.Refused, r)
		}
		return n < scanMost
	})
}

func (m *Member) info(held int) (MemberInfo, error) {
	i := MemberInfo{ID: m.ID, UID: m.UID, Maker: m.Maker, Alive: m.Alive(), Size: m.stat.Blocks * 512}
	b, err := readAll(m.Region, MemberCounters(held)+8*memberCounts)
	if err != nil {
		return i, err
	}
	i.Cursor, i.Ask = le.Uint64(b[MemberCursor:]), le.Uint64(b[MemberAsk:])
	for k := range held {
		if pin := le.Uint64(b[MemberPins+8*k:]); pin != 0 {
			i.Pins = append(i.Pins, pin-1)
		}
	}
	c := b[MemberCounters(held):]
	i.Taken, i.Lost = le.Uint64(c[8*MemberTaken:]), le.Uint64(c[8*MemberLost:])
	i.Copied, i.Sleeps = le.Uint64(c[8*MemberCopied:]), le.Uint64(c[8*MemberSleeps:])
	return i, nil
}

func readAll(r mem.Region, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := r.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", sys.ErrTruncated, err)
	}
	return b, nil
}

// inTable finds the subscriber's entry.
func (i *MemberInfo) inTable(table []byte) {
	for ; len(table) >= EntrySize; table = table[EntrySize:] {
		if ID(table[EntryID:]) != i.ID {
			continue
		}
		if kind := int(le.Uint64(table[EntryState:]) & 3); kind == StateAdmitted || kind == StateDemoted {
			i.State, i.From = kind, le.Uint64(table[EntryFrom:])
		}
	}
}
