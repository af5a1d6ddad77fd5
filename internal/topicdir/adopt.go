package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// adopt takes over a topic whose publisher is dead.
func adopt(p place, opts *CreateOptions) (o *Owner, err error) {
	o = &Owner{place: p, ID: NewID(), TookOver: true}
	defer func() {
		if err != nil {
			o.Close()
			o = nil
		}
	}()
	if o.dir, o.dirStat, err = openDir(p.path()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errAgain
		}
		return o, err
	}
	if uid := os.Geteuid(); int64(o.dirStat.UID) != int64(uid) {
		return o, hinted("choose another name", "the topic belongs to uid %d, and this is uid %d: %w", o.dirStat.UID, uid, syscall.EACCES)
	}
	if o.Sharing, err = sharingOf(&o.dirStat); err != nil {
		return o, err
	}
	if err := o.takeLock(lockPatience); err != nil {
		return o, err
	}
	if err := o.adoptData(true); err != nil {
		return o, err
	}
	differ := o.Config.differences(&opts.Config)
	if o.Sharing != opts.Sharing {
		differ = append(differ, fmt.Sprintf("sharing: %v, asked for %v", o.Sharing, opts.Sharing))
	} else if o.Sharing == Group && int64(o.dirStat.GID) != int64(opts.GID) {
		differ = append(differ, fmt.Sprintf("group: %d, asked for %d", o.dirStat.GID, opts.GID))
	}
	if len(differ) > 0 {
		return o, typeError(differ)
	}
	if err := o.adoptBell(); err != nil {
		return o, err
	}
	if err := o.makePublisher(); err != nil {
		return o, err
	}
	o.clearPredecessors()
	o.Data, o.Bell = o.data.region, o.bell.region
	return o, nil
}

// lockPatience is how long one waits for the lock of a topic that no publisher
// has. Who takes a topic over, removes it or prunes it is done with it long
// before that.
const (
	lockPatience = time.Second
	lockPause    = time.Millisecond
)

// takeLock takes the lock of a topic that has a name. Whoever removes a topic
// holds its lock, so the name is looked at again afterwards. A lock that
// somebody holds who does not publish yet, or not any more, is waited for.
func (o *Owner) takeLock(patience time.Duration) (err error) {
	o.lock, err = openLock(o.dir, &o.dirStat)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			if ok, e := named(sys.AT_FDCWD, o.path(), &o.dirStat); e == nil && !ok {
				return errAgain
			}
			return hinted("remove the topic", "the file lock is missing: %w", sys.ErrCorrupt)
		}
		return err
	}
	for start := time.Now(); ; time.Sleep(lockPause) {
		if err = sys.LockByte(o.lock.Int()); err == nil {
			break
		}
		if !isBusy(err) {
			return err
		}
		owner, publishes := readOwner(o.dir, &o.dirStat)
		if publishes || time.Since(start) >= patience {
			return busy(o.lock.Int(), owner)
		}
	}
	st, err := o.lock.Stat()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		dir  int
		name string
		st   *sys.Stat
	}{{o.dir.Int(), lockFile, &st}, {sys.AT_FDCWD, o.path(), &o.dirStat}} {
		if ok, err := named(f.dir, f.name, f.st); err != nil {
			return err
		} else if !ok {
			return errAgain
		}
	}
	return nil
}

// openLock opens the file lock, which must be the directory's owner's and
// writable by nobody else.
func openLock(dir *sys.FD, st *sys.Stat) (*sys.FD, error) {
	fd, _, err := openChecked(dir.Int(), lockFile, sys.O_RDWR, rules{dir: st, uid: int64(st.UID), links: true, own: true})
	return fd, err
}

// adoptData opens, checks and maps the data of a topic of our own. Who will
// publish reserves it, who only tidies up must do without room.
func (o *Owner) adoptData(publish bool) error {
	fd, st, err := openChecked(o.dir.Int(), dataFile, sys.O_RDWR,
		rules{dir: &o.dirStat, uid: int64(o.dirStat.UID), links: true, own: true, minSize: HeaderSize})
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return hinted("remove the topic", "the file data is missing: %w", sys.ErrCorrupt)
		}
		return err
	}
	defer fd.Close()
	o.dataStat = st
	d, err := openData(fd, &st, true)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	o.data, o.TopicID, o.Config, o.Layout = d.memory, d.header.Instance, d.config, d.layout
	if publish && st.Blocks*512 < o.Layout.Size {
		// Somebody has punched holes: what is reserved can be relied upon.
		if err := fd.Reserve(0, o.Layout.Size); err != nil && !errors.Is(err, syscall.EOPNOTSUPP) {
			return fmt.Errorf("data: %w", err)
		}
	}
	return nil
}

