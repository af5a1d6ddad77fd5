//go:build linux

package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/cli"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

// terminal is a pseudo-terminal: the program has tty, a person the other end.
type terminal struct {
	tty    *os.File
	person *os.File

	mu   sync.Mutex
	seen bytes.Buffer
	done chan struct{}
}

// openTerminal makes one of so many columns. What appears on it is collected.
func openTerminal(t *testing.T, columns int) *terminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs pseudo-terminals: %v", err)
	}
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	// By descriptor: where devpts is mounted does not matter then.
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, person.Fd(), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Skipf("needs pseudo-terminals: %v", errno)
	}
	tty := os.NewFile(peer, "tty")
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: 24}); err != nil {
		t.Fatal(err)
	}
	x := &terminal{tty: tty, person: person, done: make(chan struct{})}
	go func() {
		defer close(x.done)
		buf := make([]byte, 4096)
		for {
			n, err := person.Read(buf)
			x.mu.Lock()
			x.seen.Write(buf[:n])
			x.mu.Unlock()
			if err != nil {
				return // EIO: nobody has the other end any more
			}
		}
	}()
	t.Cleanup(func() {
		tty.Close()
		<-x.done
		person.Close()
	})
	return x
}

// shown gives what appeared, once the program is done with it.
func (x *terminal) shown() string {
	x.tty.Close()
	<-x.done
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.ReplaceAll(x.seen.String(), "\r\n", "\n")
}

// on runs the command with its standard output on a terminal, and gives what
// appears there.
func on(t *testing.T, columns int, args ...string) string {
	t.Helper()
	x := openTerminal(t, columns)
	r := runWith(cli.Env{Getenv: os.Getenv, Stdout: x.tty}, args...)
	r.want(t, 0)
	return x.shown()
}

func TestTerminalOutput(t *testing.T) {
	name := shmtest.Name(t)
	write := func(data string) {
		t.Helper()
		r := runWith(cli.Env{Getenv: os.Getenv, Stdin: strings.NewReader(data)}, "write", name)
		r.want(t, 0)
	}
	remove := func() { posix.Unlink(name, nil) }
	defer remove()

	for _, c := range []struct{ what, data, want string }{
		{"text", "two\nlines\n", "two\nlines\n"},
		{"text with zeros behind it", "text\n\x00\x00\x00", "text\n"},
		{"other letters", "grüße, 世界", "grüße, 世界"},
		{"an escape sequence", "a\x1b[2J", "00000000  61 1b 5b 32 4a                                    |a.[2J|\n00000005\n"},
		{"bytes behind the zeros", "a\x00b", "00000000  61 00 62                                          |a.b|\n00000003\n"},
		{"no UTF-8", "a\xff\xfe", "00000000  61 ff fe                                          |a..|\n00000003\n"},
		{"a character cut off", "abc\xe4\xb8", "00000000  61 62 63 e4 b8                                    |abc..|\n00000005\n"},
		{"zeros alone", "\x00\x00", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			remove()
			write(c.data)
			if got := on(t, 80, "read", name); got != c.want {
				t.Errorf("shown is %q, want %q", got, c.want)
			}
			// Not on a terminal everything comes as it is.
			if r := run("read", name).want(t, 0); r.out != c.data {
				t.Errorf("read gives %q, want %q", r.out, c.data)
			}
		})
	}
	t.Run("a string that is none", func(t *testing.T) {
		remove()
		write("a\x1bb\x00c")
		if got := on(t, 80, "read", "-s", name); !strings.Contains(got, "|a.b|") {
			t.Errorf("shown is %q", got)
		}
	})
	t.Run("binary far behind the beginning", func(t *testing.T) {
		remove()
		write(strings.Repeat("x", 100000) + "\x07")
		if got := on(t, 80, "read", name); strings.Contains(got, "\x07") || !strings.Contains(got, "*\n") {
			t.Errorf("shown is %.200q", got)
		}
	})
}

func TestTerminalTable(t *testing.T) {
	name := shmtest.Name(t)
	run("create", name, "--size", "3M", "--sparse").want(t, 0)
	defer posix.Unlink(name, nil)
	// Somebody to be shown as its holder.
	o, err := posix.Open(name, posix.O_RDWR, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, columns := range []int{200, 120, 100, 80, 60, 40} {
		text := on(t, columns, "ls", name)
		for line := range strings.Lines(text) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns {
				t.Errorf("%d columns on a terminal of %d: %s", n, columns, line)
			}
		}
		has(t, text, "KIND", "NAME", "SIZE", " 3.0M", "STATE", " used")
		switch columns {
		case 200:
			has(t, text, name, "MODE", "OWNER", "NATTCH", "USED", fmt.Sprintf("%d ", os.Getpid()))
		case 80:
			hasNot(t, text, "NATTCH")
			has(t, text, fmt.Sprintf("%d ", os.Getpid()))
		}
		has(t, on(t, columns, "ls", "--bytes", name), " 3145728")
	}
}

func TestTerminalInput(t *testing.T) {
	if emulated() {
		t.Skip("the command cannot be executed by itself under the emulator")
	}
	name := shmtest.Name(t)
	path, err := exec.LookPath("shm")
	if err != nil {
		t.Fatal(err)
	}
	start := func(t *testing.T, x *terminal, args ...string) (*exec.Cmd, *bytes.Buffer) {
		t.Helper()
		cmd := exec.Command(path, args...)
		var out bytes.Buffer
		cmd.Stdin, cmd.Stdout = x.tty, &out
		errOut, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		const prompt = "Message to shared memory: "
		got := make([]byte, len(prompt))
		if _, err := io.ReadFull(errOut, got); err != nil || string(got) != prompt {
			t.Fatalf("it asks with %q, %v, want %q", got, err, prompt)
		}
		go io.Copy(io.Discard, errOut)
		return cmd, &out
	}

	t.Run("line", func(t *testing.T) {
		x := openTerminal(t, 80)
		cmd, out := start(t, x, "write", name, "--size", "100")
		defer posix.Unlink(name, nil)
		io.WriteString(x.person, "hello there\nand more\n")
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if out.Len() > 0 {
			t.Errorf("on standard output is %q", out)
		}
		// One line, with its newline, as fgets gives it.
		if r := run("read", "-s", name).want(t, 0); r.out != "hello there\n\n" {
			t.Errorf("written was %q", r.out)
		}
	})

	t.Run("end of input", func(t *testing.T) {
		x := openTerminal(t, 80)
		cmd, _ := start(t, x, "write", name)
		io.WriteString(x.person, "\x04") // Ctrl-D
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 1 {
			t.Errorf("exit status %d, want 1: there is no data", code)
		}
		run("info", name).want(t, 3)
	})

	t.Run("interrupt", func(t *testing.T) {
		x := openTerminal(t, 80)
		cmd, _ := start(t, x, "write", name)
		begin := time.Now()
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 130 {
			t.Errorf("exit status %d, want 130", code)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it ended after %v", took)
		}
		run("info", name).want(t, 3)
	})
}
