package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// programGRPC is whose processes measure gRPC. It is in a module of its own, so
// that who uses this one needs no gRPC.
const programGRPC = "shm-bench-grpc"

// moduleGRPC is where it is in a checkout.
const moduleGRPC = "bench/grpc"

// How long building it may take, most of which is gRPC itself. What was built
// until then stays in the go command's cache, so the next time goes on there.
const (
	buildTime      = 60 * time.Second
	quickBuildTime = 20 * time.Second
)

var errNoProgram = fmt.Errorf("no %s in PATH: in a clone, go -C %s install ./%s", programGRPC, moduleGRPC, programGRPC)

// findGRPC gives the program: from PATH, or built from the checkout that the
// current directory is in. In the go command's cache nobody has to clean it up.
func (b *Bench) findGRPC(ctx context.Context, limit time.Duration) (Command, error) {
	path, err := exec.LookPath(programGRPC)
	if err != nil {
		dir, err := os.Getwd()
		if err != nil {
			return Command{}, errNoProgram
		}
		if dir, err = checkout(dir, os.Geteuid()); err != nil {
			return Command{}, err
		}
		if path, err = b.buildGRPC(ctx, dir, limit); err != nil {
			return Command{}, err
		}
	}
	// Whatever has this name: an older one would measure something else.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	said, err := output(exec.CommandContext(ctx, path, orderProtocol))
	if err != nil {
		return Command{}, fmt.Errorf("%s %s: %w", path, orderProtocol, err)
	}
	if said != protocol {
		return Command{}, fmt.Errorf("%s speaks %q, and this is %q: install it again, or remove it", path, said, protocol)
	}
	return Command{Path: path, Args: []string{programGRPC}}, nil
}

// checkout finds the program's module in dir or above. What is built is
// executed, so it has to be that user's own, or root's.
func checkout(dir string, uid int) (string, error) {
	for {
		module := filepath.Join(dir, filepath.FromSlash(moduleGRPC))
		text, err := os.ReadFile(filepath.Join(module, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte("module github.com/seed-298b2b26/shm/"+moduleGRPC+"\n")) {
			for _, path := range []string{dir, module, filepath.Join(module, "go.mod")} {
				if !owned(path, uid) {
					return "", fmt.Errorf("%s is another user's, so it is not built from there: put %s into PATH", path, programGRPC)
				}
			}
			return module, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errNoProgram
		}
		dir = up
	}
}

// build has another process build the program, which cleans up should this one
// be killed, and gives the program's path.
func (b *Bench) buildGRPC(ctx context.Context, dir string, limit time.Duration) (string, error) {
	self, err := b.Self()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, self.Path)
	cmd.Args = append(slices.Clone(self.Args), orderBuild, dir, limit.String())
	stdin, err := cmd.StdinPipe() // which ends when this process does
	if err != nil {
		return "", err
	}
	cmd.Cancel, cmd.WaitDelay = stdin.Close, 5*time.Second
	line, err := output(cmd)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", err
	}
	var r reply
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return "", err
	}
	if r.Skip != "" {
		return "", errors.New(r.Skip)
	}
	return r.Address, nil
}

// builder is a worker that builds the program, until its input ends.
func builder(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("a directory and a limit are wanted")
	}
	limit, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		io.Copy(io.Discard, in)
		cancel(errParent)
	}()
	r := reply{PID: os.Getpid()}
	if r.Address, err = build(ctx, args[0], limit); err != nil {
		r.Skip = err.Error()
	}
	return json.NewEncoder(out).Encode(&r)
}

// build has the go command build the program into its cache, and gives its
// path there.
func build(ctx context.Context, dir string, limit time.Duration) (string, error) {
	command, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("%w; to build it here there is no go command", errNoProgram)
	}
	scratch, err := os.MkdirTemp("", "shm-bench-")
	if err != nil {
		return "", err
	}
	defer func() {
		// A compiler that was killed may just be making its last file.
		for range 100 {
			if os.RemoveAll(scratch) == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(limited, command, "-C", dir, "tool", "-n", programGRPC)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOOS=", "GOARCH=", "GOTMPDIR="+scratch)
	killWhole(cmd)
	path, err := output(cmd)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case limited.Err() != nil:
		return "", fmt.Errorf("building %s took longer than %v: go -C %s install ./%s", programGRPC, limit, dir, programGRPC)
	case err != nil:
		return "", fmt.Errorf("cannot build %s: %w", programGRPC, err)
	}
	return path, nil
}

// output runs a command and gives the line that it writes.
func output(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if _, last, ok := strings.Cut("\n"+strings.TrimSpace(stderr.String()), "\n"); ok && last != "" {
			err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(last, "\n", "; "))
		}
		return "", err
	}
	line := strings.TrimSpace(string(out))
	if line == "" || strings.Contains(line, "\n") {
		return "", errors.New("it does not say one line")
	}
	return line, nil
}
