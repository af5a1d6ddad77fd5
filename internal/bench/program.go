package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
func findGRPC(ctx context.Context, limit time.Duration) (Command, error) {
	path, err := exec.LookPath(programGRPC)
	if err != nil {
		dir, err := os.Getwd()
		if err != nil {
			return Command{}, errNoProgram
		}
		if dir, err = checkout(dir, os.Geteuid()); err != nil {
			return Command{}, err
		}
		if path, err = build(ctx, dir, limit); err != nil {
			return Command{}, err
		}
	}
	// Whatever has this name: an older one would measure something else.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	said, err := output(exec.CommandContext(ctx, path, "protocol"))
	if err != nil {
		return Command{}, fmt.Errorf("%s protocol: %w", path, err)
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

// build has the go command build the program into its cache, and gives its
// path there.
func build(ctx context.Context, dir string, limit time.Duration) (string, error) {
	command, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("%w; to build it here there is no go command", errNoProgram)
	}
	// The go command gets a signal when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(limited, command, "-C", dir, "tool", "-n", programGRPC)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOOS=", "GOARCH=")
	cmd.WaitDelay = 2 * time.Second
	bind(cmd)
	path, err := output(cmd)
	if limited.Err() != nil {
		kill(cmd) // which has had its time to clean up
	}
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
