package topic

import "github.com/seed-298b2b26/shm/internal/topicdir"

// RemoveOptions say which topic is removed, and how.
type RemoveOptions struct {
	Dir   string // of topics; posix.DefaultDir when empty
	Force bool   // although its publisher lives
}

// Remove takes a topic's name away. While a publisher lives that is ErrBusy,
// unless forced. Subscribers keep what they have, and take what is there.
func Remove(name string, opts *RemoveOptions) error {
	o := RemoveOptions{}
	if opts != nil {
		o = *opts
	}
	return topicdir.Remove(name, &topicdir.RemoveOptions{Dir: o.Dir, Force: o.Force})
}

// List gives the names of the topics in a directory, posix.DefaultDir when
// empty, sorted.
func List(dir string) ([]string, error) { return topicdir.List(dir) }
