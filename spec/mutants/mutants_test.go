package mutants

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	which = flag.String("mutants", "", "run the mutants whose names match this `pattern`")
	all   = flag.Bool("mutants.all", false, "run every suite against a mutant, not only until one catches it")
)

// suite is what can catch a mutant: arguments of go test.
type suite struct {
	name  string
	args  []string
	where string // a directory that has to be there
	order bool   // it can find out that accesses are in another order
}

// suites are run in this order.
var suites = []suite{
	{name: "prover", args: []string{"-tags", "shmpoint", "-failfast", "-run", "^TestProve", "./topic", "-prove.every=4"}},
	{name: "tests of topic", args: []string{"-failfast", "./topic"}},
	{name: "tests of wait", args: []string{"-failfast", "./internal/wait"}, order: true},
	{name: "tests of topicdir", args: []string{"-failfast", "./internal/topicdir"}},
	{name: "order", args: []string{"-failfast", "./spec/order"}, where: "spec/order", order: true},
	{name: "soak", args: []string{"-failfast", "-run", "^TestStressKills$", "./topic", "-topic.kills=400"}, order: true},
	{name: "fuzz", args: []string{"-run", "^$", "-fuzz", "^FuzzHostilePublisher$", "-fuzztime", "10s", "./topic"}},
}

// suiteLimit is how long a suite may take; a mutant that makes it hang is
// caught too.
const suiteLimit = 2 * time.Minute

const root = "../.."

// TestTable: there is a mutant for every SYNC POINT and every row of section
// 9, and each of them fits the source as it is.
func TestTable(t *testing.T) {
	targets := append(syncPoints(t), rows(t)...)
	if len(targets) < 20 {
		t.Errorf("only %d: %q", len(targets), targets)
	}
	for _, target := range targets {
		if !slices.ContainsFunc(mutants, func(m mutant) bool { return m.of == target }) {
			t.Errorf("no mutant of %q", target)
		}
	}
	for _, m := range mutants {
		if m.of != "" && !slices.Contains(targets, m.of) {
			t.Errorf("%s: there is no %q any more", m.name, m.of)
		}
		for _, e := range m.edits {
			src, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(src), e.old); n != 1 {
				t.Errorf("%s: %s has %d times %q", m.name, e.file, n, e.old)
			}
		}
	}
}

// syncPoints finds the comments that say so, as "NAME FILE FUNCTION"; in the
// comment of a type it is the type's name.
func syncPoints(t *testing.T) (found []string) {
	point := regexp.MustCompile(`SYNC\s+POINT:\s+(\w+)`)
	for _, dir := range []string{"internal/wait", "internal/topicdir", "topic"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range f.Comments {
				for _, m := range point.FindAllStringSubmatch(g.Text(), -1) {
					found = append(found, fmt.Sprintf("%s %s/%s %s", m[1], dir, filepath.Base(file), around(f, g)))
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// around names the declaration that a comment stands in or before.
func around(f *ast.File, g *ast.CommentGroup) string {
	for _, d := range f.Decls {
		from := d.Pos()
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc != nil {
				from = d.Doc.Pos()
			}
			if from <= g.Pos() && g.Pos() < d.End() {
				return d.Name.Name
			}
		case *ast.GenDecl:
			if d.Doc != nil {
				from = d.Doc.Pos()
			}
			if s, ok := d.Specs[0].(*ast.TypeSpec); ok && from <= g.Pos() && g.Pos() < d.End() {
				return s.Name.Name
			}
		}
	}
	return "?"
}

// rows gives the first column of the table of deaths.
func rows(t *testing.T) (found []string) {
	text, err := os.ReadFile(filepath.Join(root, "spec/topic.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "| dies | left behind | repaired by |\n")
	if !ok {
		t.Fatal("spec/topic.md has no table of deaths")
	}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			break
		}
		if name := strings.TrimSpace(cells[1]); !strings.HasPrefix(name, "-") {
			found = append(found, name)
		}
	}
	return found
}

// TestMutants runs them, where that is asked for: it takes a while.
func TestMutants(t *testing.T) {
	if *which == "" {
		t.Log("run with -mutants .")
		return
	}
	match, err := regexp.Compile(*which)
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := copyModule(copied); err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	if match.MatchString("none") {
		if by := caught(t, copied, false); len(by) > 0 {
			t.Fatalf("without any mutation: %q", by)
		}
	}
	for _, m := range mutants {
		if !match.MatchString(m.name) {
			continue
		}
		undo := apply(t, copied, m)
		by := caught(t, copied, m.order)
		undo()
		verdict := strings.Join(by, ", ")
		switch {
		case len(by) > 0:
		case m.harmless != "":
			verdict = "nothing: " + m.harmless
		case m.order:
			verdict = "nothing here: an order of accesses, for the explorer and the models"
		default:
			verdict = "NOTHING"
			t.Errorf("%s: nothing has caught it", m.name)
		}
		t.Logf("%s: %s", m.name, verdict)
		fmt.Fprintf(w, "%s\t%s\t%s\n", m.name, m.of, verdict)
	}
	w.Flush()
	t.Logf("mutation, what it breaks, caught by\n%s", &table)
}

func copyModule(to string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel == ".git" {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		if !d.Type().IsRegular() || rel == ".git" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
}

// apply edits the copy.
func apply(t *testing.T, dir string, m mutant) (undo func()) {
	t.Helper()
	before := map[string][]byte{}
	write := func(file string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range m.edits {
		src, err := os.ReadFile(filepath.Join(dir, e.file))
		if err != nil {
			t.Fatal(err)
		}
		if before[e.file] == nil {
			before[e.file] = src
		}
		write(e.file, bytes.Replace(src, []byte(e.old), []byte(e.new), 1))
	}
	return func() {
		for file, src := range before {
			write(file, src)
		}
	}
}

// caught names the suites that fail; with order only those that know orders.
func caught(t *testing.T, dir string, order bool) (by []string) {
	t.Helper()
	for _, s := range suites {
		if order && !s.order {
			continue
		}
		if s.where != "" {
			if _, err := os.Stat(filepath.Join(dir, s.where)); errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
		c, cancel := context.WithTimeout(t.Context(), 2*suiteLimit)
		args := append([]string{"test", "-count=1", "-timeout", suiteLimit.String()}, s.args...)
		cmd := exec.CommandContext(c, "go", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		cancel()
		if err == nil {
			continue
		}
		if bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")) {
			t.Fatalf("it does not build:\n%s", out)
		}
		by = append(by, fmt.Sprintf("%s (%s)", s.name, failure(out)))
		if !*all {
			break
		}
	}
	return by
}

// failure finds which test has failed.
func failure(out []byte) string {
	deepest := ""
	for line := range strings.Lines(string(out)) {
		text := strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(text, "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " ")
			if deepest == "" || strings.HasPrefix(name, deepest) {
				deepest = name
			}
		} else if strings.HasPrefix(text, "panic: test timed out") && deepest == "" {
			deepest = "it hangs"
		} else if strings.HasPrefix(text, "panic: ") && deepest == "" {
			deepest = "a panic"
		}
	}
	if deepest == "" {
		deepest = "failed"
	}
	return deepest
}
