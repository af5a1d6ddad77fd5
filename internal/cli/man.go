package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newMan is how docs/man/shm.1 is made; packagers may use it too.
func newMan(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:               "man",
		Short:             "Write the manual page",
		Hidden:            true,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := io.WriteString(env.Stdout, manual(cmd.Root()))
			return err
		},
	}
}

// manual gives the manual page of a command and all its verbs, for man(7).
func manual(root *cobra.Command) string {
	p := new(page)
	p.macro(".TH SHM 1")
	p.section("NAME")
	p.text("shm - " + lowerFirst(root.Short))
	p.section("SYNOPSIS")
	p.macro(".B shm")
	p.macro(".I verb")
	p.macro("[arguments]")
	p.section("DESCRIPTION")
	p.text(root.Long)
	p.section("VERBS")
	for _, c := range root.Commands() {
		if !c.Hidden && c.Name() != "help" {
			p.verb(c)
		}
		for _, sub := range c.Commands() {
			p.verb(sub)
		}
	}
	p.section("JSON")
	p.text(manJSON)
	p.section("EXIT STATUS")
	for _, s := range exitStatuses {
		p.item(s[0], s[1])
	}
	p.section("ENVIRONMENT")
	p.item("SHM_DIR", "The directory of POSIX objects and topics, /dev/shm unless set.")
	p.section("EXAMPLES")
	p.verbatim(root.Example)
	p.section("SEE ALSO")
	p.text("ipcs(1), ipcrm(1), ftok(3), shmget(2), shmat(2), shmctl(2), shm_open(3), mmap(2), memfd_create(2), shm_overview(7), sysvipc(7)")
	return p.String()
}

const manJSON = `With --json numbers are numbers, times are as in RFC 3339, and what is not known
or does not apply is left out. Fields may be added, and none changes its
meaning. An object has kind, address, name, key, id, size, used, mode (octal),
uid, owner, nattch, holders (each with pid, command, uid, maps, fds and
writable, and in info cmdline, cut to 200 characters), created, last_used and
state; partial is true where processes may be missing from holders, and reasons
say why.

ls writes one document with objects, time, and partial and reasons for the
whole. watch writes one line an event: an object with event (added, changed or
removed), time and changed. rm writes one line an address, with removed, error
and code.

prune writes one document with time, dry_run, bytes (freed, or to be freed) and
dead: each with kind (topic, subscriber, creation or removal), address, path, uid,
owner, bytes, pid, heard, why, kept, action (remove, leave, removed or failed),
reason, error and code.

topic ls writes one document with time and topics, topic info one topic: kind,
address, name, path, state (live, ended, dead, closed or damaged), publisher (pid,
command, alive, uid, owner and since), rate and bytes_per_s, policy, patience_ns,
slots, slot_size, max_subscribers, max_held, sharing, size, used, mode, uid,
owner, created, heard, head, epoch, the counters published, bytes, holes, demoted,
evicted, wakes and waits, and subscribers (each with pid, command, alive, uid,
owner, since, state, admitted, from, cursor, lag, lost, taken, copied, held and
sleeps). topic dump writes one line a part, with part (directory, lock, header,
configuration, hot, entry, slot, subscriber, bell or strange), file, the words of
it as spec/topic.md calls them, and problem. topic sub writes one line a sample, with number, seq, time, user, flags,
missed, data and encoding; topic hz one line an interval, with time, rate,
bytes_per_s, samples, gaps, missed, and of the times between samples period_ns,
jitter_p50_ns, jitter_p90_ns, jitter_p99_ns and jitter_max_ns.

bench writes one line a measurement: transport (limit, limit_c, topic, topic_c,
segment, pipe, unix, unixpacket, tcp, shmnet, futex or buffer; http and grpc, with
over, the transport below them), policy (block or drop), pattern (latency,
throughput, paced or wakeup), wait (spin, sleep or adaptive), size, request (bytes
there, where only the way back has that size), subscribers, batch, read (all or
touch), slots, idle_ns, connections, callers (at once on one connection),
in_place, free (where the kernel places the processes), pids, rounds, p50_ns,
p99_ns and p999_ns of the round trip or the wake-up, p50_ns_min and p50_ns_max of
the rounds, msgs_per_s (with lost ones left out), msgs_per_s_min and
msgs_per_s_max, bytes_per_s, cpu_ns a sample of the publisher, lost, and
limit_ratio, limit_c_ratio, buffer_ratio, futex_ratio, unix_ratio and pipe_ratio:
this one's p50_ns, msgs_per_s (of streams, and of many at once) or cpu_ns divided
by theirs, measured in the same second; of http and grpc unix_ratio is to
themselves over unix, and alone_ratio to the same bytes without them. Where
skipped says why, nothing was measured.`

var exitStatuses = [][2]string{
	{"0", "Done. Also when the reader of standard output closes it early."},
	{"1", "Any other failure."},
	{"2", "The command line is wrong: a verb, a flag, an address, a size, a mode."},
	{"3", "What was named does not exist."},
	{"4", "Not permitted."},
	{"5", "Timed out."},
	{"6", "Corrupt, or of another version."},
	{"7", "In use."},
	{"130", "Interrupted; 129 by SIGHUP and 143 by SIGTERM."},
}

// page is a manual page in the making.
type page struct{ strings.Builder }

func (p *page) macro(s string) { p.WriteString(s + "\n") }

func (p *page) section(name string) { p.macro(".SH " + name) }

// text writes paragraphs; indented lines stand as they are.
func (p *page) text(s string) {
	if s == "" {
		return
	}
	for i, para := range strings.Split(strings.TrimSpace(s), "\n\n") {
		if i > 0 {
			p.macro(".PP")
		}
		if strings.HasPrefix(para, "  ") {
			p.verbatim(para)
		} else {
			p.WriteString(roff(para) + "\n")
		}
	}
}

func (p *page) verbatim(s string) {
	p.macro(".RS 2\n.nf")
	for line := range strings.Lines(s) {
		p.WriteString(roff(strings.TrimPrefix(strings.TrimRight(line, "\n"), "  ")) + "\n")
	}
	p.macro(".fi\n.RE")
}

func (p *page) item(head, body string) {
	p.macro(".TP\n.B " + roff(head))
	p.macro(roff(body))
}

func (p *page) verb(c *cobra.Command) {
	noun := strings.TrimSuffix(c.CommandPath(), c.Name())
	if c.HasSubCommands() {
		p.macro(".SS " + roff(noun+c.Use+" verb"))
	} else {
		p.macro(".SS " + roff(noun+c.Use))
	}
	p.text(c.Long)
	if c.Long == "" {
		p.text(c.Short + ".")
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		head := "--" + f.Name
		if f.Shorthand != "" {
			head = "-" + f.Shorthand + ", " + head
		}
		what, body := pflag.UnquoteUsage(f)
		if what != "" {
			head += " " + what
		}
		body = strings.ToUpper(body[:1]) + body[1:] + "."
		if d := f.DefValue; d != "" && d != "false" && d != "[]" {
			body += fmt.Sprintf(" By default %s.", d)
		}
		p.item(head, body)
	})
	if c.Example != "" {
		p.macro(".PP\nFor example:")
		p.verbatim(c.Example)
	}
}

// roff escapes what man(7) would take for a command.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\(ga", "^", `\(ha`, "~", `\(ti`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
