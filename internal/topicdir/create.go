package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// CreateOptions say what a topic shall be like.
type CreateOptions struct {
	Dir       string // where topics are; empty for /dev/shm
	Config    Config
	Sharing   Sharing
	GID       int  // for Group
	Exclusive bool // refuse, with fs.ErrExist, a topic that exists, whoever owns it
}

// tries bounds how often Create begins anew because somebody else created or
// removed the topic at the same moment, or swept up a directory that had not
// got its lock yet. Each time somebody else has got on.
const tries = 100

// errAgain: the topic changed under us, begin anew.
var errAgain = errors.New("the topic came and went while it was opened")

// Create makes a topic, or takes it over when its publisher is dead, its
// owner is this user, and configuration and sharing agree. Errors, beside
// those of the system: fs.ErrInvalid for a bad name or configuration,
// sys.ErrBusy while a publisher lives (the text names it), sys.ErrType where
// the topic is of another configuration, fs.ErrExist with Exclusive,
// fs.ErrPermission for a topic of another user, sys.ErrCorrupt for what is
// no topic, sys.ErrVersion, and ENOSPC (which is sys.ErrNoSpace), after which
// nothing is left behind.
//
// A fresh topic has epoch 1, since which it publishes from number 0, and this
// publisher's ID in its hot lines, and is zero otherwise. One that was taken over is as its last publisher left it:
// see spec/topic.md, 6.4.
func Create(name string, opts *CreateOptions) (*Owner, error) {
	const op = "create"
	if opts == nil {
		opts = &CreateOptions{}
	}
	p, err := newPlace(opts.Dir, name)
	if err != nil {
		return nil, err
	}
	l, err := opts.Config.layout()
	if err != nil {
		return nil, p.fail(op, err)
	}
	if int(opts.Sharing) >= len(modesOf) {
		return nil, p.fail(op, fmt.Errorf("%v: %w", opts.Sharing, fs.ErrInvalid))
	}
	mount, err := openMount(p.dir)
	if err != nil {
		return nil, p.fail(op, err)
	}
	defer mount.Close()
	sweep(mount)
	for range tries {
		var o *Owner
		switch _, err = sys.LstatAt(mount.Int(), p.name+suffix); {
		case err == nil && opts.Exclusive:
			err = syscall.EEXIST
		case err == nil:
			o, err = adopt(p, opts)
		case errors.Is(err, fs.ErrNotExist):
			o, err = build(p, mount, opts, &l)
		}
		if errors.Is(err, errAgain) {
			continue
		}
		if err != nil {
			return nil, p.fail(op, err)
		}
		return o, nil
	}
	return nil, p.fail(op, fmt.Errorf("%w, %d times: %w", err, tries, sys.ErrBusy))
}

// build makes a new topic under a temporary name and then gives it its own.
func build(p place, mount *sys.FD, opts *CreateOptions, l *Layout) (*Owner, error) {
	if err := checkRoom(mount.Int(), l.Size+overhead); err != nil {
		return nil, roomError(mount.Int(), &opts.Config, l, err)
	}
	o := &Owner{place: p, ID: NewID(), TopicID: NewID(), Config: opts.Config, Layout: *l, Sharing: opts.Sharing}
	o.Config.PayloadAlign = opts.Config.align()
	temp := newPrefix + o.TopicID.String()
	err := o.build(mount, temp, opts)
	if err == nil {
		err = sys.RenameatNoReplace(mount.Int(), temp, p.name+suffix)
	}
	if err == nil {
		return o, nil
	}
	swept := o.swept(mount, temp)
	o.discard(mount, temp)
	switch {
	case swept, errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOENT), isBusy(err):
		// Somebody was faster, or took the half-made directory for that of
		// a dead one.
		err = errAgain
	case errors.Is(err, syscall.ENOSPC):
		if _, e := sys.LstatAt(mount.Int(), p.name+suffix); e == nil {
			return nil, errAgain // the room is taken by somebody who was faster
		}
		err = roomError(mount.Int(), &opts.Config, l, err)
	case errors.Is(err, syscall.EFBIG):
		err = fmt.Errorf("%d bytes are more than RLIMIT_FSIZE (ulimit -f) or the file system allows: %w", l.Size, err)
	}
	return nil, err
}

