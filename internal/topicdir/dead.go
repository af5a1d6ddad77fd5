package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Kinds of what the dead leave.
const (
	DeadTopic      = "topic"      // a topic without a publisher
	DeadSubscriber = "subscriber" // the file r.ID of one
	DeadCreation   = "creation"   // the directory .new-ID
	DeadRemoval    = "removal"    // the directory .dead-ID
)

// Candidate is something that a dead process has left.
type Candidate struct {
	Kind  string
	Topic string // its name; empty for a creation or a removal
	Path  string
	UID   uint32
	Size  int64  // bytes of memory that removing it frees
	Maker *Maker // who died, as it says itself; nil where that is not known
	Heard time.Time
	Why   string // it is dead, in words
	// Kept says that its publisher has not died but ended the topic, and left
	// it to be read: it is not to be removed unless that is asked for.
	Kept bool
	// InUse says why it is not to be removed now: somebody still has to do
	// with it, or what cannot be seen by this user. Empty where nothing speaks
	// against it.
	InUse string

	dir, name string
	ino       uint64 // of the topic's directory
	epoch     uint64
	id        ID
}

// Dead looks for what dead publishers, subscribers, creators and removers
// have left, of this user and of others. An empty dir means /dev/shm. closed
// counts the topics into which this user may not look.
//
// A topic without a publisher may still be taken over by the next one, which
// goes on where it ended; Heard is when it was last heard of. A topic that is
// damaged, or of another version, is InUse: who knows. The files of dead
// subscribers are candidates by themselves, and also counted in the topic's Size.
func Dead(dir string) (found []Candidate, closed int, err error) {
	names, leftovers, err := list(dir)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		info, err := Inspect(name, &OpenOptions{Dir: dir})
		switch {
		case errors.Is(err, fs.ErrPermission):
			closed++
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, sys.ErrRemoved):
		default:
			found = append(found, deadOf(dir, info, err)...)
		}
	}
	p, _ := newPlace(dir, "x")
	for _, name := range leftovers {
		if c, ok := deadLeftover(p.dir, name); ok {
			found = append(found, c)
		}
	}
	return found, closed, nil
}

// deadOf gives what is dead of a topic: all of it, or subscribers.
func deadOf(dir string, info *Info, err error) []Candidate {
	var found []Candidate
	keep := ""
	if !info.Alive {
		c := deadTopic(dir, info, err)
		found = append(found, c)
		if err != nil {
			return found
		}
		if _, held := lockOf(info); held != "" {
			keep = held
		}
	} else if err == nil && info.Publisher != nil {
		keep = fmt.Sprintf("its publisher, process %d, removes it when it publishes next", info.Publisher.PID)
	}
	for i := range info.Members {
		m := &info.Members[i]
		if m.Alive {
			continue
		}
		found = append(found, Candidate{
			Kind: DeadSubscriber, Topic: info.Name, Path: info.Path + "/" + memberFile + m.ID.String(), UID: info.UID,
			Size: m.Size, Maker: &m.Maker, Heard: m.Maker.Made, Why: m.death(), InUse: keep,
			dir: dir, id: m.ID,
		})
	}
	return found
}

func deadTopic(dir string, info *Info, err error) Candidate {
	c := Candidate{Kind: DeadTopic, Topic: info.Name, Path: info.Path, UID: info.UID, Size: info.Size, Maker: info.Publisher, Heard: info.Heard, dir: dir}
	if err != nil {
		c.Why, c.InUse = fmt.Sprintf("it is damaged: %v", cause(err)), "it cannot be told what it holds"
		return c
	}
	c.ino, c.epoch = info.ino, info.Epoch
	switch {
	case info.End != 0:
		c.Kept = true
		c.Why = fmt.Sprintf("its publisher has ended it after %s and left it to be read", count(info.Counters[CountPublished], "sample"))
	case info.Publisher != nil:
		c.Why = "its publisher, " + info.Publisher.death()
	default:
		c.Why = "it has no publisher"
	}
	var living, dead uint64
	for i := range info.Members {
		if m := &info.Members[i]; m.Alive {
			if living++; living == 1 {
				c.InUse = fmt.Sprintf("process %d subscribes", m.Maker.PID)
			}
		} else {
			dead++
		}
	}
	if living > 1 {
		c.InUse += fmt.Sprintf(", and %d others do", living-1)
	}
	if dead > 0 {
		c.Why += fmt.Sprintf("; %s died too", count(dead, "subscriber"))
	}
	if _, held := lockOf(info); held != "" && living == 0 {
		c.InUse = held
	}
	return c
}

