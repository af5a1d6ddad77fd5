package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Member is a subscriber as the publisher sees it: its file r.ID, mapped
// read-only. It is valid until Close; Owner.Close closes it too. Methods may
// be called concurrently, but not concurrently with Close.
type Member struct {
	ID     ID
	Region mem.Region // MemberSize(K) bytes; its owner can cut it short at any time
	UID    uint32     // whose file it is, as the kernel says
	PID    int        // as its header says, in its namespace; 0 where that is no pid
	Maker  Maker      // the same, and more

	owner   *Owner
	ino     uint64
	stat    sys.Stat
	fd      *sys.FD
	life    life
	memory  memory
	scanned uint64 // the last scan that saw it
}

// Refused is an r.ID that is no subscriber's file, and why.
type Refused struct {
	Name string // printable only when quoted
	UID  uint32 // whose it is; the overflow uid's where that is not known
	Err  error

	ino     uint64
	scanned uint64
}

const (
	// scanMost bounds how many entries of the directory are looked at, for
	// in a topic that is open to others anybody can make any number.
	scanMost = 1 << 14
	// spare is how many files one user may have beyond the places of the
	// table, before no more of them are opened: one that has just left, and
	// its successor, overlap.
	spare = 8
)

// errCrowd: this user has more files than could ever have a place.
var errCrowd = errors.New("its user has more subscribers than there are places")

// Members scans the directory and gives the subscribers, in the order in
// which they were first seen. Those that it has given before it gives again,
// the same pointers, until they are closed: also when their file is gone, see
// Member.Named. The slice is the caller's until the next call.
//
// A scan in which nothing is new costs two system calls and no allocation.
// Files that are not what they should be are left out; see Refused. No more
// than M+8 files of one user are opened, and no more than 16384 entries are
// looked at.
func (o *Owner) Members() ([]*Member, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.scanned++
	if o.buffer == nil {
		o.buffer = make([]byte, 16<<10)
		o.refused = make(map[ID]*Refused)
	}
	n := 0
	err := readEntries(o.dir, o.buffer, func(d sys.Dirent) bool {
		if n++; n > scanMost {
			return false
		}
		if len(d.Name) == len(memberFile)+32 && string(d.Name[:len(memberFile)]) == memberFile {
			o.see(d)
		}
		return true
	})
	if err != nil {
		return nil, o.fail("scan", err)
	}
	for id, r := range o.refused {
		if r.scanned != o.scanned {
			delete(o.refused, id)
		}
	}
	return o.members, nil
}

// Member gives the subscriber with the ID, opening its file by its name if no
// scan has seen it yet: no crowd of other files keeps it from being found.
// Errors, beside those of the system: fs.ErrNotExist where there is no such
// file, sys.ErrCorrupt for a file that is not what it should be.
func (o *Owner) Member(id ID) (*Member, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m := o.known[id]; m != nil {
		return m, nil
	}
	name := memberFile + id.String()
	m, err := openMember(o.dir, &o.dirStat, name, id, o.TopicID, o.Config.Held)
	if err != nil {
		return nil, o.fail("open", err)
	}
	o.keep(m)
	return m, nil
}

// keep notes a new member. o.mu is held.
func (o *Owner) keep(m *Member) {
	m.owner, m.scanned = o, o.scanned
	// A new slice, for the caller has the old one.
	o.members = append(slices.Clip(o.members), m)
	if o.known == nil {
		o.known = make(map[ID]*Member)
	}
	o.known[m.ID] = m
}

// Refused gives the files that the last scan left out, sorted by name.
func (o *Owner) Refused() []*Refused {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.SortedFunc(maps.Values(o.refused), func(a, b *Refused) int { return strings.Compare(a.Name, b.Name) })
}

// stays reports whether a file that was refused once is so without another
// look: in a topic that is open to others there may be thousands. o.mu is
// held.
func (o *Owner) stays(r *Refused) bool {
	switch {
	case errors.Is(r.Err, errCrowd):
		return o.crowded(r.UID)
	case errors.Is(r.Err, syscall.EMFILE), errors.Is(r.Err, syscall.ENFILE), errors.Is(r.Err, syscall.ENOMEM):
		return false // it was not the file's fault
	}
	return true
}

// crowded reports whether no more files of the user are opened. o.mu is held.
func (o *Owner) crowded(uid uint32) bool {
	count := 0
	for _, m := range o.members {
		if m.UID == uid {
			count++
		}
	}
	return count >= o.Config.Subscribers+spare
}

