// Package models runs the models of the protocols, spec/topic.md and
// spec/shmnet.md, through the model checker spin: each must hold, and each of its mutants, which leave
// out one thing that the protocol asks for, must fail.
package models

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run is one way to run a model.
type run struct {
	model string
	flags string // -D of each
	fails string // what pan says of a mutant; empty for what must hold
	long  bool   // only with -long
}

const (
	assertion = "assertion violated"
	stuck     = "invalid end state"
)

var runs = []run{
	{model: "hold", flags: "MAX=6"},
	{model: "hold", flags: "MAX=7", long: true},
	{model: "hold", flags: "MAX=6 BATCH", long: true},
	{model: "hold", flags: "MAX=7 N=3 K=1"},
	{model: "hold", flags: "MAX=5 BATCH NODISCARD"},
	{model: "hold", flags: "MAX=6 HOSTILE HOLES=4"},
	{model: "hold", flags: "MAX=9 HOSTILE HOLES=4 NODISCARD", long: true},
	{model: "hold", flags: "MAX=4 N=3 K=1 SUBS=2 NODISCARD", long: true},
	// The second line of section 6, without which it holds too.
	{model: "hold", flags: "MAX=6 N=3 K=1 LOOKFIRST"},
	{model: "hold", flags: "MAX=6 N=3 K=1 STAMPFIRST"},
	{model: "hold", flags: "MAX=6 PINSFIRST", fails: assertion},
	{model: "hold", flags: "MAX=6 NOSTATE", fails: assertion},
	{model: "hold", flags: "MAX=6 NOLAST", fails: assertion},
	{model: "hold", flags: "MAX=6 LASTSTRICT", fails: assertion},
	{model: "hold", flags: "MAX=6 NOKEEP", fails: assertion},
	{model: "hold", flags: "MAX=6 NEWCURSOR", fails: assertion},
	{model: "hold", flags: "MAX=7 N=3 K=1 WINDOW", fails: assertion},
	{model: "hold", flags: "MAX=6 HOLESHOWN", fails: assertion},
	{model: "hold", flags: "MAX=5 BATCH NOSHOW NODISCARD", fails: assertion},
	{model: "hold", flags: "MAX=9 HOSTILE HOLES=4 NODISCARD ANYPIN", fails: assertion},

	{model: "room", flags: ""},
	{model: "room", flags: "N=3 SAMPLES=7"},
	{model: "room", flags: "SAMPLES=9", long: true},
	{model: "room", flags: "SUBS=2 K=1 SAMPLES=4"},
	{model: "room", flags: "SUBS=2 K=1 N=3", long: true},
	{model: "room", flags: "ONEBYONE", fails: assertion},
	{model: "room", flags: "PASTHEAD", fails: stuck},
	{model: "room", flags: "N=3 NOVALUE", fails: stuck},
	{model: "room", flags: "N=3 WANTFIRST", fails: stuck},
	{model: "room", flags: "PINSFIRST", fails: assertion},

	{model: "sleep", flags: "SAMPLES=2"},
	{model: "sleep", flags: "SAMPLES=2 FENCEFREE"},
	{model: "sleep", flags: "", long: true},
	{model: "sleep", flags: "FENCEFREE", long: true},
	{model: "sleep", flags: "WORDLATE", fails: stuck},
	{model: "sleep", flags: "HEADWORD", fails: stuck},
	{model: "sleep", flags: "LOOKFIRST", fails: stuck},
	{model: "sleep", flags: "WAKEFIRST", fails: stuck},
	{model: "sleep", flags: "ZEROLATE", fails: stuck},
	{model: "sleep", flags: "TAKEBACK", fails: stuck},
	{model: "sleep", flags: "NOWAKEALL", fails: stuck},
	{model: "sleep", flags: "FENCEFREE NOBARRIER", fails: stuck},

	{model: "nap", flags: "TIMES=1"},
	{model: "nap", flags: "TIMES=1 KILLED"},
	{model: "nap", flags: "NODEADLINE NOLOOK"},
	{model: "nap", flags: "NODEADLINE NOLOOK KILLED"},
	{model: "nap", flags: "NODEADLINE", long: true},
	{model: "nap", flags: "NODEADLINE KILLED", long: true},
	{model: "nap", flags: "NOLOOK", long: true},
	{model: "nap", flags: "NOLOOK KILLED", long: true},
	{model: "nap", flags: "LOOKFIRST", fails: stuck},
	{model: "nap", flags: "NOLOCK", fails: stuck},
	{model: "nap", flags: "NOCOUNT", fails: stuck},
	{model: "nap", flags: "NOWAKE", fails: stuck},
	{model: "nap", flags: "RINGFIRST", fails: stuck},
	{model: "nap", flags: "ONENAP", fails: stuck},
	{model: "nap", flags: "KILLED NOEND", fails: stuck},
	{model: "nap", flags: "ALLSTALE", fails: stuck},
	{model: "nap", flags: "STILLSTALE", fails: stuck},
	{model: "nap", flags: "NOFIRST", fails: stuck},

	{model: "takeover", flags: "MAX=5"},
	{model: "takeover", flags: "MAX=8", long: true},
	{model: "takeover", flags: "ZOMBIE MAX=5"},
	{model: "takeover", flags: "ZOMBIE", long: true},
	{model: "takeover", flags: "NOPINS", fails: assertion},
	{model: "takeover", flags: "ATHEAD", fails: assertion},
	{model: "takeover", flags: "TWOWORDS", fails: assertion},
	{model: "takeover", flags: "ZOMBIE NOEPOCH", fails: assertion},
	{model: "takeover", flags: "ZOMBIE STALE", fails: assertion},
	{model: "takeover", flags: "ZOMBIE NOFENCE", fails: assertion},
	{model: "takeover", flags: "ZOMBIE BELOWHEAD", fails: assertion},
}

