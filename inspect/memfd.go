package inspect

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/sysv"
)

// memfdPrefix is how the kernel names memfds in /proc.
const memfdPrefix = "/memfd:"

// ShmnetPrefix begins the names of the memfds of package shmnet, before the
// address of the connection's socket, and the addresses of such memory.
const ShmnetPrefix = "shmnet:"

// inodePrefix begins the number of one memory among several of one socket.
const inodePrefix = "inode="

var noTime time.Time

// memfd notes a memfd that was found as a descriptor; o is what is known of it
// already, nil for nothing.
func (v *visit) memfd(o *Object, st *sys.Stat, link string, fd int, via string) *Object {
	switch {
	case o == nil:
		o = v.add(&Object{
			Swapped: -1, Creator: Creator{Life: Unknown},
			Dev: st.Dev, Inode: st.Ino, Huge: v.devs.pages[procfs.DevFromStat(st.Dev)],
		})
		o.called(link)
		v.files[identity{st.Dev, st.Ino}] = o
		*o = restate(o, st, via)
	case o.unstated:
		*o = restate(o, st, via)
	}
	if o.Kind == KindMemfd && o.Address == "" {
		o.Address, o.Via = fmt.Sprintf("memfd:%d/%d", v.task, fd), via
	}
	if !o.HasSeals {
		v.seals(o)
	}
	return o
}

// called takes from the name that /proc shows of a memfd what it is.
func (o *Object) called(link string) {
	o.Kind = KindMemfd
	o.Name = strings.TrimSuffix(strings.TrimPrefix(link, memfdPrefix), deletedSuffix)
	if socket, ok := strings.CutPrefix(o.Name, ShmnetPrefix); ok {
		o.Kind, o.Name = KindShmnet, socket
		o.Address = ShmnetPrefix + inodePrefix + strconv.FormatUint(o.Inode, 10)
	}
}

// nameless notes a memfd, or anonymous memory, that was found as a mapping.
func (v *visit) nameless(m *procfs.Mapping, kind procfs.Kind) *Object {
	key := identity{m.Dev.Stat(), m.Inode}
	if o := v.files[key]; o != nil {
		return o
	}
	via := v.root.MapFilePath(v.task, m.Start, m.End)
	o := &Object{
		Kind: KindMemfd, Swapped: -1, Creator: Creator{Life: Unknown},
		Dev: key.dev, Inode: key.inode, Huge: v.devs.pages[m.Dev], Via: via,
	}
	if kind == procfs.KindSharedAnonymous {
		o.Kind = KindAnonymous
	} else {
		o.called(m.Name())
	}
	if st, err := sys.StatPath(via); err == nil {
		*o = restate(o, &st, via)
		if o.Kind != KindAnonymous {
			v.seals(o)
		}
	} else {
		unstate(o)
	}
	v.files[key] = v.add(o)
	return o
}

// seals asks for the seals of the memfd at o.Via. The descriptor behind that
// path may be another file by now, and opening a device or a FIFO has effects:
// so it is first opened as a place (O_PATH), which has none, and compared.
func (v *visit) seals(o *Object) {
	if !v.locked {
		temporary.Lock()
		defer temporary.Unlock()
	}
	at, err := sys.Open(o.Via, sys.O_PATH|sys.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer sys.Close(at)
	st, err := sys.Fstat(at)
	if err != nil || st.Dev != o.Dev || st.Ino != o.Inode || !st.Regular() {
		return
	}
	fd, err := sys.Open("/proc/self/fd/"+strconv.Itoa(at), sys.O_RDONLY|sys.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer sys.Close(fd)
	if n, err := sys.Fcntl(fd, sys.F_GET_SEALS, 0); err == nil {
		o.Seals, o.HasSeals = memfd.Seals(n), true
	}
}

// segmentID gives the identifier that a mapping of a System V segment shows.
func segmentID(m *procfs.Mapping) sysv.ID { return sysv.ID(m.Inode) }

func keyOf(k uint32) sysv.Key { return sysv.Key(int32(k)) }
