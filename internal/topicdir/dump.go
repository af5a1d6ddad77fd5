package topicdir

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Part is a piece of a dump: what a section of the specification describes,
// field by field in its order.
type Part struct {
	Name   string // directory, lock, header, configuration, hot, entry, slot, subscriber, bell or strange
	File   string // that it stands in; empty for the directory
	Fields []Field
	// Problem says why the rest of the part is not there, or must not be
	// believed; nil where nothing is wrong with it.
	Problem error
}

// Field is a value of a Part: a uint64, int64, bool, string, time.Time, or
// []uint64. Its Key is as the specification calls it, with underscores. A
// string may hold any byte.
type Field struct {
	Key   string
	Value any
}

func (p *Part) add(key string, value any) { p.Fields = append(p.Fields, Field{key, value}) }

// Dump gives everything that stands in a topic but the payloads, in the order
// of the specification, to emit, whose error ends it. It believes nothing that
// it reads: bytes that cannot be are given as they are, with the part's
// Problem. The topic may be in use, and goes on meanwhile; it is opened for
// reading, and nothing is mapped. Slots that were never used, and free entries
// of the table, are left out. An error beside emit's means that there is no
// such directory, or that this user may not look into it.
func Dump(name string, opts *OpenOptions, emit func(*Part) error) error {
	if opts == nil {
		opts = &OpenOptions{}
	}
	p, err := newPlace(opts.Dir, name)
	if err != nil {
		return err
	}
	dir, st, err := openDir(p.path())
	if err != nil {
		return p.fail("dump", err)
	}
	defer dir.Close()
	d := &dump{dir: dir, st: &st, emit: emit}
	steps := []func() error{func() error { return d.directory(p.path()) }, d.lock, d.data, d.files, d.strange}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type dump struct {
	dir  *sys.FD
	st   *sys.Stat
	emit func(*Part) error

	publishers, subscribers, others []string
	held                            int // what the configuration says, or the most that can be
}

func (d *dump) directory(path string) error {
	p := &Part{Name: "directory"}
	p.add("path", path)
	p.add("uid", uint64(d.st.UID))
	p.add("gid", uint64(d.st.GID))
	p.add("mode", fmt.Sprintf("%04o", d.st.Mode&0o7777))
	sharing, err := sharingOf(d.st)
	if err == nil {
		p.add("sharing", sharing.String())
	}
	p.Problem = err
	n := 0
	bellOrLock := []string{lockFile, dataFile, bellFile}
	err = entries(d.dir, func(name string, _ uint64, _ uint8) bool {
		switch {
		case strings.HasPrefix(name, publisherFile):
			d.publishers = append(d.publishers, name)
		case strings.HasPrefix(name, memberFile):
			d.subscribers = append(d.subscribers, name)
		case !slices.Contains(bellOrLock, name):
			d.others = append(d.others, name)
		}
		n++
		return n < scanMost
	})
	p.Problem = errors.Join(p.Problem, err)
	p.add("files", uint64(n))
	for _, names := range [][]string{d.publishers, d.subscribers, d.others} {
		slices.Sort(names)
	}
	return d.emit(p)
}

// open opens a file of the topic, whoever owns it, and says of what kind it
// is and whether its lock is held.
func (d *dump) open(p *Part, name string, locks bool) *sys.FD {
	p.File = name
	fd, st, err := openChecked(d.dir.Int(), name, sys.O_RDONLY, rules{dir: d.st, uid: -1, links: true})
	if err != nil {
		p.Problem = err
		return nil
	}
	p.add("uid", uint64(st.UID))
	p.add("mode", fmt.Sprintf("%04o", st.Mode&0o7777))
	p.add("bytes", st.Size)
	p.add("used", st.Blocks*512)
	if locks {
		locked, err := sys.ByteLocked(fd.Int())
		p.add("locked", locked)
		p.Problem = err
	}
	return fd
}

func (d *dump) lock() error {
	p := &Part{Name: "lock"}
	if fd := d.open(p, lockFile, true); fd != nil {
		defer fd.Close()
		if st, err := fd.Stat(); err == nil {
			for i, h := range holders(&st, lockFile) {
				p.add(fmt.Sprintf("holder_%d", i), h.String())
			}
		}
	}
	return d.emit(p)
}

// header dumps the common header. It gives the first bytes of the file, n at
// most, and the descriptor; nil where there is none.
func (d *dump) header(name string, kind uint32, n int, locks bool) (*Part, *sys.FD, []byte) {
	p := &Part{Name: "header"}
	fd := d.open(p, name, locks)
	if fd == nil {
		return p, nil, nil
	}
	b := make([]byte, n)
	got, err := fd.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		p.Problem = err
	}
	b = b[:got]
	if len(b) < configEnd {
		p.Problem = errors.Join(p.Problem, corrupt("%d bytes are no header", len(b)))
		return p, fd, nil
	}
	u64 := func(off int) uint64 { return le.Uint64(b[off:]) }
	u32 := func(off int) uint64 { return uint64(le.Uint32(b[off:])) }
	p.add("magic", string(b[OffMagic:OffMagic+8]))
	p.add("version", u32(OffVersion))
	p.add("least", u32(OffLeast))
	p.add("features", u64(OffFeatures))
	p.add("header_size", u32(OffHeaderSize))
	p.add("kind", u32(OffKind))
	p.add("size", u64(OffFileSize))
	p.add("instance", ID(b[OffInstance:]).String())
	p.add("pid", u64(OffPID))
	p.add("start", u64(OffStart))
	p.add("pid_namespace", u64(OffPIDNamespace))
	p.add("boot", ID(b[OffBoot:]).String())
	p.add("made", time.Unix(0, int64(u64(OffMade))))
	p.add("maker_uid", u32(OffUID))
	if kind != KindData {
		p.add("topic", ID(b[OffTopic:]).String())
	}
	p.add("ready", u32(OffReady))
	st, err := fd.Stat()
	var h *Header
	if err == nil {
		h, err = DecodeHeader(b, kind, st.Size)
	}
	if err != nil {
		p.Problem = errors.Join(p.Problem, err)
	} else if locks {
		p.add("alive", alive(fd, &h.Maker))
	}
	return p, fd, b
}