// openedData is the file data, mapped and understood.
type openedData struct {
	memory memory
	header *Header
	config Config
	layout Layout
}

// openData maps data as far as its header says and reads its configuration.
func openData(fd *sys.FD, st *sys.Stat, write bool) (*openedData, error) {
	first, header, b, err := mapChecked(fd, st, KindData, HeaderSize, false)
	if err != nil {
		return nil, err
	}
	first.unmap()
	d := &openedData{header: header}
	if d.config, d.layout, err = DecodeConfig(b, header.Size); err != nil {
		return nil, err
	}
	if uint64(header.Size) > maxInt {
		return nil, corrupt("%d bytes are more than this machine can address", header.Size)
	}
	d.memory, err = mapFile(fd, header.Size, write)
	return d, err
}

// adoptBell maps the bell that subscribers have mapped already, and mends it:
// everybody who may subscribe can have cut it short and scribbled on it.
func (o *Owner) adoptBell() error {
	fd, st, err := openChecked(o.dir.Int(), bellFile, sys.O_RDWR, rules{dir: &o.dirStat, uid: int64(o.dirStat.UID), links: true})
	if err != nil {
		// It is gone, or no bell at all.
		if e := sys.Unlinkat(o.dir.Int(), bellFile); e != nil && !errors.Is(e, fs.ErrNotExist) {
			return fmt.Errorf("%w, and it cannot be replaced: %w", err, e)
		}
		return o.makeBell()
	}
	defer fd.Close()
	if st.Size < BellSize || st.Blocks*512 < BellSize {
		if err := fd.Reserve(0, BellSize); err != nil && !errors.Is(err, syscall.EOPNOTSUPP) {
			return fmt.Errorf("bell: %w", err)
		}
	}
	header := Header{Kind: KindBell, Size: BellSize, Instance: o.TopicID, Topic: o.TopicID, Maker: thisMaker()}
	b := make([]byte, HeaderSize)
	header.encode(b)
	if err := (&draft{fd: fd}).writeHeader(b); err != nil {
		return fmt.Errorf("bell: %w", err)
	}
	if err := fd.Chmod(modesOf[o.Sharing].bell); err != nil {
		return fmt.Errorf("bell: %w", err)
	}
	o.bell, err = mapFile(fd, BellSize, true)
	return err
}

// clearPredecessors removes the files of earlier publishers, none of which
// lives, since we hold the lock, and of participants that died before their
// file had its name.
func (o *Owner) clearPredecessors() {
	mine := publisherFile + o.ID.String()
	entries(o.dir, func(name string, _ uint64, _ uint8) bool {
		switch {
		case strings.HasPrefix(name, publisherFile) && name != mine:
			sys.Unlinkat(o.dir.Int(), name)
		case strings.HasPrefix(name, tempPrefix):
			// One that lives and has not locked it yet finds out, and
			// begins anew.
			if fd, _, err := openChecked(o.dir.Int(), name, sys.O_RDONLY, rules{dir: &o.dirStat, uid: -1, links: true}); err == nil {
				locked, err := sys.ByteLocked(fd.Int())
				fd.Close()
				if err == nil && !locked {
					sys.Unlinkat(o.dir.Int(), name)
				}
			}
		}
		return true
	})
}

// readOwner gives the maker of a p.ID whose lock is held, or of any if none
// is; nil if there is none.
func readOwner(dir *sys.FD, st *sys.Stat) (found *Maker, locked bool) {
	entries(dir, func(name string, _ uint64, _ uint8) bool {
		p, err := openPublisher(dir, st, name)
		if err != nil {
			return true
		}
		defer p.fd.Close()
		if found == nil {
			found = &p.header.Maker
		}
		if held, err := sys.ByteLocked(p.fd.Int()); err == nil && held {
			found, locked = &p.header.Maker, true
		}
		return !locked
	})
	return found, locked
}
