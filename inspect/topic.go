package inspect

import (
	"os"
	"path"
	"strings"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/posix"
)

// topicSuffix ends the names of the directories of topics.
const topicSuffix = ".topic"

// topicMost bounds how many files of a topic are looked at: anybody who may
// subscribe can make more.
const topicMost = 1 << 14

// topicName gives the topic whose directory is called so.
func topicName(dir string) (string, bool) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(dir, "/"), topicSuffix)
	return name, ok && topicdir.CheckName(name) == nil
}

// topic makes a directory that has the name of a topic's directory one object
// with all files in it, whoever has one of them has the topic. Where they
// cannot be listed, the directory alone counts.
func (s *scan) topic(o *Object, st *posix.Status) {
	name, ok := topicName(st.Name)
	if !ok || !st.Mode.IsDir() {
		return
	}
	o.Kind, o.Name, o.Address, o.Size = KindTopic, name, topicdir.Address(name), 0
	o.Mode = st.Mode.Perm()
	// No other scan of this process shall find the descriptor.
	temporary.Lock()
	defer temporary.Unlock()
	fd, err := sys.Openat(sys.AT_FDCWD, s.opts.Dir+st.Name, sys.O_RDONLY|sys.O_DIRECTORY|sys.O_NOFOLLOW|sys.O_NONBLOCK|sys.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	dir := os.NewFile(uintptr(fd), st.Name)
	defer dir.Close()
	names, _ := dir.Readdirnames(topicMost)
	for _, file := range names {
		f, err := sys.LstatAt(fd, file)
		if err != nil || !f.Regular() {
			continue
		}
		o.Size += f.Size
		o.Used += f.Blocks * 512
		o.LastUsed = later(o.LastUsed, later(f.Access, f.Modify))
		s.files[identity{f.Dev, f.Ino}] = o
	}
}

// ofRemovedTopic tells files of topics that were removed, and that somebody
// has still: topics are renamed to .dead-ID first.
func ofRemovedTopic(dir string) bool {
	base := path.Base(dir)
	id, dead := strings.CutPrefix(base, ".dead-")
	_, valid := topicdir.ParseID(id)
	_, named := topicName(base)
	return named || dead && valid
}
