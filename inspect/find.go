package inspect

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/sysv"
)

// Find looks for one object by its address, as package shm takes it, and by
// "memfd:NAME" where only one memfd is called so. The memory of a connection
// is "shmnet:inode=N", or "shmnet:" and the address of its socket where there
// is only one. What does not exist is
// fs.ErrNotExist. Of the options Kinds does not count.
func Find(ctx context.Context, address string, opts *Options) (*Object, error) {
	if strings.HasPrefix(address, ShmnetPrefix) {
		o := opts.orDefault()
		o.Kinds = []Kind{KindShmnet}
		snap, err := Scan(ctx, &o)
		if err != nil {
			return nil, err
		}
		return snap.findShmnet(address)
	}
	a, err := shm.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	o := opts.orDefault()
	switch a.Kind {
	case shm.SysV:
		o.Kinds = []Kind{KindSysV}
	case shm.Memfd:
		o.Kinds = []Kind{KindMemfd, KindShmnet}
	default:
		o.Kinds = []Kind{KindPOSIX, KindSemaphore, KindTopic, KindOther}
	}
	snap, err := Scan(ctx, &o)
	if err != nil {
		return nil, err
	}
	return snap.find(a, o.Proc)
}

// Users gives the processes that use an object. See Find, and Object.Holders
// about what may be missing; partial says whether something may.
func Users(ctx context.Context, address string, opts *Options) (holders []Holder, partial bool, err error) {
	o, err := Find(ctx, address, opts)
	if err != nil {
		return nil, false, err
	}
	return o.Holders, o.Partial(), nil
}

// Find gives the object of the snapshot that an address means, as the
// function Find does. It points into s.Objects.
func (s *Snapshot) Find(address string) (*Object, error) {
	if strings.HasPrefix(address, ShmnetPrefix) {
		return s.findShmnet(address)
	}
	a, err := shm.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	return s.find(a, string(procfs.Default))
}

func (s *Snapshot) find(a shm.Address, proc string) (*Object, error) {
	match, hint, err := matcher(a, proc)
	if err != nil {
		return nil, err
	}
	var got *Object
	for i := range s.Objects {
		o := &s.Objects[i]
		if !match(o) {
			continue
		}
		if got != nil && a.Kind == shm.Memfd {
			return nil, &sys.Error{Op: "find", Kind: string(a.Kind), Name: a.String(),
				Err:  fmt.Errorf("several memfds have this name: %w", syscall.EEXIST),
				Hint: fmt.Sprintf("say which one: %s, %s", got.reach(), o.reach())}
		}
		got = o
	}
	if got != nil {
		return got, nil
	}
	// What could not be listed may be there.
	for _, r := range s.Reasons {
		if r.Code == ReasonSysV && a.Kind == shm.SysV || r.Code == ReasonMount && a.Kind == shm.POSIX {
			return nil, &sys.Error{Op: "find", Kind: string(a.Kind), Name: a.String(), Err: r.Err, Hint: r.Hint()}
		}
	}
	return nil, &sys.Error{Op: "find", Kind: string(a.Kind), Name: a.String(), Err: syscall.ENOENT, Hint: hint}
}

// findShmnet finds the memory of a connection, by its own address or by its
// socket's.
func (s *Snapshot) findShmnet(address string) (*Object, error) {
	fail := func(err error, hint string) (*Object, error) {
		return nil, &sys.Error{Op: "find", Kind: string(KindShmnet), Name: address, Err: err, Hint: hint}
	}
	socket := strings.TrimPrefix(address, ShmnetPrefix)
	var got *Object
	for i := range s.Objects {
		o := &s.Objects[i]
		switch {
		case o.Kind != KindShmnet:
		case o.Address == address:
			return o, nil
		case o.Name == socket && got == nil:
			got = o
		case o.Name == socket:
			return fail(fmt.Errorf("several connections, or rings of one: %w", syscall.EEXIST), fmt.Sprintf("say which one: %s, %s", got.Address, o.Address))
		}
	}
	if got != nil {
		return got, nil
	}
	return fail(syscall.ENOENT, "no connection that could be seen; name one by the address of its socket, or by shmnet:inode=N")
}

func (o *Object) reach() string {
	if o.Address != "" {
		return o.Address
	}
	return o.Via
}

// matcher gives a function that recognises what an address means, and the
// hint for when nothing does.
func matcher(a shm.Address, proc string) (match func(*Object) bool, hint string, err error) {
	fail := func(err error, hint string) (func(*Object) bool, string, error) {
		return nil, "", &sys.Error{Op: "find", Kind: string(a.Kind), Name: a.String(), Err: err, Hint: hint}
	}
	switch a.By {
	case shm.ByPrivate:
		return fail(fmt.Errorf("private segments have no key: %w", syscall.EINVAL), "name it by its identifier: sysv:id=N")
	case shm.ByID:
		return func(o *Object) bool { return o.Kind == KindSysV && !o.Foreign && o.ID == a.ID },
			"identifiers change when segments are made anew: list what exists", nil
	case shm.ByKey, shm.ByFtok:
		key := a.Key
		if a.By == shm.ByFtok {
			if key, err = sysv.Ftok(a.Path, a.Proj); err != nil {
				return nil, "", err
			}
		}
		hint := "no segment has this key: list what exists"
		if a.By == shm.ByFtok {
			hint = fmt.Sprintf("no segment has the key %#08x that ftok makes of the file now; a file that was made anew has another key", uint32(key))
		}
		return func(o *Object) bool { return o.Kind == KindSysV && !o.Foreign && !o.Removed && o.Key == key }, hint, nil
	case shm.ByDescriptor:
		root := procfs.Root(proc)
		st, err := sys.StatPath(root.FDPath(a.PID, a.FD))
		if err != nil {
			if _, e := root.Stat(a.PID); procfs.Gone(e) {
				return fail(fmt.Errorf("there is no such process: %w", fs.ErrNotExist), "")
			}
			return fail(err, "")
		}
		return func(o *Object) bool {
				return (o.Kind == KindMemfd || o.Kind == KindShmnet) && o.Dev == st.Dev && o.Inode == st.Ino
			},
			"the descriptor is no memfd", nil
	}
	if a.Kind == shm.Memfd {
		return func(o *Object) bool { return o.Kind == KindMemfd && o.Name == a.Name },
			"no memfd that could be seen is called so; name it by memfd:PID/FD", nil
	}
	return func(o *Object) bool {
		for _, n := range o.Names {
			if n == a.Name {
				return true
			}
		}
		return false
	}, "list what exists" + semaphoreHint(a.Name), nil
}

func semaphoreHint(name string) string {
	if strings.HasPrefix(name, "/sem.") {
		return ""
	}
	return "; a semaphore /x is the file /sem.x"
}
