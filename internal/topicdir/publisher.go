package topicdir

import (
	"strings"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// publisher is an opened p.ID.
type publisher struct {
	fd     *sys.FD
	header *Header
	life   life
}

// openPublisher opens and checks the file with the name, which must be p.ID.
func openPublisher(dir *sys.FD, st *sys.Stat, name string) (*publisher, error) {
	hex, ok := strings.CutPrefix(name, publisherFile)
	id, valid := ParseID(hex)
	if !ok || !valid {
		return nil, corrupt("%q is not the name of a publisher's file", name)
	}
	fd, fst, err := openChecked(dir.Int(), name, sys.O_RDONLY, rules{dir: st, uid: int64(st.UID), links: true, minSize: HeaderSize})
	if err != nil {
		return nil, err
	}
	m, h, _, err := mapChecked(fd, &fst, KindPublisher, HeaderSize, false)
	if err == nil {
		m.unmap()
		if h.Instance != id {
			err = corrupt("%s says that it is %v", name, h.Instance)
		}
	}
	if err != nil {
		fd.Close()
		return nil, err
	}
	return &publisher{fd: fd, header: h}, nil
}