var long = flag.Bool("long", false, "run models with larger bounds too")

// limit is for one run, on a slow machine that is used by others.
const limit = 10 * time.Minute

func TestModels(t *testing.T) {
	if os.Getenv("SHM_MODELS") == "" {
		t.Skip("takes minutes of a processor: set SHM_MODELS=1 to run the models")
	}
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: %v", tool, err)
		}
	}
	for _, r := range runs {
		t.Run(strings.Join(append([]string{r.model}, strings.Fields(r.flags)...), " "), func(t *testing.T) {
			if r.long && !*long {
				t.Skip("takes minutes and a gibibyte or two: run with -long")
			}
			check(t, r)
		})
	}
}

func check(t *testing.T, r run) {
	source, err := filepath.Abs(r.model + ".pml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"-a"}
	for _, name := range strings.Fields(r.flags) {
		args = append(args, "-D"+name)
	}
	command(t, dir, "spin", append(args, source)...)
	command(t, dir, "gcc", "-O1", "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048", "-DMEMLIM=4000", "-o", "pan", "pan.c")
	out := command(t, dir, "./pan", "-m1000000", "-w22")
	switch {
	case !strings.Contains(out, "State-vector") || strings.Contains(out, "Search not completed") && r.fails == "" ||
		strings.Contains(out, "max search depth too small"):
		t.Fatalf("not all states were looked at:\n%s", out)
	case r.fails == "" && !strings.Contains(out, "errors: 0"):
		t.Errorf("the protocol does not hold:\n%s", out)
	case r.fails != "" && !strings.Contains(out, r.fails):
		t.Errorf("nothing is wrong (%s) without what this leaves out:\n%s", r.fails, out)
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "states, stored") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// command runs a program and gives what it said. Its exit status is not asked:
// what pan finds it says.
func command(t *testing.T, dir, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatal(fmt.Errorf("%s: %w", name, ctx.Err()))
	}
	if err != nil && name != "./pan" {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out.String())
	}
	return out.String()
}