func (o *Owner) build(mount *sys.FD, temp string, opts *CreateOptions) (err error) {
	mode := modesOf[opts.Sharing]
	if err := sys.Mkdirat(mount.Int(), temp, 0o700); err != nil {
		return err
	}
	const flags = sys.O_RDONLY | sys.O_DIRECTORY | sys.O_NOFOLLOW | sys.O_CLOEXEC
	n, err := sys.Openat(mount.Int(), temp, flags, 0)
	if errors.Is(err, syscall.EACCES) {
		// A umask that takes the owner's rights away.
		if err = sys.Chmodat(mount.Int(), temp, 0o700); err == nil {
			n, err = sys.Openat(mount.Int(), temp, flags, 0)
		}
	}
	if err != nil {
		return err
	}
	o.dir = sys.NewFD(n)
	// All the rights of the owner, none of others: files are made in it.
	if err := o.dir.Chmod(0o700); err != nil {
		return err
	}
	// The lock is first: without it the directory is taken for a dead one's.
	if o.lock, err = o.makeFile(lockFile, mode.lock, 0, nil); err != nil {
		return err
	}
	if opts.Sharing == Group {
		if err := o.dir.Chown(-1, opts.GID); err != nil {
			return hinted("this user has to be a member of the group", "giving the topic to group %d: %w", opts.GID, err)
		}
	}
	// Closed to others still, but its files shall get its group.
	if err := o.dir.Chmod(mode.dir &^ 0o1077); err != nil {
		return err
	}
	header := Header{Kind: KindData, Size: o.Layout.Size, Instance: o.TopicID, Maker: thisMaker()}
	b := make([]byte, HeaderSize)
	header.encode(b)
	o.Config.encode(b, &o.Layout)
	data, err := o.makeFile(dataFile, mode.data, o.Layout.Size, b)
	if err != nil {
		return err
	}
	defer data.Close()
	if o.data, err = mapFile(data, o.Layout.Size, true); err != nil {
		return err
	}
	firstEpoch(o.data.region.Bytes()[o.Layout.Hot:], o.ID)
	if o.dataStat, err = data.Stat(); err != nil {
		return err
	}
	if err := o.makeBell(); err != nil {
		return err
	}
	if err := o.makePublisher(); err != nil {
		return err
	}
	if err := o.dir.Chmod(mode.dir); err != nil {
		return err
	}
	o.Data, o.Bell = o.data.region, o.bell.region
	if o.dirStat, err = o.dir.Stat(); err != nil {
		return err
	}
	if o.dirStat.Mode&0o7777 != mode.dir {
		return fmt.Errorf("the directory got mode %#o where %#o was asked for: %w", o.dirStat.Mode&0o7777, mode.dir, syscall.EPERM)
	}
	return nil
}

// firstEpoch writes into the hot lines of a new topic that its first publisher
// begins with number 0.
func firstEpoch(hot []byte, publisher ID) {
	var w [8]byte
	le.PutUint64(w[:], 1)
	mem.Copy(hot[HotEpoch:], w[:])
	le.PutUint64(w[:], 1<<(64-sinceEpochBits))
	mem.Copy(hot[HotSince:], w[:])
	mem.Copy(hot[HotPublisher:], publisher[:])
}

// swept reports whether somebody renamed the half-made directory away.
func (o *Owner) swept(mount *sys.FD, temp string) bool {
	if o.dir == nil {
		return false
	}
	st, err := o.dir.Stat()
	if err != nil {
		return false
	}
	ok, err := named(mount.Int(), temp, &st)
	return err == nil && !ok
}

// discard takes back what build has made.
func (o *Owner) discard(mount *sys.FD, temp string) {
	if o.dir != nil {
		empty(o.dir)
	}
	err := sys.Rmdirat(mount.Int(), temp)
	if errors.Is(err, fs.ErrNotExist) && o.dir != nil {
		// Whoever swept it away may have found it filled again.
		if st, err := o.dir.Stat(); err == nil && st.Nlink > 0 {
			entries(mount, func(name string, ino uint64, _ uint8) bool {
				if ino == st.Ino && strings.HasPrefix(name, deadPrefix) {
					sys.Rmdirat(mount.Int(), name)
				}
				return true
			})
		}
	}
	o.Close()
}

// makeBell makes and maps the bell.
func (o *Owner) makeBell() error {
	header := Header{Kind: KindBell, Size: BellSize, Instance: o.TopicID, Topic: o.TopicID, Maker: thisMaker()}
	b := make([]byte, HeaderSize)
	header.encode(b)
	fd, err := o.makeFile(bellFile, modesOf[o.Sharing].bell, BellSize, b)
	if err != nil {
		return err
	}
	defer fd.Close()
	o.bell, err = mapFile(fd, BellSize, true)
	return err
}

// makePublisher makes p.ID, whose lock shows subscribers that we live.
func (o *Owner) makePublisher() (err error) {
	header := Header{Kind: KindPublisher, Size: PublisherSize, Instance: o.ID, Topic: o.TopicID, Maker: thisMaker()}
	b := make([]byte, HeaderSize)
	header.encode(b)
	o.own, err = o.makeFile(publisherFile+o.ID.String(), modesOf[o.Sharing].id, PublisherSize, b)
	if err == nil {
		o.ownStat, err = o.own.Stat()
	}
	return err
}

// makeFile makes a file that is complete, and locked if locks are taken on
// it, when it gets its name. A file of size 0 has no header.
func (o *Owner) makeFile(name string, mode uint32, size int64, header []byte) (*sys.FD, error) {
	d, err := newDraft(o.dir.Int(), size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if size > 0 {
		if err := d.writeHeader(header); err != nil {
			d.discard()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return d.publish(name, mode, name == lockFile || strings.HasPrefix(name, publisherFile))
}
