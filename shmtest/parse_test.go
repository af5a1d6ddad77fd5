package shmtest_test

import (
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

func TestParseMapping(t *testing.T) {
	for _, test := range []struct {
		line                          string
		addresses, perms, inode, path string
		ok                            bool
	}{
		{"7f0000000000-7f0000001000 rw-s 00000000 00:1a 7                          /dev/shm/a b\n",
			"7f0000000000-7f0000001000", "rw-s", "7", "/dev/shm/a b", true},
		{"7f0000000000-7f0000001000 rw-s 00000000 00:01 0                          /SYSV00000000 (deleted)\n",
			"7f0000000000-7f0000001000", "rw-s", "0", "/SYSV00000000 (deleted)", true},
		{"c000000000-c000400000 rw-p 00000000 00:00 0 \n", "c000000000-c000400000", "rw-p", "0", "", true},
		{"", "", "", "", "", false},
		{"nonsense\n", "nonsense", "", "", "", false},
	} {
		addresses, perms, inode, path, ok := shmtest.ParseMapping(test.line)
		if addresses != test.addresses || perms != test.perms || inode != test.inode || path != test.path || ok != test.ok {
			t.Errorf("%q: %q %q %q %q %v", test.line, addresses, perms, inode, path, ok)
		}
	}
}

func TestParseStat(t *testing.T) {
	for _, test := range []struct {
		line, comm, state string
		ppid              int
		ok                bool
	}{
		{"12 (a) b) S 7 12 12", "a) b", "S", 7, true},
		{"12 () Z 1\n", "", "Z", 1, true},
		{"12 (x) R", "", "", 0, false},
		{") (", "", "", 0, false},
		{"", "", "", 0, false},
	} {
		comm, state, ppid, ok := shmtest.ParseStat(test.line)
		if comm != test.comm || state != test.state || ppid != test.ppid || ok != test.ok {
			t.Errorf("%q: %q %q %d %v", test.line, comm, state, ppid, ok)
		}
	}
}

// A process chooses its own name.
func FuzzParseStat(f *testing.F) {
	f.Add("a) S 7")
	f.Fuzz(func(t *testing.T, comm string) {
		got, state, ppid, ok := shmtest.ParseStat("12 (" + comm + ") R 34 5 6")
		if got != comm || state != "R" || ppid != 34 || !ok {
			t.Errorf("%q: %q %q %d %v", comm, got, state, ppid, ok)
		}
	})
}
