package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	FailedBuild string
}

// outcome is what became of one test: its last action and what it printed.
type outcome struct {
	action string
	output strings.Builder
}

// pkg is what became of one package.
type pkg struct {
	action  string                // "" while unfinished, else pass, fail or skip
	build   bool                  // the build failed
	noTests bool                  // it has no test files
	output  strings.Builder       // outside of its tests
	tests   map[string][]*outcome // several where -count repeats a test
}

// run collects the events of one run of go test.
type run struct {
	module string
	pkgs   map[string]*pkg
}

func newRun(module string) *run {
	return &run{module: module, pkgs: make(map[string]*pkg)}
}

// readFile adds the events of a file that go test -json wrote. A line that is
// no event is an error: something wrote over the stream.
func (r *run) readFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 64<<20)
	for n := 1; in.Scan(); n++ {
		var e event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		r.add(e)
	}
	return in.Err()
}

func (r *run) add(e event) {
	if e.Package == "" { // build-output and build-fail belong to no package run
		return
	}
	p := r.pkgs[e.Package]
	if p == nil {
		p = &pkg{tests: make(map[string][]*outcome)}
		r.pkgs[e.Package] = p
	}
	if e.Test == "" {
		switch e.Action {
		case "pass", "fail", "skip":
			p.action = e.Action
			p.build = p.build || e.FailedBuild != ""
		case "output":
			p.noTests = p.noTests || strings.Contains(e.Output, "[no test files]")
			p.output.WriteString(e.Output)
		}
		return
	}
	times := p.tests[e.Test]
	if len(times) == 0 || e.Action == "run" {
		times = append(times, new(outcome))
		p.tests[e.Test] = times
	}
	t := times[len(times)-1]
	switch e.Action {
	case "pass", "fail", "skip":
		t.action = e.Action
	case "output":
		t.output.WriteString(e.Output)
	}
}

// rel is the package's path below the module, "." for the root.
func (r *run) rel(path string) string {
	if path == r.module {
		return "."
	}
	return strings.TrimPrefix(path, r.module+"/")
}

// judge counts the run and finds what is wrong with it.
func (r *run) judge(kind string, list []entry, all bool) *result {
	res := &result{Kind: kind, Complete: true}
	problem := func(counted bool, format string, args ...any) {
		res.Problems = append(res.Problems, fmt.Sprintf(format, args...))
		if !counted {
			res.Other++
		}
	}
	for _, path := range sortedKeys(r.pkgs) {
		p := r.pkgs[path]
		name := r.rel(path)
		failed := 0
		for _, test := range sortedKeys(p.tests) {
			for _, t := range p.tests[test] {
				switch t.action {
				case "pass":
					res.Passed++
				case "fail":
					res.Failed++
					failed++
					problem(true, "%s %s failed", name, test)
					res.failure(name+" "+test, t.output.String())
				case "skip":
					res.Skipped++
					i := match(list, kind, name, test, t.output.String())
					if i < 0 {
						res.Unexpected++
						problem(false, "%s %s skipped, and no entry of the list expects it: %s", name, test, lastLines(t.output.String()))
						break
					}
					res.Used = append(res.Used, list[i].Line)
				default:
					if p.action == "pass" {
						problem(false, "%s %s started and never ended", name, test)
					}
				}
			}
		}
		switch {
		case p.action == "":
			res.Complete = false
			problem(false, "%s started and never ended", name)
		case p.action == "fail" && failed == 0:
			res.Complete = false
			what := "outside any test (TestMain, a timeout, a crash)"
			if p.build {
				what = "to build"
			}
			res.Failed++
			problem(true, "%s failed %s", name, what)
			res.failure(name, p.output.String())
		case p.action == "fail":
			// A panic ends a package before its other tests had their turn.
			res.Complete = false
		case all && p.action == "pass" && len(p.tests) == 0 && !p.noTests:
			problem(false, "%s has test files and ran no test", name)
		}
	}
	if res.Passed+res.Failed == 0 {
		problem(false, "the run executed no tests")
	}
	slices.Sort(res.Used)
	res.Used = slices.Compact(res.Used)
	return res
}

// lastLines is what a test said, without the frame that go test puts round it.
func lastLines(s string) string {
	var keep []string
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		keep = append(keep, line)
	}
	return strings.Join(keep, " | ")
}
