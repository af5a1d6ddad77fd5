//go:build linux

package sysv_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

const sysvipcShm = "/proc/sysvipc/shm"

// TestConformanceTable is about /proc/sysvipc/shm.
func TestConformanceTable(t *testing.T) {
	t.Run("SV-140", func(t *testing.T) {
		shmtest.NeedIsolation(t) // a key below 0 is looked for until there is one
		var key sysv.Key = -0x1234567
		id := create(t, key, int64(2*page)+5, 0o640)
		a := attach(t, id, 0, 0)
		a.Bytes()[0] = 1
		check(t, sysv.Lock(id))
		locked := tableRow(t, id)
		s := stat(t, id)
		want := []int64{
			int64(key), int64(id), 0o2640, int64(2*page) + 5, int64(os.Getpid()), int64(os.Getpid()), 1,
			int64(s.UID), int64(s.GID), int64(s.CUID), int64(s.CGID), s.AttachTime.Unix(), 0, s.ChangeTime.Unix(), 0, 0,
		}
		// What has been touched, and perhaps what locking brought in.
		want[14] = locked[14]
		if rss := locked[14]; rss != int64(page) && rss != int64(3*page) {
			t.Errorf("rss is %d, want 1 or 3 pages in bytes", rss)
		}
		if !slices.Equal(locked, want) {
			t.Errorf("the row is\n%v, want\n%v", locked, want)
		}
		check(t, sysv.Unlock(id))
		check(t, sysv.Remove(id))
		if dest := tableRow(t, id); dest[0] != 0 || dest[2] != 0o1640 {
			t.Errorf("after IPC_RMID key %d, perms %#o; want 0, 01640", dest[0], dest[2])
		}

		// The library reads the same.
		row := rowOf(t, id)
		if s = stat(t, id); row.Resident != locked[14] || row.Swapped != 0 {
			t.Errorf("Resident %d, Swapped %d; want %d, 0", row.Resident, row.Swapped, locked[14])
		}
		row.Resident, row.Swapped = -1, -1
		if row != s {
			t.Errorf("the row is\n%+v, IPC_STAT says\n%+v", row, s)
		}
	})

	t.Run("SV-142", func(t *testing.T) {
		want := map[sysv.ID]bool{}
		for range 200 {
			want[private(t, 1, 0o600)] = true
		}
		f, err := os.Open(sysvipcShm)
		check(t, err)
		defer f.Close()
		var text bytes.Buffer
		_, err = io.CopyBuffer(struct{ io.Writer }{&text}, struct{ io.Reader }{f}, make([]byte, 100))
		check(t, err)
		seen := map[sysv.ID]int{}
		for line := range strings.Lines(text.String()) {
			if fields := strings.Fields(line); fields[0] != "key" {
				id, err := parseID(fields[1])
				check(t, err)
				seen[id]++
			}
		}
		for id := range want {
			if seen[id] != 1 {
				t.Errorf("segment %d is shown %d times", id, seen[id])
			}
		}
		all, err := sysv.ReadProc("/proc")
		check(t, err)
		for _, s := range all {
			delete(want, s.ID)
		}
		if len(want) != 0 {
			t.Errorf("missing: %v", want)
		}

		// What the kernels of the time gave: rows that come twice.
		dir := t.TempDir()
		check(t, os.Mkdir(filepath.Join(dir, "sysvipc"), 0o700))
		lines := strings.SplitAfter(text.String(), "\n")
		twice := strings.Join(slices.Concat(lines[:150], lines[100:]), "")
		check(t, os.WriteFile(filepath.Join(dir, "sysvipc/shm"), []byte(twice), 0o600))
		again, err := sysv.ReadProc(dir)
		check(t, err)
		if !slices.Equal(ids(again), ids(all)) {
			t.Errorf("with rows repeated: %v, want %v", ids(again), ids(all))
		}
	})
}

// tableRow gives the numbers of a segment's line in the file, perms as octal.
func tableRow(t *testing.T, id sysv.ID) []int64 {
	t.Helper()
	text, err := os.ReadFile(sysvipcShm)
	check(t, err)
	const header = "key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap"
	for i, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if i == 0 {
			if got := strings.Join(fields, " "); got != header {
				t.Fatalf("the header is %q, want %q", got, header)
			}
			continue
		}
		if len(fields) != 16 || fields[1] != fmt.Sprint(int(id)) {
			continue
		}
		var row []int64
		for column, f := range fields {
			base := 10
			if column == 2 {
				base = 8
			}
			n, err := strconv.ParseInt(f, base, 64)
			check(t, err)
			row = append(row, n)
		}
		return row
	}
	t.Fatal(errors.New("no such row"))
	return nil
}
