package cli

import (
	"fmt"
	"io/fs"
	"math"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/internal/procfs"
)

// humanSize gives a number of bytes in at most five characters, as ls -h
// does: 0, 100, 4.0K, 64K, 1.5M. It rounds up, so nothing looks smaller than
// it is.
func humanSize(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	f := float64(n)
	for _, unit := range "KMGTPE" {
		f /= 1024
		switch {
		case math.Ceil(f*10) < 100:
			return fmt.Sprintf("%.1f%c", math.Ceil(f*10)/10, unit)
		case math.Ceil(f) < 1024 || unit == 'E':
			return fmt.Sprintf("%.0f%c", math.Ceil(f), unit)
		}
	}
	return strconv.FormatInt(n, 10)
}

// bothSizes gives a number of bytes exactly, and where that says more, in a
// unit too.
func bothSizes(n int64) string {
	if n < 0 {
		return "not known"
	}
	s := plural(n, "byte")
	if n >= 1024 {
		s += " (" + humanSize(n) + ")"
	}
	return s
}

// shortAge gives how long ago something was in three characters or so: 5s,
// 12m, 3h, 90d.
func shortAge(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(now.Sub(t), 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// bothTimes gives a time, and how long ago that is.
func bothTimes(t, now time.Time) string {
	return t.Local().Format("2006-01-02 15:04:05") + " (" + shortAge(t, now) + " ago)"
}

func plural[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// octal gives permissions as chmod takes them.
func octal(o *inspect.Object) string {
	s := fmt.Sprintf("%04o", uint32(o.Mode.Perm()))
	if o.ACL {
		s += "+"
	}
	return s
}

// modeText gives kind and permissions of a file as ls -l does.
func modeText(m fs.FileMode) string {
	kind := "-"
	switch m.Type() {
	case fs.ModeDir:
		kind = "d"
	case fs.ModeSymlink:
		kind = "l"
	case fs.ModeNamedPipe:
		kind = "p"
	case fs.ModeSocket:
		kind = "s"
	case fs.ModeDevice:
		kind = "b"
	case fs.ModeDevice | fs.ModeCharDevice:
		kind = "c"
	}
	return kind + m.Perm().String()[1:]
}

// users finds the names of users and groups, each once.
type users struct{ uids, gids map[uint32]string }

// name gives the user's name, or the number where there is none.
func (u *users) name(uid uint32) string {
	return lookUp(&u.uids, uid, func(id string) (string, error) {
		found, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return found.Username, nil
	})
}

// group gives the group's name, or the number where there is none.
func (u *users) group(gid uint32) string {
	return lookUp(&u.gids, gid, func(id string) (string, error) {
		found, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return found.Name, nil
	})
}

func lookUp(known *map[uint32]string, id uint32, find func(string) (string, error)) string {
	if s, ok := (*known)[id]; ok {
		return s
	}
	if *known == nil {
		*known = make(map[uint32]string)
	}
	s, err := find(strconv.FormatUint(uint64(id), 10))
	if err != nil || s == "" {
		s = strconv.FormatUint(uint64(id), 10)
	}
	(*known)[id] = s
	return s
}

// userID understands a user's name or number.
func userID(s string) (uint32, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(s)
	if err != nil {
		return 0, fmt.Errorf("there is no user %q", s)
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}

// label gives what an object is called by people: its name, or its key.
func label(o *inspect.Object) string {
	switch {
	case o.Kind == inspect.KindSysV:
		if k := keyOf(o); k != 0 {
			return fmt.Sprintf("0x%08x", k)
		}
		return "private"
	case o.Name == "":
		return "-"
	}
	return procfs.Printable(o.Name)
}

// keyOf gives the key under which a System V segment is or was found, 0 when
// it was made without one.
func keyOf(o *inspect.Object) uint32 {
	if o.Key != 0 {
		return uint32(o.Key)
	}
	return uint32(o.OldKey)
}

// holderList gives processes as "12 writer, 13 reader".
func holderList(holders []inspect.Holder) string {
	var b strings.Builder
	for i, h := range holders {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d %s", h.PID, h.Command)
	}
	return b.String()
}

// shorten cuts s to width columns and shows that it did.
func shorten(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	if width < 1 {
		return ""
	}
	return string([]rune(s)[:width-1]) + "~"
}
