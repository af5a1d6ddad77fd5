package cli

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/man/shm.1 anew")

// TestManual keeps docs/man/shm.1 what `shm man` gives, and that complete.
func TestManual(t *testing.T) {
	root := newRoot(&Env{Getenv: func(string) string { return "" }})
	got := manual(root)
	path := filepath.Join("..", "..", "docs", "man", "shm.1")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s is not what the command has: go test ./internal/cli -run Manual -update\n%s", path, d)
	}
	text := strings.ReplaceAll(got, `\-`, "-")
	for _, c := range root.Commands() {
		if c.Hidden {
			continue
		}
		if !strings.Contains(text, ".SS shm "+c.Name()) {
			t.Errorf("nothing on the verb %s", c.Name())
		}
		if c.Short == "" || (c.Long == "") != (c.Name() == "version") && c.Name() != "help" {
			t.Errorf("%s: a short text %q, a long one of %d bytes", c.Name(), c.Short, len(c.Long))
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !strings.Contains(text, "--"+f.Name) {
				t.Errorf("nothing on %s --%s", c.Name(), f.Name)
			}
			// A value that may be left out would have to be glued to its flag.
			if f.NoOptDefVal != "" && f.Value.Type() != "bool" {
				t.Errorf("%s --%s has an optional value", c.Name(), f.Name)
			}
		})
	}
	for _, code := range exitStatuses {
		if !strings.Contains(text, ".B "+code[0]+"\n") {
			t.Errorf("nothing on the exit status %s", code[0])
		}
	}
	for i, l := range strings.Split(got, "\n") {
		if strings.HasPrefix(l, "'") || strings.HasPrefix(l, ".") && len(l) < 3 {
			t.Errorf("line %d is a stray command: %q", i+1, l)
		}
	}
	// Where there is a formatter, it has nothing to complain about.
	if groff, err := exec.LookPath("groff"); err == nil {
		cmd := exec.Command(groff, "-man", "-ww", "-Tutf8")
		cmd.Stdin = strings.NewReader(got)
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		if err := cmd.Run(); err != nil || errOut.Len() > 0 {
			t.Errorf("groff: %v\n%s", err, errOut.String())
		}
	}
}