// lockOf says who keeps the lock of a topic without a living publisher: a
// child that the dead one has left, or whoever takes it over, removes it or
// prunes it at this moment. Empty where nobody does. ok is false where that
// cannot be seen.
func lockOf(info *Info) (ok bool, held string) {
	dir, st, err := openDir(info.Path)
	if err != nil {
		return false, ""
	}
	defer dir.Close()
	lock, _, err := openChecked(dir.Int(), lockFile, sys.O_RDONLY, rules{dir: &st, uid: int64(st.UID), links: true})
	if err != nil {
		return false, ""
	}
	defer lock.Close()
	locked, err := sys.ByteLocked(lock.Int())
	if err != nil || !locked {
		return err == nil, ""
	}
	held = strings.TrimSuffix(busy(lock.Int(), info.Publisher).Error(), ": "+sys.ErrBusy.Error())
	return true, held
}

// death says how a process is known to be dead whose lock is gone, or held by
// a child only.
func (m *Maker) death() string {
	switch {
	case m.PID == 0:
		return "which does not say what process it was, has let its lock go"
	case !m.near():
		return fmt.Sprintf("process %d of another pid namespace or boot, has let its lock go", m.PID)
	case m.Gone():
		return fmt.Sprintf("process %d, is gone, and its lock with it", m.PID)
	}
	return fmt.Sprintf("process %d, has let its lock go", m.PID)
}

// death says the same of a subscriber, which takes its request back when it
// leaves.
func (i *MemberInfo) death() string {
	if i.Ask == 0 {
		return fmt.Sprintf("process %d has left, and no publisher has seen it", i.Maker.PID)
	}
	return "its subscriber, " + i.Maker.death()
}

// count gives a number of things.
func count(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// cause is the error without operation and name.
func cause(err error) error {
	var e *sys.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err
	}
	return err
}

func deadLeftover(dir, name string) (Candidate, bool) {
	path := dir + "/" + name
	d, st, err := openDir(path)
	if err != nil {
		return Candidate{}, false
	}
	defer d.Close()
	var info Info
	info.measure(d)
	info.publishers(d, &st)
	c := Candidate{Kind: DeadCreation, Path: path, UID: st.UID, Size: info.Size, Maker: info.Publisher, Heard: st.Change, dir: dir, name: name}
	lock, _, err := openChecked(d.Int(), lockFile, sys.O_RDONLY, rules{dir: &st, uid: int64(st.UID), links: true})
	switch {
	case err == nil:
		locked, err := sys.ByteLocked(lock.Int())
		lock.Close()
		if locked || err != nil {
			return Candidate{}, false // it is being made or removed
		}
	case errors.Is(err, fs.ErrPermission):
		c.InUse = "whether somebody works on it cannot be seen"
	}
	if strings.HasPrefix(name, deadPrefix) {
		// The file p.ID, if it is still there, is that of its publisher.
		c.Kind, c.Maker, c.Why = DeadRemoval, nil, "whoever removed this topic died before it was done"
		return c, true
	}
	c.Why = "whoever made this topic died before it was complete"
	if c.Maker != nil {
		c.Why = "its maker, " + c.Maker.death() + ", before it was complete"
	}
	return c, true
}