// files dumps those of the participants, and the bell.
func (d *dump) files() error {
	for _, name := range d.publishers {
		p, fd, _ := d.header(name, KindPublisher, PublisherSize, true)
		if fd != nil {
			fd.Close()
		}
		if err := d.emit(p); err != nil {
			return err
		}
	}
	for _, name := range d.subscribers {
		if err := d.subscriber(name); err != nil {
			return err
		}
	}
	p, fd, b := d.header(bellFile, KindBell, BellSize, false)
	if fd != nil {
		fd.Close()
	}
	if err := d.emit(p); err != nil || b == nil {
		return err
	}
	p = &Part{Name: "bell", File: bellFile}
	if len(b) < BellSize {
		p.Problem = corrupt("%d bytes are no bell", len(b))
	} else {
		p.add("sleepers", uint64(le.Uint32(b[BellSleepers:])))
		p.add("news", uint64(le.Uint32(b[BellNews:])))
	}
	return d.emit(p)
}

func (d *dump) subscriber(name string) error {
	p, fd, b := d.header(name, KindSubscriber, MemberSize(d.held), true)
	if fd != nil {
		fd.Close()
	}
	if err := d.emit(p); err != nil || b == nil {
		return err
	}
	p = &Part{Name: "subscriber", File: name}
	if end := MemberCounters(d.held) + 8*memberCounts; len(b) < end {
		p.Problem = corrupt("%d bytes, at least %d are needed", len(b), end)
		return d.emit(p)
	}
	p.add("cursor", le.Uint64(b[MemberCursor:]))
	p.add("ask", le.Uint64(b[MemberAsk:]))
	p.add("fence_free", uint64(le.Uint32(b[MemberFenceFree:])))
	pins := []uint64{}
	for k := range d.held {
		if pin := le.Uint64(b[MemberPins+8*k:]); pin != 0 {
			pins = append(pins, pin-1)
		}
	}
	p.add("pins", pins)
	for i, key := range []string{"taken", "lost", "copied", "sleeps"} {
		p.add(key, le.Uint64(b[MemberCounters(d.held)+8*i:]))
	}
	return d.emit(p)
}

// strange dumps the names of files that no topic has.
func (d *dump) strange() error {
	for _, name := range d.others {
		p := &Part{Name: "strange", File: name, Problem: errors.New("a topic has no such file")}
		if strings.HasPrefix(name, tempPrefix) {
			p.Problem = errors.New("somebody makes it, or died over it")
		}
		if st, err := sys.LstatAt(d.dir.Int(), name); err == nil {
			p.add("uid", uint64(st.UID))
			p.add("type", st.TypeName())
			p.add("bytes", st.Size)
		}
		if err := d.emit(p); err != nil {
			return err
		}
	}
	return nil
}
