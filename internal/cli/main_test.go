//go:build linux

package cli_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/cli"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmtest"
)

// programs are what scripts execute: this binary under other names.
var programs = map[string]func(){
	"shm": func() {
		os.Exit(cli.Main(os.Args[1:], cli.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}))
	},
	"holder":  holder,
	"service": service,
}

type checked struct{ m *testing.M }

func (c checked) Run() int { return shmtest.Main(c.m) }

func TestMain(m *testing.M) {
	// The programs stay in the namespaces of the tests that start them.
	if programs[filepath.Base(os.Args[0])] == nil {
		shmtest.Enter()
		// A program built with -race sleeps a second before it ends, which is
		// for threads that still run; there are hundreds of programs here.
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	testscript.Main(checked{m}, programs)
}

// emulated reports whether an emulator runs this binary.
func emulated() bool { return shmtest.Emulated() }

// holder has memory until its standard input ends:
//
//	holder ADDRESS [times]          attached so many times
//	holder memfd NAME SIZE [seal]   a new memfd
//
// It says "ready" and, of a memfd, the address.
func holder() {
	if err := hold(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "holder:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func hold(args []string) error {
	if args[0] == "memfd" {
		size, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil {
			return err
		}
		opts := &memfd.Options{}
		if len(args) > 3 {
			opts.Seals = memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW
		}
		f, err := memfd.CreateSized(args[1], size, opts)
		if err != nil {
			return err
		}
		defer f.Close()
		fmt.Println("ready", f.Address())
	} else {
		times := 1
		if len(args) > 1 {
			times, _ = strconv.Atoi(args[1])
		}
		for range times {
			s, err := shm.Open(args[0], &shm.Options{Dir: os.Getenv("SHM_DIR")})
			if err != nil {
				return err
			}
			defer s.Close()
		}
		fmt.Println("ready")
	}
	_, err := io.Copy(io.Discard, bufio.NewReader(os.Stdin))
	return err
}