// see notes an entry of the directory that has the form of r.ID. o.mu is
// held.
func (o *Owner) see(d sys.Dirent) {
	id, ok := ParseID(d.Name[len(memberFile):])
	if !ok {
		return
	}
	same := o.known[id]
	if same != nil && same.ino == d.Ino {
		same.scanned = o.scanned
		return
	}
	if r := o.refused[id]; r != nil && r.ino == d.Ino && o.stays(r) {
		r.scanned = o.scanned
		return
	}
	name := string(d.Name)
	var m *Member
	var err error
	uid := overflowUID()
	if same != nil {
		// IDs are never used again: somebody takes another's name, and the
		// table may still have the other's entry.
		err = corrupt("%s takes the name of another subscriber, whose file is gone", name)
	} else {
		m, uid, err = o.openMember(name, id)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return // it has just left
	}
	if err != nil {
		o.refused[id] = &Refused{Name: name, UID: uid, Err: err, ino: d.Ino, scanned: o.scanned}
		return
	}
	delete(o.refused, id)
	o.keep(m)
}

// openMember opens, checks and maps r.ID.
func (o *Owner) openMember(name string, id ID) (*Member, uint32, error) {
	m, err := openMember(o.dir, &o.dirStat, name, id, o.TopicID, o.Config.Held)
	if err != nil {
		uid := overflowUID()
		if st, e := sys.LstatAt(o.dir.Int(), name); e == nil {
			uid = st.UID
		}
		return nil, uid, err
	}
	if o.crowded(m.UID) {
		m.close()
		return nil, m.UID, errCrowd
	}
	return m, m.UID, nil
}

func openMember(dir *sys.FD, dirStat *sys.Stat, name string, id, topic ID, held int) (*Member, error) {
	size := int64(MemberSize(held))
	fd, st, err := openChecked(dir.Int(), name, sys.O_RDONLY, rules{dir: dirStat, uid: -1, minSize: size})
	if err != nil {
		return nil, err
	}
	memory, h, _, err := mapChecked(fd, &st, KindSubscriber, size, false)
	if err == nil {
		switch {
		case h.Instance != id:
			err = corrupt("%s says that it is %v", name, h.Instance)
		case h.Topic != topic:
			err = corrupt("%s belongs to another topic, %v", name, h.Topic)
		case h.Size < size:
			err = corrupt("%s says that it has %d bytes, %d are needed", name, h.Size, size)
		}
		if err != nil {
			memory.unmap()
		}
	}
	if err != nil {
		fd.Close()
		return nil, err
	}
	return &Member{
		ID: id, Region: memory.region, UID: st.UID, PID: h.Maker.PID, Maker: h.Maker,
		ino: st.Ino, stat: st, fd: fd, memory: memory,
	}, nil
}

// Alive asks the kernel whether the subscriber lives: it holds its lock, and
// is not known to be gone with a child keeping the lock. Such a child whose
// parent is a zombie, or its process id somebody else's, may count for a
// second. After Close it is false. It takes about a microsecond.
func (m *Member) Alive() bool { return m.life.alive(m.fd, &m.Maker) }

// Named reports whether the last scan saw the file. Subscribers do not remove
// theirs; one whose file somebody else removed can still hold samples, as long
// as it is Alive.
func (m *Member) Named() bool {
	m.owner.mu.Lock()
	defer m.owner.mu.Unlock()
	return m.scanned == m.owner.scanned
}

// Unlink removes the file, if its name still stands for it. That it is gone
// already is no error.
func (m *Member) Unlink() error {
	if err := unlinkIf(m.owner.dir, memberFile+m.ID.String(), &m.stat); err != nil {
		return m.owner.fail("unlink", err)
	}
	return nil
}

// unlinkIf unlinks a file if its name still stands for it.
func unlinkIf(dir *sys.FD, name string, st *sys.Stat) error {
	ok, err := named(dir.Int(), name, st)
	if err != nil || !ok {
		return err
	}
	if err := sys.Unlinkat(dir.Int(), name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Close unmaps the file and forgets the subscriber. Should its file still be
// there, the next scan finds it as a new one. Later calls do nothing.
func (m *Member) Close() error {
	m.owner.mu.Lock()
	defer m.owner.mu.Unlock()
	if i := slices.Index(m.owner.members, m); i >= 0 {
		m.owner.members = slices.Delete(slices.Clone(m.owner.members), i, i+1)
		delete(m.owner.known, m.ID)
	}
	return m.close()
}

func (m *Member) close() error {
	m.Region = mem.Region{}
	err := m.memory.unmap()
	if e := m.fd.Close(); err == nil {
		err = e
	}
	return err
}

// Unlink removes the refused file. Subdirectories stay.
func (o *Owner) Unlink(r *Refused) error {
	if !strings.HasPrefix(r.Name, memberFile) {
		return nil
	}
	if err := sys.Unlinkat(o.dir.Int(), r.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return o.fail("unlink", err)
	}
	return nil
}
