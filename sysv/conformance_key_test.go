//go:build linux

package sysv_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// ftokC prints ftok(argv[1], proj) for the proj that are the other arguments.
const ftokC = `
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>

int main(int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		printf("%d\n", (int)ftok(argv[1], atoi(argv[i])));
	return 0;
}
`

func newFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(path, nil, 0o600))
	return path
}

func ftok(t testing.TB, path string, proj int) sysv.Key {
	t.Helper()
	key, err := sysv.Ftok(path, proj)
	check(t, err)
	return key
}

func TestConformanceFtok(t *testing.T) {
	t.Run("SV-070", func(t *testing.T) {
		// Files of several devices, directories among them.
		for _, path := range []string{newFile(t), t.TempDir(), "/", "/proc/self/status", "/dev/null", shmtest.Dir(t)} {
			var st syscall.Stat_t
			check(t, syscall.Stat(path, &st))
			for _, proj := range []int{1, 'A', 0x7f, 0x80, 255} {
				key := ftok(t, path, proj)
				want := sysv.Key(int32(uint32(st.Ino&0xffff) | uint32(st.Dev&0xff)<<16 | uint32(proj&0xff)<<24))
				// Those of /proc change while we look.
				if key != want && !strings.HasPrefix(path, "/proc") {
					t.Errorf("ftok(%s, %d) is %v, want %v", path, proj, key, want)
				}
			}
		}
		link := filepath.Join(t.TempDir(), "link")
		check(t, os.Symlink(newFile(t), link))
		target, err := os.Readlink(link)
		check(t, err)
		if got, want := ftok(t, link, 1), ftok(t, target, 1); got != want {
			t.Errorf("ftok of a symbolic link is %v, of its target %v", got, want)
		}
	})

	t.Run("SV-070/as the C library", func(t *testing.T) {
		path := newFile(t)
		projs := []string{"0", "1", "65", "127", "128", "255", "256", "321", "-1"}
		c := shmtest.Exec(t, shmtest.CompileC(t, ftokC), append([]string{path}, projs...)...)
		for _, proj := range []int{0, 1, 65, 127, 128, 255, 256, 321, -1} {
			if got, want := c.Recv(), ftok(t, path, proj); got != itoa(want) {
				t.Errorf("ftok(%s, %d) of the C library is %s, ours %d", path, proj, got, want)
			}
		}
		c.Wait()
	})

	t.Run("SV-071", func(t *testing.T) {
		path := newFile(t)
		for _, proj := range []int{0x141, 0x7fffff41, -0xbf} {
			if got, want := ftok(t, path, proj), ftok(t, path, 0x41); got != want {
				t.Errorf("proj %#x gives %v, proj 0x41 %v", proj, got, want)
			}
		}
		if key := ftok(t, path, 0); uint32(key)>>24 != 0 {
			t.Errorf("proj 0 gives %v", key)
		}
		for _, proj := range []int{0x80, 0xff} {
			if key := ftok(t, path, proj); key >= 0 || uint32(key)>>24 != uint32(proj) {
				t.Errorf("proj %#x gives %v", proj, key)
			}
		}
		// A negative key is as good as any.
		key := ftok(t, path, 0x80)
		id := create(t, key, 1, 0o600)
		if s := stat(t, id); s.Key != key {
			t.Errorf("the key is %v, want %v", s.Key, key)
		}
	})

	t.Run("SV-073", func(t *testing.T) {
		path := newFile(t)
		loop := filepath.Join(t.TempDir(), "loop")
		check(t, os.Symlink(loop, loop))
		for path, want := range map[string]syscall.Errno{
			path + "-absent":         syscall.ENOENT,
			"":                       syscall.ENOENT,
			path + "/below":          syscall.ENOTDIR,
			loop:                     syscall.ELOOP,
			strings.Repeat("n", 256): syscall.ENAMETOOLONG,
		} {
			key, err := sysv.Ftok(path, 1)
			wantErrno(t, err, want)
			if key != -1 {
				t.Errorf("%q: key %v beside the error, want -1", path, key)
			}
		}
	})
	t.Run("SV-073/EACCES", func(t *testing.T) {
		p := nobody(t)
		dir := t.TempDir() // below directories of ours alone
		check(t, os.Chmod(dir, 0o700))
		check(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o666))
		p.Send("ftok 1 " + filepath.Join(dir, "file"))
		p.Expect(itoa(int(syscall.EACCES)))
		p.Wait()
	})

	t.Run("SV-074", func(t *testing.T) {
		// -1 is an ordinary key, so it cannot say that there is none.
		const key sysv.Key = -1
		shmtest.NeedIsolation(t)
		_, err := sysv.Get(key, 1, 0o600)
		wantErrno(t, err, syscall.ENOENT)
		id := create(t, key, 1, 0o600)
		if got, err := sysv.Get(key, 0, 0); got != id || err != nil {
			t.Errorf("key -1 has %d, %v; want %d", got, err, id)
		}
		// The error is beside the key, not in it: a failure that is not looked
		// at is the only way to come by -1 from no file.
		if _, err := sysv.Ftok(newFile(t)+"-absent", 0xff); err == nil {
			t.Error("no error for a file that is not there")
		}
		if _, err := sysv.Ftok(newFile(t), 0xff); err != nil {
			t.Error(err)
		}
	})

	t.Run("SV-076", func(t *testing.T) {
		path := newFile(t)
		before := ftok(t, path, 1)
		check(t, os.Rename(path, path+"-moved"))
		if got := ftok(t, path+"-moved", 1); got != before {
			t.Errorf("renaming changed the key from %v to %v", before, got)
		}
		// While the first file is there another one has another inode.
		check(t, os.WriteFile(path, nil, 0o600))
		var old, st syscall.Stat_t
		check(t, syscall.Stat(path+"-moved", &old))
		check(t, syscall.Stat(path, &st))
		key := ftok(t, path, 1)
		if same := old.Ino&0xffff == st.Ino&0xffff; (key == before) != same {
			t.Errorf("the name's new file has key %v and inode %d, the old one %v and %d", key, st.Ino, before, old.Ino)
		}
	})
}
