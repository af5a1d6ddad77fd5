package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/posix"
)

func newInfo(env *Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info [ADDR]",
		Short: "Show everything known about memory, or about this machine",
		Long: `Show everything that is known about memory, and every process that has it
attached, mapped or open, with its mappings, descriptors and rights.

The memory of a shmnet connection is found by the address of its socket, or where
that has several by shmnet:inode=N, as ls lists it.

Without an address: what shared memory takes on this machine, and its limits.`,
		Example: `  shm info /greeting
  shm info sysv:ftok=./shmfile,65
  shm info shmnet:/run/service.sock
  shm info`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: orTopic(env, completeAddress(env, 1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return runLimits(env, asJSON)
			}
			if strings.HasPrefix(args[0], topicScheme) {
				name, err := topicName(args[0])
				if err != nil {
					return err
				}
				return runTopicInfo(cmd.Context(), env, name, rateInterval, asJSON)
			}
			o, err := find(cmd.Context(), env, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(env.Stdout, toJSON(o, &users{}).withCmdlines(o), true)
			}
			if err := describe(env, o, time.Now()); err != nil {
				return err
			}
			for _, r := range o.Reasons {
				tellReason(env, r)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// find looks for an object with everything that can be said of it.
func find(ctx context.Context, env *Env, address string) (*inspect.Object, error) {
	if err := existing(address); err != nil {
		return nil, err
	}
	o, err := inspect.Find(ctx, address, &inspect.Options{Dir: env.dir(), Semaphores: true})
	if err != nil {
		return nil, reword(cause(ctx, err), "info")
	}
	return o, nil
}

// describe writes an object as labelled lines.
func describe(env *Env, o *inspect.Object, now time.Time) error {
	var u users
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	line("kind", "%s", kindText(o))
	if o.Address != "" {
		line("address", "%s", o.Address)
	}
	switch o.Kind {
	case inspect.KindSysV:
		segmentLines(o, line)
	default:
		fileLines(env, o, line)
	}
	atLeast := ""
	if o.AtLeast {
		atLeast = "at least "
	}
	line("size", "%s%s", atLeast, bothSizes(o.Size))
	line("used", "%s", bothSizes(o.Used))
	if o.Swapped > 0 {
		line("swapped", "%s", bothSizes(o.Swapped))
	}
	if o.Huge > 0 {
		line("huge pages", "of %s", bothSizes(o.Huge))
	}
	if !o.AtLeast {
		line("mode", "%s (%s)", octal(o), modeText(o.Mode))
		line("owner", "%s (%d), group %s (%d)", u.name(o.UID), o.UID, u.group(o.GID), o.GID)
		if o.Kind == inspect.KindSysV && !o.Foreign && (o.CUID != o.UID || o.CGID != o.GID) {
			line("creator's user", "%s (%d), group %s (%d)", u.name(o.CUID), o.CUID, u.group(o.CGID), o.CGID)
		}
		if o.ACL {
			line("access list", "yes: the group's rights in the mode are its mask (getfacl shows it)")
		}
	}
	if o.HasSeals {
		line("seals", "%s", o.Seals)
	}
	if o.Semaphore != nil {
		line("value", "%d, %s waiting", o.Semaphore.Value, plural(uint64(o.Semaphore.Waiters), "thread"))
	}
	if !o.Created.IsZero() {
		word := "created"
		if o.Kind == inspect.KindSysV {
			word = "created or changed" // one time for both
		}
		line(word, "%s", bothTimes(o.Created, now))
	}
	if !o.Modified.IsZero() {
		line("written", "%s", bothTimes(o.Modified, now))
	}
	if !o.LastUsed.IsZero() {
		line("last used", "%s", bothTimes(o.LastUsed, now))
	}
	state := stateWords(o)
	if judged(o) {
		if _, why := o.Orphaned(); why != "" {
			state += ": " + why
		}
	}
	line("state", "%s", state)
	if o.Via != "" {
		line("bytes", "%s", o.Via)
	}
	holderLine(o, line)
	w.Flush()
	b.WriteString(holderTable(o, &u))
	_, err := io.WriteString(env.Stdout, b.String())
	return err
}

// judged reports whether one can ask if an object is an orphan: nobody does of
// what is in use.
func judged(o *inspect.Object) bool {
	used, _ := o.InUse()
	return (o.Kind == inspect.KindSysV || o.Kind == inspect.KindPOSIX) && !o.Foreign && !used
}

func kindText(o *inspect.Object) string {
	var s string
	switch o.Kind {
	case inspect.KindSysV:
		s = "System V segment"
	case inspect.KindPOSIX:
		s = "POSIX object"
	case inspect.KindSemaphore:
		s = "POSIX semaphore"
	case inspect.KindMemfd:
		s = "memfd"
	case inspect.KindAnonymous:
		s = "shared anonymous memory"
	case inspect.KindShmnet:
		s = "memory of a shmnet connection"
	case inspect.KindTopic:
		s = "topic"
	default:
		s = "no shared memory: " + fileType(o)
	}
	if o.Foreign {
		s += ", of another namespace"
	}
	return s
}

func fileType(o *inspect.Object) string {
	switch o.Mode.Type() {
	case os.ModeDir:
		return "a directory"
	case os.ModeSymlink:
		return "a symbolic link"
	case os.ModeNamedPipe:
		return "a FIFO"
	case os.ModeSocket:
		return "a socket"
	case 0:
		return "a file"
	}
	return "a device"
}

type lineFunc func(name, format string, args ...any)

func segmentLines(o *inspect.Object, line lineFunc) {
	switch {
	case o.Key != 0:
		line("key", "0x%08x (%d)", uint32(o.Key), o.Key)
	case o.OldKey != 0:
		line("key", "none any more; it was 0x%08x", uint32(o.OldKey))
	default:
		line("key", "none (IPC_PRIVATE, or removed)")
	}
	line("id", "%d", o.ID)
	if o.Foreign {
		line("ipc namespace", "%d", o.IPCNamespace)
		return
	}
	line("nattch", "%d", o.NAttach)
	c := o.Creator
	switch {
	case c.PID == 0:
		line("created by", "a process that is not known here")
	case c.Life == inspect.Alive:
		line("created by", "process %d (%s), which lives", c.PID, c.Command)
	case c.Reused:
		line("created by", "process %d, which is dead; another has its number", c.PID)
	case c.Life == inspect.Dead:
		line("created by", "process %d, which is dead", c.PID)
	default:
		line("created by", "process %d", c.PID)
	}
	if o.LPID != 0 {
		line("attached last by", "process %d (attach or detach)", o.LPID)
	}
}

func fileLines(env *Env, o *inspect.Object, line lineFunc) {
	name := procfs.Printable(o.Name)
	switch {
	case o.Kind == inspect.KindMemfd || o.Kind == inspect.KindAnonymous:
		if name != "" {
			line("name", "%s", name)
		}
	case o.Kind == inspect.KindShmnet:
		line("socket", "%s", name)
	case len(o.Names) == 0:
		line("name", "%s (removed)", name)
	default:
		dir := env.dir()
		if dir == "" {
			dir = posix.DefaultDir
		}
		for _, n := range o.Names {
			line("file", "%s", procfs.Printable(filepath.Join(dir, n)))
		}
		if sem, ok := strings.CutPrefix(o.Name, "/sem."); ok && o.Kind == inspect.KindSemaphore {
			line("opened as", "sem_open(\"/%s\")", procfs.Printable(sem))
		}
		if o.Kind != inspect.KindOther && o.Links > uint64(len(o.Names)) {
			line("names", "%d, some of them elsewhere", o.Links)
		}
	}
	line("inode", "%d on device %s", o.Inode, procfs.DevFromStat(o.Dev))
}

func holderLine(o *inspect.Object, line lineFunc) {
	n := plural(len(o.Holders), "process")
	if len(o.Holders) == 0 {
		n = "nobody"
		if o.Partial() {
			n = "nobody that could be seen"
		}
	}
	if o.Unseen > 0 {
		n += fmt.Sprintf(", and %s by processes that could not be seen", plural(o.Unseen, "attachment"))
	}
	line("used by", "%s", n)
}

// holderTable lists the processes, one a line.
func holderTable(o *inspect.Object, u *users) string {
	if len(o.Holders) == 0 {
		return ""
	}
	t := &table{header: true, columns: []column{
		{name: "PID", right: true}, {name: "USER"}, {name: "COMMAND"}, {name: "MAPS", right: true}, {name: "FDS"}, {name: "RIGHTS"}, {name: "COMMAND LINE"},
	}}
	for _, h := range o.Holders {
		fds := strings.Trim(strings.ReplaceAll(fmt.Sprint(h.FDs), " ", ","), "[]")
		if fds == "" {
			fds = "-"
		}
		rights := "read"
		if h.Writable {
			rights = "read, write"
		}
		pid := fmt.Sprint(h.PID)
		if h.InnerPID != 0 {
			pid += fmt.Sprintf(" (%d inside)", h.InnerPID)
		}
		t.rows = append(t.rows, []string{pid, procfs.Printable(u.name(h.UID)), h.Command, fmt.Sprint(h.Maps), fds, rights, shorten(h.Cmdline, cmdlineMax)})
	}
	var b strings.Builder
	b.WriteByte('\n')
	t.write(&b, 0)
	return b.String()
}
