package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm"
)

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
	}{
		{"0", 0}, {"1", 1}, {"4096", 4096}, {"0x1000", 4096}, {"0o17", 15}, {"010", 8},
		{"1K", 1 << 10}, {"1k", 1 << 10}, {"1KiB", 1 << 10}, {"1kB", 1000}, {"64M", 64 << 20}, {"1.5M", 3 << 19},
		{"2G", 2 << 30}, {"1T", 1 << 40}, {"1 M", 1 << 20}, {"100B", 100}, {"9223372036854775807", 1<<63 - 1},
		{"0.5K", 512},
	} {
		if got, err := parseSize(c.in); got != c.want || err != nil {
			t.Errorf("parseSize(%q) = %d, %v, want %d", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", "-1", "-1K", "K", "1X", "1.5", "0.3K", "NaN", "Inf", "+Inf", "1e400", "9223372036854775808", "9000000T", "1KK", "0x", "1K1", "1 2"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", in, got)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"1", "1.5M", "-1", "0x10", "1e3", "9223372036854775807", "infK"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil && n < 0 {
			t.Errorf("parseSize(%q) = %d", s, n)
		}
	})
}

func TestHumanSize(t *testing.T) {
	for _, c := range []struct {
		in   int64
		want string
	}{
		{0, "0"}, {1, "1"}, {1023, "1023"}, {1024, "1.0K"}, {1025, "1.1K"}, {4096, "4.0K"}, {10137, "9.9K"}, {10138, "10K"}, {10240, "10K"}, {10241, "11K"},
		{1 << 20, "1.0M"}, {1<<20 - 1, "1.0M"}, {1047552, "1023K"}, {1047553, "1.0M"}, {256 << 20, "256M"}, {5 << 30, "5.0G"}, {1 << 40, "1.0T"}, {1<<63 - 1, "8.0E"},
	} {
		if got := humanSize(c.in); got != c.want {
			t.Errorf("humanSize(%d) = %s, want %s", c.in, got, c.want)
		}
	}
}

func TestShortAge(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		ago  time.Duration
		want string
	}{
		{0, "0s"}, {-time.Hour, "0s"}, {119 * time.Second, "119s"}, {2 * time.Minute, "2m"}, {119 * time.Minute, "119m"},
		{2 * time.Hour, "2h"}, {47 * time.Hour, "47h"}, {48 * time.Hour, "2d"}, {1000 * time.Hour, "41d"},
	} {
		if got := shortAge(now.Add(-c.ago), now); got != c.want {
			t.Errorf("%v ago is %s, want %s", c.ago, got, c.want)
		}
	}
	if got := shortAge(time.Time{}, now); got != "-" {
		t.Errorf("never is %s, want -", got)
	}
}

func TestTable(t *testing.T) {
	tab := &table{header: true, columns: []column{
		{name: "NAME", least: 4}, {name: "SIZE", right: true}, {name: "LESS", drop: 1}, {name: "MORE", drop: 2}, {name: "WHO", least: 5, drop: 3},
	}, rows: [][]string{{"first", "1", "a", "b", "123 somebody, 124 else"}, {"second-öß", "22", "", "c", "-"}}}
	for _, c := range []struct {
		width int
		want  string
	}{
		{0, "NAME       SIZE  LESS  MORE  WHO\nfirst         1  a     b     123 somebody, 124 else\nsecond-öß    22        c     -\n"},
		{40, "NAME       SIZE  LESS  MORE  WHO\nfirst         1  a     b     123 somebo~\nsecond-öß    22        c     -\n"},
		{34, "NAME       SIZE  LESS  MORE  WHO\nfirst         1  a     b     123 ~\nsecond-öß    22        c     -\n"},
		{31, "NAME    SIZE  LESS  MORE  WHO\nfirst      1  a     b     123 ~\nsecon~    22        c     -\n"},
		{25, "NAME    SIZE  MORE  WHO\nfirst      1  b     123 ~\nsecon~    22  c     -\n"},
		{12, "NAME    SIZE\nfirst      1\nsecon~    22\n"},
		{8, "NAME  SIZE\nfir~     1\nsec~    22\n"},
		{1, "NAME  SIZE\nfir~     1\nsec~    22\n"},
	} {
		var b strings.Builder
		if err := tab.write(&b, c.width); err != nil {
			t.Fatal(err)
		}
		if b.String() != c.want {
			t.Errorf("width %d:\n%s\nwant\n%s", c.width, b.String(), c.want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	_, badAddress := shm.ParseAddress("a/b")
	for _, c := range []struct {
		err  error
		want int
		hint string
	}{
		{nil, 0, ""},
		{syscall.EPIPE, 0, ""},
		{fmt.Errorf("x: %w", &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}), 0, ""},
		{errors.New("x"), 1, "shm help"},
		{&usageError{errors.New("x"), "see"}, 2, "see"},
		{badAddress, 2, "POSIX name"},
		{fs.ErrNotExist, 3, "shm ls"},
		{&shm.Error{Op: "x", Err: syscall.EIDRM}, 3, "shm ls"},
		{&shm.Error{Op: "x", Err: syscall.EACCES}, 4, "mode and owner"},
		{&shm.Error{Op: "x", Err: syscall.EPERM}, 4, "mode and owner"},
		{os.ErrDeadlineExceeded, 5, "wait longer"},
		{shm.ErrBusy, 7, "--force"},
		{shm.ErrType, 1, "shm ls"},
		{syscall.EROFS, 1, "read-only"},
		{&fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}, 1, "standard output"},
		{&interrupted{os.Interrupt}, 130, ""},
		{&interrupted{syscall.SIGTERM}, 143, "by SIGTERM"},
		{&interrupted{syscall.SIGHUP}, 129, "by SIGHUP"},
		{failed(fs.ErrNotExist, shm.ErrBusy), 3, "shm ls"},
		{failed(nil, shm.ErrBusy, fs.ErrNotExist, nil), 7, "--force"},
		{failed(nil, nil), 0, ""},
		{fmt.Errorf("%w: %w", errors.New("one"), fs.ErrNotExist), 3, "shm ls"},
	} {
		var b strings.Builder
		if got := report(&Env{Stderr: &b}, c.err); got != c.want {
			t.Errorf("%v: exit status %d, want %d", c.err, got, c.want)
		}
		if (b.Len() == 0) != (c.hint == "") || !strings.Contains(b.String(), c.hint) {
			t.Errorf("%v: told is %q, want a hint with %q", c.err, b.String(), c.hint)
		}
	}
}

func TestProgress(t *testing.T) {
	var b strings.Builder
	p := &progress{w: &b, what: "read", total: 4 << 20, begin: time.Now()}
	p.add(1 << 20)
	if b.Len() > 0 {
		t.Errorf("shown at once: %q", b.String())
	}
	p.begin = p.begin.Add(-2 * time.Second)
	p.add(1 << 20)
	p.add(1 << 20) // too soon to be shown again
	if want := "\rshm: read 2.0M of 4.0M, 50%"; b.String() != want {
		t.Errorf("shown is %q, want %q", b.String(), want)
	}
	b.Reset()
	p.end()
	p.end()
	if want := "\r" + strings.Repeat(" ", len("shm: read 2.0M of 4.0M, 50%")) + "\r"; b.String() != want {
		t.Errorf("at the end %q, want %q", b.String(), want)
	}
	var none *progress
	none.add(1)
	none.end()
}
