package procfs

import (
	"strings"
	"testing"
)

func TestParseFDInfo(t *testing.T) {
	t.Run("MF-037", func(t *testing.T) {
		got, err := ParseFDInfo(strings.NewReader("pos:\t0\nflags:\t02000002\nmnt_id:\t3\nino:\t35\n"))
		if err != nil {
			t.Fatal(err)
		}
		diff(t, &FDInfo{Flags: 0o2000002, MountID: 3, Inode: 35}, got)
	})
	shm := Dev{0, 0x1b}
	diff(t, &FDInfo{Flags: 0o100002, MountID: 30, Inode: 8, Locks: []Lock{
		{ID: 1, Class: LockFlock, Mode: "ADVISORY", Type: "READ", PID: 11614, Dev: shm, Inode: 8, End: LockEOF},
		{ID: 2, Class: LockOFD, Mode: "ADVISORY", Type: "WRITE", PID: -1, Dev: shm, Inode: 8, Start: 10, End: 29},
		{ID: 3, Class: LockPOSIX, Mode: "ADVISORY", Type: "READ", PID: 11614, Dev: shm, Inode: 8, Start: 100, End: LockEOF},
	}}, parseFixture(t, "fdinfo", ParseFDInfo))

	// Lines of some kinds of files: inotify, epoll, io_uring.
	got, err := ParseFDInfo(strings.NewReader("pos:\t-5\nflags:\t00\ninotify wd:1 ino:b\ntfd: 4 events: 19 data: 4  pos:0 ino:1\nno colon\nflags:\tnone\n"))
	if err != nil || got.Pos != -5 {
		t.Errorf("%+v, %v", got, err)
	}

	for _, c := range []struct {
		in   string
		line int
		want string
	}{
		{"", 1, "pos and flags"},
		{"pos:\tx\n", 1, "an offset"},
		{"pos:\t1\nflags:\t9\n", 2, "octal"},
		{"mnt_id:\t99999999999\n", 1, "a mount id"},
		{"ino:\t-1\n", 1, "an inode"},
		{"pos:\t1\nlock:\t1 POSIX\n", 2, "a number and a colon"},
	} {
		_, err := ParseFDInfo(strings.NewReader(c.in))
		wantParseError(t, err, "fdinfo", c.line, c.want)
	}
}

func TestParseLocks(t *testing.T) {
	got := parseFixture(t, "locks", ParseLocks)
	if len(got) != 4 {
		t.Fatalf("%d locks", len(got))
	}
	diff(t, Lock{
		ID: 3, Waiting: true, Class: LockOFD, Mode: "ADVISORY", Type: "WRITE", PID: -1,
		Dev: Dev{0, 0x1b}, Inode: 8, End: LockEOF,
	}, got[3])

	got, err := ParseLocks(strings.NewReader("1: LEASE  ACTIVE    READ 7 fe:00:18446744073709551615 0 EOF\n" +
		"1:   -> POSIX  *NOINODE* UNLCK 0 <none>:0 0 -1\n"))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, []Lock{
		{ID: 1, Class: LockLease, Mode: "ACTIVE", Type: "READ", PID: 7, Dev: Dev{0xfe, 0}, Inode: 1<<64 - 1, End: LockEOF},
		{ID: 1, Waiting: true, Class: LockPOSIX, Mode: "*NOINODE*", Type: "UNLCK", End: -1},
	}, got)

	for _, c := range []struct{ line, want string }{
		{"", "a number and a colon"},
		{"x: POSIX", "a number and a colon"},
		{"1: POSIX ADVISORY", "CLASS MODE TYPE"},
		{"1: POSIX ADVISORY READ x", "a process id"},
		{"1: POSIX ADVISORY READ 1 5", "MAJOR:MINOR:INODE"},
		{"1: POSIX ADVISORY READ 1 0:5", "MAJOR:MINOR:INODE"},
		{"1: POSIX ADVISORY READ 1 0:5:z", "MAJOR:MINOR:INODE"},
		{"1: POSIX ADVISORY READ 1 0:5:1", "the first byte"},
		{"1: POSIX ADVISORY READ 1 0:5:1 0 eof", "the last byte"},
	} {
		_, err := ParseLocks(strings.NewReader("1: FLOCK  ADVISORY  READ 1 00:1b:8 0 EOF\n" + c.line + "\n"))
		wantParseError(t, err, "locks", 2, c.want)
	}
}
