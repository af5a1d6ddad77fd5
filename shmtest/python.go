package shmtest

import (
	"os/exec"
	"strings"
	"testing"
)

// Python returns the path of a Python 3 interpreter: the program itself, not
// a script that looks for it. It skips the test if there is none.
func Python(t testing.TB) string {
	t.Helper()
	var why error
	for _, name := range []string{"python3", "python"} {
		out, err := exec.Command(name, "-c", "import sys; assert sys.version_info[0] == 3; print(sys.executable)").Output()
		if path := strings.TrimSpace(string(out)); err == nil && path != "" {
			return path
		} else if why == nil {
			why = err
		}
	}
	t.Skipf("needs Python 3: %v", why)
	return ""
}
