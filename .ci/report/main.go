// Command report judges what .ci/run did: it counts tests, checks every skip
// against the list of expected ones, and compares the machine before and after.
//
// Usage:
//
//	report guard [-limit 27m] -- COMMAND ARG...
//	report check -kind KIND -module PATH -skips FILE -state DIR [-all] EVENTS.json...
//	report total -skips FILE -state DIR [-failed N] [-partial]
//
// Guard runs a command, and fails when it leaves a process, a shared memory
// object, a mount or a changed setting behind. Check reads the events of one
// run of go test -json. Total adds the runs up, looks for entries of the skip
// list that nothing needs any more, and prints the line that ends a run of
// the whole: N passed, N failed, N skipped. Of what failed tests said both
// print the beginning and the end.
//
// The exit status is 3 when a check did its work and found something wrong.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// errFound is returned when a check did its work and found something wrong;
// what it found is printed already.
var errFound = errors.New("found something wrong")

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "report: want guard, check or total")
		os.Exit(2)
	}
	var err error
	switch verb, args := os.Args[1], os.Args[2:]; verb {
	case "guard":
		err = guardMain(args)
	case "check":
		err = checkMain(args, os.Stdout)
	case "total":
		err = totalMain(args, os.Stdout)
	default:
		fmt.Fprintf(os.Stderr, "report: unknown verb %q\n", verb)
		os.Exit(2)
	}
	if err != nil {
		if errors.Is(err, errFound) {
			os.Exit(3)
		}
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func guardMain(args []string) error {
	fs := flag.NewFlagSet("guard", flag.ExitOnError)
	limit := fs.Duration("limit", 27*time.Minute, "kill the command after this long")
	_ = fs.Parse(args)
	if fs.NArg() == 0 {
		return errors.New("guard: no command")
	}
	return guard(fs.Args(), *limit, os.Stdout)
}

func checkMain(args []string, w io.Writer) error {
	fs := flag.NewFlagSet("check", flag.ExitOnError)
	kind := fs.String("kind", "", "kind of the run, as in the skip list")
	module := fs.String("module", "", "module path, cut from package names")
	skips := fs.String("skips", "", "list of expected skips")
	state := fs.String("state", "", "directory that keeps the results")
	all := fs.Bool("all", false, "the run had no -run filter: a package with test files must run a test")
	_ = fs.Parse(args)
	if *kind == "" || *module == "" || *skips == "" || *state == "" || fs.NArg() == 0 {
		return errors.New("check: -kind, -module, -skips, -state and a file of events are needed")
	}
	list, err := readSkips(*skips)
	if err != nil {
		return err
	}
	run := newRun(*module)
	for _, name := range fs.Args() {
		if err := run.readFile(name); err != nil {
			return err
		}
	}
	res := run.judge(*kind, list, *all)
	if err := res.save(*state); err != nil {
		return err
	}
	for _, f := range res.Failures {
		f.write(w, *kind, headLines+1+tailLines)
	}
	for _, p := range res.Problems {
		fmt.Fprintln(w, "PROBLEM:", p)
	}
	fmt.Fprintf(w, "%s: %d passed, %d failed, %d skipped (%d of them unexpected)\n",
		*kind, res.Passed, res.Failed, res.Skipped, res.Unexpected)
	if len(res.Problems) > 0 {
		return errFound
	}
	return nil
}

func totalMain(args []string, w io.Writer) error {
	fs := flag.NewFlagSet("total", flag.ExitOnError)
	skips := fs.String("skips", "", "list of expected skips")
	state := fs.String("state", "", "directory that keeps the results")
	failed := fs.Int("failed", 0, "failures to add that are not tests")
	partial := fs.Bool("partial", false, "only some runs were made: call no entry stale")
	_ = fs.Parse(args)
	list, err := readSkips(*skips)
	if err != nil {
		return err
	}
	results, err := loadResults(*state)
	if err != nil {
		return err
	}
	bad := *failed
	if *partial {
		list = nil
	}
	for _, e := range stale(list, results) {
		fmt.Fprintf(w, "PROBLEM: %s:%d: no skip matches this entry any more: %s\n", *skips, e.Line, strings.Join([]string{e.Kind, e.Package, e.Test, e.Reason}, " "))
		bad++
	}
	// Who reads the end of a log finds there what failed, and why.
	for _, r := range results {
		for _, f := range r.Failures {
			f.write(w, r.Kind, lastWords)
		}
	}
	var passed, skipped int
	for _, r := range results {
		fmt.Fprintf(w, "  %-8s %6d passed %4d failed %4d skipped\n", r.Kind, r.Passed, r.Failed, r.Skipped)
		passed += r.Passed
		skipped += r.Skipped
		bad += r.Failed
		// A problem that is no failed test, such as a skip that nobody
		// expected, must not end in a line that says "0 failed".
		bad += r.Other
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", passed, bad, skipped)
	if bad > 0 || passed == 0 && !*partial {
		return errFound
	}
	return nil
}
