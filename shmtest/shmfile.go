package shmtest

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// takeFiles adds what is below the shm mount. Directories that may not be
// read, another user's, are passed over.
func (s *Snapshot) takeFiles() error {
	err := filepath.WalkDir(ShmMount, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil || path == ShmMount {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%s, inode %d", info.Mode(), inode(info))
		if info.Mode().IsRegular() {
			what += fmt.Sprintf(", %d bytes", info.Size())
		}
		// What is compared is all of it, because a file that was replaced
		// or resized was not left as it was.
		s.add("file", path+" ("+what+")", thing{
			foreign: !isOurs(strings.TrimPrefix(path, ShmMount+"/")),
		})
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no shm mount at all
	}
	return err
}
