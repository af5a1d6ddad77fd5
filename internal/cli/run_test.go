//go:build linux

package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm/internal/cli"
	"github.com/seed-298b2b26/shm/shmtest"
)

// result is how a run of the command ended, and what it wrote.
type result struct {
	code        int
	out, errOut string
}

// run runs the command in this process.
func run(args ...string) result { return runWith(cli.Env{Getenv: os.Getenv}, args...) }

func runWith(env cli.Env, args ...string) result {
	var out, errOut bytes.Buffer
	if env.Stdin == nil {
		env.Stdin = strings.NewReader("")
	}
	if env.Stdout == nil {
		env.Stdout = &out
	}
	env.Stderr = &errOut
	code := cli.Main(args, env)
	return result{code, out.String(), errOut.String()}
}

// want fails the test unless the run ended with the code.
func (r result) want(t testing.TB, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit status %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.errOut)
	}
	return r
}

// has fails the test unless the text has all of the parts.
func has(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in\n%s", p, text)
		}
	}
}

// hasNot is the opposite of has.
func hasNot(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(text, p) {
			t.Errorf("%q in\n%s", p, text)
		}
	}
}

// document is parsed JSON.
type document map[string]any

func parse(t testing.TB, text string) document {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return d
}

// objects gives those of `ls --json` for which the field has the value.
func (d document) objects(t testing.TB, field string, value any) []document {
	t.Helper()
	list, ok := d["objects"].([]any)
	if !ok {
		t.Fatalf("no objects in %v", d)
	}
	var found []document
	for _, o := range list {
		if o := document(o.(map[string]any)); o[field] == value {
			found = append(found, o)
		}
	}
	return found
}

// object gives the only one.
func (d document) object(t testing.TB, field string, value any) document {
	t.Helper()
	found := d.objects(t, field, value)
	if len(found) != 1 {
		t.Fatalf("%d objects have the %s %v, want 1", len(found), field, value)
	}
	return found[0]
}

// pids gives the processes that have an object.
func (d document) pids() []int {
	var pids []int
	holders, _ := d["holders"].([]any)
	for _, h := range holders {
		pids = append(pids, int(h.(map[string]any)["pid"].(float64)))
	}
	return pids
}

// The child "cli" runs the command, as often as it is asked to.
func init() {
	shmtest.Handle("cli", func(c *shmtest.Child) {
		c.Send("ready")
		for {
			line, ok := c.Recv()
			if !ok {
				return
			}
			var args []string
			c.Check(json.Unmarshal([]byte(line), &args))
			if len(args) > 0 && args[0] == "write-file" {
				c.Check(os.WriteFile(args[1], []byte(args[2]), 0))
				c.Send("ok")
				continue
			}
			if len(args) > 0 && args[0] == "refuse-shmctl" {
				if err := refuseShmctl(); err != nil {
					c.Send("%v", err)
					continue
				}
				c.Send("ok")
				continue
			}
			r := run(args...)
			b, err := json.Marshal([]string{strconv.Itoa(r.code), r.out, r.errOut})
			c.Check(err)
			c.Send("%s", b)
		}
	})
}

// cliChild is a process in which the command runs.
type cliChild struct {
	*shmtest.Process
	t testing.TB
}

func startCLI(t testing.TB, how shmtest.Command) *cliChild {
	t.Helper()
	how.Handler = "cli"
	p := how.Start(t)
	p.Expect("ready")
	return &cliChild{p, t}
}

func (c *cliChild) ask(args ...string) string {
	c.t.Helper()
	b, err := json.Marshal(args)
	if err != nil {
		c.t.Fatal(err)
	}
	c.Send("%s", b)
	return c.Recv()
}

func (c *cliChild) run(args ...string) result {
	c.t.Helper()
	var parts []string
	if err := json.Unmarshal([]byte(c.ask(args...)), &parts); err != nil {
		c.t.Fatal(err)
	}
	code, err := strconv.Atoi(parts[0])
	if err != nil {
		c.t.Fatal(err)
	}
	return result{code, parts[1], parts[2]}
}
