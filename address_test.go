package shm_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-298b2b26/shm"
)

func TestParseAddress(t *testing.T) {
	long := strings.Repeat("n", 255)
	for _, tt := range []struct {
		in, out string // out: what String gives
		want    shm.Address
	}{
		{"posix:/x", "posix:/x", shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/x"}},
		{"posix:x", "posix:/x", shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/x"}},
		{"/x", "posix:/x", shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/x"}},
		{"x", "posix:/x", shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/x"}},
		{"///x", "posix:/x", shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/x"}},
		{"/a:b", "posix:/a:b", shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/a:b"}},
		{"/sysv:1", "posix:/sysv:1", shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/sysv:1"}},
		{"posix:sysv:1", "posix:/sysv:1", shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/sysv:1"}},
		{"posix:...", "posix:/...", shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/..."}},
		{" ", "posix:/ ", shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/ "}},
		{"\xff\n", "posix:/\xff\n", shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/\xff\n"}},
		{long, "posix:/" + long, shm.Address{Kind: shm.POSIX, By: shm.ByName, Name: "/" + long}},

		{"sysv:0x1234", "sysv:0x00001234", shm.Address{Kind: shm.SysV, By: shm.ByKey, Key: 0x1234}},
		{"sysv:4660", "sysv:0x00001234", shm.Address{Kind: shm.SysV, By: shm.ByKey, Key: 0x1234}},
		{"sysv:011064", "sysv:0x00001234", shm.Address{Kind: shm.SysV, By: shm.ByKey, Key: 0x1234}},
		{"sysv:0xffffffff", "sysv:0xffffffff", shm.Address{Kind: shm.SysV, By: shm.ByKey, Key: -1}},
		{"sysv:-1", "sysv:0xffffffff", shm.Address{Kind: shm.SysV, By: shm.ByKey, Key: -1}},
		{"sysv:0x80000000", "sysv:0x80000000", shm.Address{Kind: shm.SysV, By: shm.ByKey, Key: -1 << 31}},
		{"sysv:-2147483648", "sysv:0x80000000", shm.Address{Kind: shm.SysV, By: shm.ByKey, Key: -1 << 31}},
		{"sysv:id=0", "sysv:id=0", shm.Address{Kind: shm.SysV, By: shm.ByID}},
		{"sysv:id=2147483647", "sysv:id=2147483647", shm.Address{Kind: shm.SysV, By: shm.ByID, ID: 1<<31 - 1}},
		{"sysv:private", "sysv:private", shm.Address{Kind: shm.SysV, By: shm.ByPrivate}},
		{"sysv:ftok=./shmfile,65", "sysv:ftok=./shmfile,65", shm.Address{Kind: shm.SysV, By: shm.ByFtok, Path: "./shmfile", Proj: 65}},
		{"sysv:ftok=./shmfile,A", "sysv:ftok=./shmfile,65", shm.Address{Kind: shm.SysV, By: shm.ByFtok, Path: "./shmfile", Proj: 65}},
		{"sysv:ftok=/a,b,-3", "sysv:ftok=/a,b,-3", shm.Address{Kind: shm.SysV, By: shm.ByFtok, Path: "/a,b", Proj: -3}},
		{"sysv:ftok=/a,0x141", "sysv:ftok=/a,321", shm.Address{Kind: shm.SysV, By: shm.ByFtok, Path: "/a", Proj: 0x141}},

		{"memfd:1/0", "memfd:1/0", shm.Address{Kind: shm.Memfd, By: shm.ByDescriptor, PID: 1}},
		{"memfd:0012/07", "memfd:12/7", shm.Address{Kind: shm.Memfd, By: shm.ByDescriptor, PID: 12, FD: 7}},
		{"memfd:x", "memfd:x", shm.Address{Kind: shm.Memfd, By: shm.ByName, Name: "x"}},
		{"memfd:12", "memfd:12", shm.Address{Kind: shm.Memfd, By: shm.ByName, Name: "12"}},
		{"memfd:", "memfd:", shm.Address{Kind: shm.Memfd, By: shm.ByName}},
	} {
		a, err := shm.ParseAddress(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, a); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
		if got := a.String(); got != tt.out {
			t.Errorf("%q: String gives %q, want %q", tt.in, got, tt.out)
		}
	}
	if got := (shm.Address{}).String(); got != "" {
		t.Errorf("the zero Address is %q", got)
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, tt := range []struct {
		in, why string
		is      error
	}{
		{"", "the name is empty", syscall.EINVAL},
		{"/", "the name is empty", syscall.EINVAL},
		{"posix:", "the name is empty", syscall.EINVAL},
		{"posix:///", "the name is empty", syscall.EINVAL},
		{".", "the name stands for a directory", syscall.EINVAL},
		{"..", "the name stands for a directory", syscall.EINVAL},
		{"/..", "the name stands for a directory", syscall.EINVAL},
		{"/a/b", "the name has a slash behind its start", syscall.EINVAL},
		{"a/", "the name has a slash behind its start", syscall.EINVAL},
		{"../etc/passwd", "the name has a slash behind its start", syscall.EINVAL},
		{"a\x00b", "the name has a NUL byte", syscall.EINVAL},
		{strings.Repeat("n", 256), "the name has 256 bytes, 255 are allowed", syscall.ENAMETOOLONG},
		{"/" + strings.Repeat("é", 128), "the name has 256 bytes, 255 are allowed", syscall.ENAMETOOLONG},

		{"sysv:", `"" is no key`, syscall.EINVAL},
		{"sysv:key", `"key" is no key`, syscall.EINVAL},
		{"sysv:0x100000000", `"0x100000000" is no key`, syscall.EINVAL},
		{"sysv:-2147483649", `"-2147483649" is no key`, syscall.EINVAL},
		{"sysv:08", `"08" is no key`, syscall.EINVAL},
		{"sysv: 1", `" 1" is no key`, syscall.EINVAL},
		{"sysv:0", "key 0 is IPC_PRIVATE", syscall.EINVAL},
		{"sysv:0x0", "key 0 is IPC_PRIVATE", syscall.EINVAL},
		{"sysv:id=", `"" is no identifier`, syscall.EINVAL},
		{"sysv:id=-1", `"-1" is no identifier`, syscall.EINVAL},
		{"sysv:id=0x7", `"0x7" is no identifier`, syscall.EINVAL},
		{"sysv:id=2147483648", `"2147483648" is no identifier`, syscall.EINVAL},
		{"sysv:ftok=", "ftok needs a path, a comma and a project id", syscall.EINVAL},
		{"sysv:ftok=./shmfile", "ftok needs a path, a comma and a project id", syscall.EINVAL},
		{"sysv:ftok=,65", "ftok needs a path, a comma and a project id", syscall.EINVAL},
		{"sysv:ftok=x,", `"" is no project id`, syscall.EINVAL},
		{"sysv:ftok=a:b,,", `"" is no project id`, syscall.EINVAL},
		{"sysv:ftok=x,AB", `"AB" is no project id`, syscall.EINVAL},
		{"sysv:ftok=x\x00y,1", "the path has a NUL byte", syscall.EINVAL},

		{"memfd:/3", "a memfd is named by PID/FD, two numbers", syscall.EINVAL},
		{"memfd:1/", "a memfd is named by PID/FD, two numbers", syscall.EINVAL},
		{"memfd:0/3", "a memfd is named by PID/FD, two numbers", syscall.EINVAL},
		{"memfd:-1/3", "a memfd is named by PID/FD, two numbers", syscall.EINVAL},
		{"memfd:1/2147483648", "a memfd is named by PID/FD, two numbers", syscall.EINVAL},
		{"memfd:1/2/3", "a memfd is named by PID/FD, two numbers", syscall.EINVAL},
		{"memfd:a\x00", "the name has a NUL byte", syscall.EINVAL},

		{"topic:x", "a topic is no segment", syscall.EINVAL},
		{"SYSV:1", `no kind of memory called "SYSV"; a POSIX object with a colon in its name is written posix:/SYSV:1`, syscall.EINVAL},
		{"a:b", "written posix:/a:b", syscall.EINVAL},
		{":x", `no kind of memory called ""`, syscall.EINVAL},
	} {
		a, err := shm.ParseAddress(tt.in)
		if err == nil {
			t.Errorf("%q was taken for %#v", tt.in, a)
			continue
		}
		if a != (shm.Address{}) {
			t.Errorf("%q: an address beside the error: %#v", tt.in, a)
		}
		want(t, err, tt.is)
		if !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%q: %v: does not say %q", tt.in, err, tt.why)
		}
		var e *shm.Error
		if errors.As(err, &e) && (e.Hint == "" || e.Op != "address") {
			t.Errorf("%q: %#v", tt.in, e)
		}
		// Every function answers the same, and does nothing.
		if s, err := shm.Create(tt.in, 1, nil); !errors.Is(err, tt.is) {
			t.Errorf("Create(%q): %v, %v", tt.in, s, err)
		}
		if s, err := shm.Open(tt.in, nil); !errors.Is(err, tt.is) {
			t.Errorf("Open(%q): %v, %v", tt.in, s, err)
		}
		if s, _, err := shm.OpenOrCreate(tt.in, 1, nil); !errors.Is(err, tt.is) {
			t.Errorf("OpenOrCreate(%q): %v, %v", tt.in, s, err)
		}
		if err := shm.Remove(tt.in, nil); !errors.Is(err, tt.is) {
			t.Errorf("Remove(%q): %v", tt.in, err)
		}
		if _, err := shm.Stat(tt.in, nil); !errors.Is(err, tt.is) {
			t.Errorf("Stat(%q): %v", tt.in, err)
		}
	}
}

// FuzzParseAddress: what String gives of an address is parsed to that
// address again; a text that is refused gives an error that names it.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{
		"posix:/x", "x", "/x:y", "posix:..", "sysv:0x1234", "sysv:-1", "sysv:id=0", "sysv:private",
		"sysv:ftok=./shmfile,65", "sysv:ftok=a,b,A", "memfd:1/3", "memfd:name", "memfd:1/x", "topic:t", "a:b", "\xff", "sysv:1_0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := shm.ParseAddress(in)
		if err != nil {
			var e *shm.Error
			if !errors.As(err, &e) || e.Op != "address" || e.Hint == "" || !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENAMETOOLONG) {
				t.Fatalf("%q: %#v", in, err)
			}
			return
		}
		s := a.String()
		b, err := shm.ParseAddress(s)
		if err != nil {
			t.Fatalf("%q is %#v, whose text %q is refused: %v", in, a, s, err)
		}
		if a != b {
			t.Fatalf("%q is %#v, whose text %q is %#v", in, a, s, b)
		}
		if s2 := b.String(); s2 != s {
			t.Fatalf("%q, then %q", s, s2)
		}
	})
}
