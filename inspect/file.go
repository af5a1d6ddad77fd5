package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/posix"
)

// listFiles lists the shared memory mount. Nothing in it is opened.
func (s *scan) listFiles() {
	for st, err := range posix.List(&posix.Options{Dir: s.opts.Dir}) {
		if err != nil {
			if st.Name == "" || !errors.Is(err, fs.ErrNotExist) {
				s.reason(Reason{Code: ReasonMount, Err: err})
			}
			continue
		}
		key := identity{st.Dev, st.Inode}
		if o := s.files[key]; o != nil {
			o.Names = append(o.Names, st.Name)
			continue
		}
		o := s.add(fileObject(&st))
		o.Address, o.Names = posix.Address(st.Name), []string{st.Name}
		file := s.opts.Dir + st.Name
		s.topic(o, &st)
		o.Created, _ = sys.Birth(file, false)
		o.ACL = st.Regular() && sys.HasACL(file)
		s.files[key] = o
	}
}

func fileObject(st *posix.Status) *Object {
	kind := KindPOSIX
	switch _, sem := st.Semaphore(); {
	case !st.Regular():
		kind = KindOther
	case sem:
		kind = KindSemaphore
	}
	return &Object{
		Kind: kind, Name: st.Name, Size: st.Size, Used: st.Used, Swapped: -1,
		Mode: st.Mode, UID: st.UID, GID: st.GID,
		Creator:  Creator{Life: Unknown},
		Modified: st.Modify, LastUsed: later(st.Access, st.Modify),
		Links: st.Links, Dev: st.Dev, Inode: st.Inode,
	}
}

// unlisted makes an object of a file that a process holds and that was not in
// the list: unlinked, of another mount, or made a moment ago. It gives nil
// for what does not belong here.
func (s *scan) unlisted(st *sys.Stat, link, via string) *Object {
	if !st.Regular() || !s.opts.wants(KindPOSIX) && !s.opts.wants(KindSemaphore) && !s.opts.wants(KindTopic) {
		return nil
	}
	foreign := st.Dev != s.mount.dev || !s.mount.ok
	removed := st.Nlink == 0
	if removed {
		link = strings.TrimSuffix(link, deletedSuffix)
	}
	dir, name := path.Split(link)
	if foreign && name == fmt.Sprintf("#%d", st.Ino)+deletedSuffix {
		// Made without a name and linked later: its name cannot be found.
		name = strings.TrimSuffix(name, deletedSuffix)
	}
	switch here := strings.TrimSuffix(dir, "/"); {
	case foreign && here != posix.DefaultDir:
		return nil
	case !foreign && !removed && here != s.mount.real:
		return nil // in a directory below
	case !foreign && !s.mount.root && here != s.mount.real:
		return nil // elsewhere on the same file system
	case !foreign && !removed:
		// Made a moment ago, perhaps under another name: what was made without
		// a name and linked later goes on as "#17 (deleted)".
		if named, err := sys.LstatPath(link); err != nil || named.Ino != st.Ino || named.Dev != st.Dev {
			return nil
		}
	}
	o := fileObject(&posix.Status{
		Name: "/" + name, Size: st.Size, Used: st.Blocks * 512, Mode: fs.FileMode(st.Mode & 0o777),
		UID: st.UID, GID: st.GID, Links: st.Nlink, Dev: st.Dev, Inode: st.Ino,
		Access: st.Access, Modify: st.Modify, Change: st.Change,
	})
	o.Removed, o.Foreign = removed, foreign
	if removed && ofRemovedTopic(dir) {
		o.Kind, o.Name = KindTopic, path.Base(dir)+"/"+name
	}
	if !removed && !foreign {
		o.Address, o.Names = posix.Address(o.Name), []string{o.Name}
	} else {
		o.Via = via
	}
	o.Created, _ = sys.Birth(via, true)
	s.files[identity{st.Dev, st.Ino}] = s.add(o)
	return o
}

// deletedSuffix is what the kernel adds to the path of an unlinked file. A
// file may really be called so: only the link count tells.
const deletedSuffix = " (deleted)"

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
