package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Candidate is something that a dead process has left and that may be
// removed.
type Candidate struct {
	Topic string // its name; empty for what a creator or remover has left
	Path  string
	UID   uint32
	Size  int64  // bytes of memory that removing it frees
	Why   string // it is dead, in words
	// InUse says that somebody still has to do with it: subscribers that
	// wait for a successor, or what cannot be seen by this user. It is not
	// to be removed without a question.
	InUse bool

	dir, name string
}

// Dead looks for topics whose publisher is dead, and for what dead creators
// and removers have left, of this user and of others. An empty dir means
// /dev/shm. A topic without a publisher may still be taken over by the next
// one, which goes on where it ended; Why says what there is to know.
func Dead(dir string) ([]Candidate, error) {
	names, leftovers, err := list(dir)
	if err != nil {
		return nil, err
	}
	var found []Candidate
	for _, name := range names {
		if c, ok := deadTopic(dir, name); ok {
			found = append(found, c)
		}
	}
	p, _ := newPlace(dir, "x")
	for _, name := range leftovers {
		if c, ok := deadLeftover(p.dir, name); ok {
			found = append(found, c)
		}
	}
	return found, nil
}

func deadTopic(dir, name string) (Candidate, bool) {
	info, err := Inspect(name, &OpenOptions{Dir: dir})
	if info.Alive || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return Candidate{}, false
	}
	c := Candidate{Topic: name, Path: info.Path, UID: info.UID, Size: info.Size, dir: dir}
	switch {
	case err != nil:
		c.Why, c.InUse = fmt.Sprintf("it is damaged: %v", cause(err)), !errors.Is(err, sys.ErrCorrupt)
	case info.End != 0:
		c.Why = fmt.Sprintf("its publisher has closed it after %d samples", info.Counters[CountPublished])
	case info.Publisher != nil:
		c.Why = fmt.Sprintf("its publisher, process %d, is dead", info.Publisher.PID)
	default:
		c.Why = "it has no publisher"
	}
	living := 0
	for _, m := range info.Members {
		if m.Alive {
			living++
		}
	}
	switch living {
	case 0:
		if err == nil {
			c.Why += "; nobody subscribes"
		}
	case 1:
		c.Why, c.InUse = c.Why+"; 1 subscriber lives", true
	default:
		c.Why, c.InUse = fmt.Sprintf("%s; %d subscribers live", c.Why, living), true
	}
	return c, true
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
	c := Candidate{Path: path, UID: st.UID, Size: info.Size, dir: dir, name: name}
	lock, _, err := openChecked(d.Int(), lockFile, sys.O_RDONLY, rules{dir: &st, uid: int64(st.UID), links: true})
	switch {
	case err == nil:
		locked, err := sys.ByteLocked(lock.Int())
		lock.Close()
		if locked || err != nil {
			return Candidate{}, false // it is being made or removed
		}
	case errors.Is(err, fs.ErrPermission):
		c.InUse = true
	}
	c.Why = "whoever made this topic died before it was complete"
	if strings.HasPrefix(name, deadPrefix) {
		c.Why = "whoever removed this topic died before it was done"
	}
	return c, true
}

// Remove removes it, if it is still dead: sys.ErrBusy otherwise.
func (c *Candidate) Remove() error {
	if c.Topic != "" {
		return Remove(c.Topic, &RemoveOptions{Dir: c.dir})
	}
	mount, err := openMount(c.dir)
	if err == nil {
		defer mount.Close()
		err = sweepOne(mount, c.name, true)
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errInUse):
		err = fmt.Errorf("%w: %w", err, sys.ErrBusy)
	}
	return &sys.Error{Op: "remove", Kind: "topic", Name: c.Path, Err: err}
}
