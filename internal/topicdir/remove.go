package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// RemoveOptions say which topic is meant, and how bravely.
type RemoveOptions struct {
	Dir   string // where topics are; empty for /dev/shm
	Force bool   // also while its publisher lives
}

// Remove removes a topic: it is renamed away, and then what is in it is
// deleted. While its publisher lives that is sys.ErrBusy, which names it,
// unless forced: the publisher finds out by Owner.Named. Subscribers keep
// what they have mapped. Errors, beside those of the system: fs.ErrNotExist,
// fs.ErrPermission.
//
// Where another user has put a directory into the topic, that stays, under a
// name ".dead-ID", and the error says so; the topic is removed then as well.
func Remove(name string, opts *RemoveOptions) error {
	const op = "remove"
	if opts == nil {
		opts = &RemoveOptions{}
	}
	p, err := newPlace(opts.Dir, name)
	if err != nil {
		return err
	}
	for range tries {
		err = remove(p, opts.Force)
		if !errors.Is(err, errAgain) {
			break
		}
	}
	if err != nil {
		return p.fail(op, err)
	}
	return nil
}

func remove(p place, force bool) error {
	dir, st, err := openDir(p.path())
	if err != nil {
		return err
	}
	defer dir.Close()
	if uid := os.Geteuid(); uid != 0 && int64(uid) != int64(st.UID) {
		return fmt.Errorf("the topic belongs to uid %d, and this is uid %d: %w", st.UID, uid, syscall.EPERM)
	}
	o := &Owner{place: p, dir: dir, dirStat: st}
	err = o.takeLock(lockPatience)
	if o.lock != nil {
		defer o.lock.Close()
	}
	switch {
	case err == nil, errors.Is(err, sys.ErrBusy) && force, errors.Is(err, sys.ErrCorrupt):
		// Without a lock that is one, it is no topic that anybody uses.
	default:
		return err
	}
	return bury(p, dir, &st)
}

// bury renames a topic's directory to .dead-ID and deletes it. The lock is
// held, or nobody cares.
func bury(p place, dir *sys.FD, st *sys.Stat) error {
	mount, err := openMount(p.dir)
	if err != nil {
		return err
	}
	defer mount.Close()
	if ok, err := named(mount.Int(), p.name+suffix, st); err != nil {
		return err
	} else if !ok {
		return fmt.Errorf("its name was removed or stands for another topic: %w", sys.ErrRemoved)
	}
	return buryAs(mount, p.name+suffix, dir, st)
}

func buryAs(mount *sys.FD, name string, dir *sys.FD, st *sys.Stat) error {
	dead := deadPrefix + NewID().String()
	if err := sys.RenameatNoReplace(mount.Int(), name, dead); err != nil {
		return err
	}
	if ok, err := named(mount.Int(), dead, st); err == nil && !ok {
		// Somebody who does not hold to the rules has put another one there
		// meanwhile.
		sys.RenameatNoReplace(mount.Int(), dead, name)
		return errAgain
	}
	return destroy(mount, dead, dir)
}

// destroy deletes a directory that has been renamed away.
func destroy(mount *sys.FD, dead string, dir *sys.FD) error {
	dir.Chmod(0o700) // nobody else shall make anything new in it
	for try := 0; ; try++ {
		failed := empty(dir)
		err := sys.Rmdirat(mount.Int(), dead)
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
			return nil
		case failed != nil:
			err = failed
		case errors.Is(err, syscall.ENOTEMPTY) && try < tries:
			continue // its creator lives and has not noticed yet
		}
		return fmt.Errorf("what is left stands in %s: %w", dead, err)
	}
}

// empty deletes what is in a directory, but directories that are not empty.
func empty(dir *sys.FD) error {
	var failed error
	for {
		var names []string
		if err := entries(dir, func(name string, _ uint64, _ uint8) bool {
			names = append(names, name)
			return len(names) < 1024
		}); err != nil {
			return err
		}
		removed := 0
		for _, name := range names {
			err := sys.Unlinkat(dir.Int(), name)
			if errors.Is(err, syscall.EISDIR) {
				err = sys.Rmdirat(dir.Int(), name)
			}
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				removed++
			} else {
				failed = fmt.Errorf("%q: %w", name, err)
			}
		}
		if removed == 0 {
			return failed
		}
	}
}

// sweep removes what this user's dead creators and removers have left in the
// directory of topics. It is a courtesy: errors are passed over.
func sweep(mount *sys.FD) {
	var left []string
	entries(mount, func(name string, _ uint64, _ uint8) bool {
		if isLeftover(name) {
			left = append(left, name)
		}
		return true
	})
	for _, name := range left {
		sweepOne(mount, name, false)
	}
}

// isLeftover tells the names of topics that are being made or removed.
func isLeftover(name string) bool {
	for _, prefix := range []string{newPrefix, deadPrefix} {
		if hex, ok := strings.CutPrefix(name, prefix); ok {
			_, ok := ParseID(hex)
			return ok
		}
	}
	return false
}

// errInUse: somebody who lives is making or removing it.
var errInUse = errors.New("somebody makes or removes it")

// sweepOne removes one of them; with others, of other users too.
func sweepOne(mount *sys.FD, name string, others bool) error {
	n, err := sys.Openat(mount.Int(), name, sys.O_RDONLY|sys.O_DIRECTORY|sys.O_NOFOLLOW|sys.O_NONBLOCK|sys.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dir := sys.NewFD(n)
	defer dir.Close()
	st, err := dir.Stat()
	if err != nil {
		return err
	}
	if int64(st.UID) != int64(os.Geteuid()) && !others {
		return syscall.EPERM
	}
	lock, err := openLock(dir, &st)
	if err == nil {
		defer lock.Close()
		// Held, its maker cannot take it any more, or has it.
		if err := sys.LockByte(lock.Int()); err != nil {
			return errInUse
		}
	}
	if strings.HasPrefix(name, deadPrefix) {
		return destroy(mount, name, dir)
	}
	return buryAs(mount, name, dir, &st)
}
