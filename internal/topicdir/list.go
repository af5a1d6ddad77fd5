package topicdir

import (
	"slices"
	"strings"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/posix"
)

// List gives the names of the topics in a directory, sorted; an empty dir
// means /dev/shm. What has the form of a topic's directory is one, whatever
// stands in it.
func List(dir string) ([]string, error) {
	names, _, err := list(dir)
	return names, err
}

// list gives besides what dead creators and removers, or living ones, have
// there.
func list(dir string) (names, leftovers []string, err error) {
	if dir == "" {
		dir = posix.DefaultDir
	}
	fail := func(err error) error {
		return &sys.Error{Op: "list", Kind: "topic", Name: dir, Err: err}
	}
	mount, err := openMount(dir)
	if err != nil {
		return nil, nil, fail(err)
	}
	defer mount.Close()
	err = entries(mount, func(name string, _ uint64, kind uint8) bool {
		if kind != sys.DT_DIR && kind != sys.DT_UNKNOWN {
			return true
		}
		if isLeftover(name) {
			leftovers = append(leftovers, name)
		} else if name, ok := strings.CutSuffix(name, suffix); ok && CheckName(name) == nil {
			names = append(names, name)
		}
		return true
	})
	if err != nil {
		return nil, nil, fail(err)
	}
	slices.Sort(names)
	slices.Sort(leftovers)
	return names, leftovers, nil
}
