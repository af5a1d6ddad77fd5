package shmtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// self returns what executes this binary again with the given arguments: the
// path to execute and the whole argument vector.
//
// The path is /proc/self/exe. Following that link does not walk the
// directories before the binary, so it works for another user too although
// go test and go run put the binary below a directory of mode 0700; and it is
// the binary that runs even if its name has been replaced meanwhile. Under an
// emulator it is the emulator, which is told the binary's path.
func self(args []string) (path string, argv []string, err error) {
	if emulator := strings.Fields(os.Getenv(envExec)); len(emulator) > 0 {
		path, err = exec.LookPath(emulator[0])
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", envExec, err)
		}
		exe := os.Getenv(envSelf)
		if exe == "" {
			if exe, err = os.Executable(); err != nil {
				return "", nil, err
			}
		}
		argv = append(append([]string(nil), emulator...), exe)
		return path, append(argv, args...), nil
	}
	return "/proc/self/exe", append([]string{os.Args[0]}, args...), nil
}

// environWithout returns the environment without the named variables.
func environWithout(names ...string) []string {
	var env []string
next:
	for _, kv := range os.Environ() {
		for _, name := range names {
			if strings.HasPrefix(kv, name+"=") {
				continue next
			}
		}
		env = append(env, kv)
	}
	return env
}
