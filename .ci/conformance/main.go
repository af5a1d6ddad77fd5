// Conformance writes docs/conformance.md: every row of docs/conformance/*.tsv
// with what became of the tests of its number.
//
//	go run ./.ci/conformance                 run the tests, write the document
//	go run ./.ci/conformance -check FILE...  with events that exist (go test -json),
//	                                         fail when the document is out of date
//
// A row fails the run when no test of its number ran and no reason is given,
// when a test of its number failed, and when it has both tests and a reason
// for having none.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const document = "docs/conformance.md"

// groups are the tables of the document, in order.
var groups = []struct{ prefix, title string }{
	{"SV", "System V"},
	{"PX", "POSIX objects, and semaphores, locks and peers beside them"},
	{"MM", "mmap, munmap, ftruncate"},
	{"MF", "memfd_create and seals"},
	{"CLI", "Command line tools"},
}

// row is a line of a table.
type row struct {
	number, behaviour, source, needs, reason string
}

// result is what became of the tests of one number.
type result struct {
	pass, skip, fail int
	where            map[string]bool // packages
	why              string          // of the first skip
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("conformance: ")
	check := flag.Bool("check", false, "compare with the document in place of writing it")
	flag.Parse()
	results := map[string]*result{}
	if flag.NArg() == 0 {
		cmd := exec.Command("go", "test", "-count=1", "-json", "./...")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			log.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			log.Fatal(err)
		}
		if err := collect(out, results); err != nil {
			log.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			log.Fatal("go test: ", err)
		}
	}
	for _, name := range flag.Args() {
		f, err := os.Open(name)
		if err != nil {
			log.Fatal(err)
		}
		if err := collect(f, results); err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		f.Close()
	}
	text, faults := render(read, results)
	if len(faults) > 0 {
		log.Fatal(strings.Join(faults, "\n"))
	}
	if !*check {
		if err := os.WriteFile(document, text, 0o644); err != nil {
			log.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(document)
	if err != nil {
		log.Fatal(err)
	}
	if !bytes.Equal(have, text) {
		log.Fatalf("%s is out of date: run go run ./.ci/conformance\n%s", document, firstDifference(have, text))
	}
}

// numbered is an element of a test's name that begins with a number.
var numbered = regexp.MustCompile(`^((?:SV|PX|MM|MF|CLI)-[0-9]{3})(?:[^0-9].*)?$`)

// numbers gives the numbers in a test's name, which may stand below one
// another.
func numbers(test string) (all []string) {
	for element := range strings.SplitSeq(test, "/") {
		if m := numbered.FindStringSubmatch(element); m != nil && !slices.Contains(all, m[1]) {
			all = append(all, m[1])
		}
	}
	return all
}

// collect reads the output of go test -json.
func collect(r io.Reader, results map[string]*result) error {
	type key struct{ pkg, test string }
	said := map[key][]string{}
	dec := json.NewDecoder(r)
	for {
		var e struct{ Action, Package, Test, Output string }
		if err := dec.Decode(&e); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		k := key{e.Package, e.Test}
		if e.Action == "output" {
			said[k] = append(said[k], e.Output)
			continue
		}
		for _, number := range numbers(e.Test) {
			res := results[number]
			if res == nil {
				res = &result{where: map[string]bool{}}
				results[number] = res
			}
			res.add(e.Action, e.Package, said[k])
		}
	}
}

// add counts one test that ended.
func (r *result) add(action, pkg string, said []string) {
	switch action {
	case "pass":
		r.pass++
		r.where[pkg[strings.Index(pkg, "/shm")+1:]] = true
	case "fail":
		r.fail++
	case "skip":
		r.skip++
		if r.why == "" {
			r.why = skipReason(said)
		}
	}
}

// skipReason finds what a skipped test said.
func skipReason(output []string) string {
	for _, line := range output {
		line = strings.TrimSpace(line)
		if i := strings.Index(line, ".go:"); i >= 0 {
			if _, text, ok := strings.Cut(line[i+4:], ": "); ok {
				return text
			}
		}
	}
	return "no reason given"
}

// read gives the rows of a table.
func read(prefix string) ([]row, error) {
	f, err := os.Open(filepath.Join("docs", "conformance", prefix+".tsv"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var rows []row
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		c := strings.Split(sc.Text(), "\t")
		if len(c) != 5 {
			return nil, fmt.Errorf("%s.tsv:%d: %d columns, expected 5", prefix, n, len(c))
		}
		rows = append(rows, row{c[0], c[1], c[2], c[3], strings.TrimSpace(c[4])})
	}
	return rows, sc.Err()
}

// render makes the document, and lists what is wrong.
func render(read func(string) ([]row, error), results map[string]*result) (text []byte, faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	var body bytes.Buffer
	known := map[string]bool{}
	var asserted, skipped, not int
	for _, g := range groups {
		rows, err := read(g.prefix)
		if err != nil {
			fault("%v", err)
			continue
		}
		fmt.Fprintf(&body, "\n## %s: %s\n\n| number | behaviour | source | outcome |\n|---|---|---|---|\n", g.prefix, g.title)
		for _, r := range rows {
			if known[r.number] {
				fault("%s stands twice", r.number)
			}
			known[r.number] = true
			res := results[r.number]
			var outcome string
			switch {
			case res == nil && r.reason == "":
				fault("%s: no test has this number, and no reason is given", r.number)
			case res != nil && r.reason != "":
				fault("%s: there are tests, and a reason for having none", r.number)
			case res == nil:
				outcome = "not asserted: " + r.reason
				not++
			case res.fail > 0:
				fault("%s: failed", r.number)
			case res.pass > 0:
				outcome = "passes, in " + strings.Join(packages(res.where), ", ")
				asserted++
			default:
				outcome = "skipped: " + res.why
				skipped++
			}
			fmt.Fprintf(&body, "| %s | %s | %s | %s |\n", r.number, cell(r.behaviour), cell(r.source), cell(outcome))
		}
	}
	for number := range results {
		if !known[number] {
			fault("%s: a test has this number, and no row", number)
		}
	}
	slices.Sort(faults)
	var head bytes.Buffer
	fmt.Fprintf(&head, `# Conformance

What Linux does with shared memory, as the manual pages, the kernel's and the C libraries' sources and the Linux Test
Project have it, and as it was seen: each behaviour has a number, and a test of that number asserts it through this
project's public packages, or through its command.

This page is written by `+"`go run ./.ci/conformance`"+` from the tests' own output (as root, with gcc and python3). Of %d behaviours
%d are asserted and pass, %d are skipped on the machines of continuous integration, and %d are not asserted, each with the
reason. To see the tests of one number: `+"`go test ./... -run '/SV-045'`"+`.

What a test needs, such as another user or a namespace, it makes in helper processes; "observed" marks what
was seen on Linux 6.18 with glibc 2.36 without a written source. What cannot be shown under emulation for arm64 stands in [.ci/arm64.md](../.ci/arm64.md).
`, asserted+skipped+not, asserted, skipped, not)
	return append(head.Bytes(), body.Bytes()...), faults
}

func packages(set map[string]bool) []string {
	var all []string
	for p := range set {
		all = append(all, "`"+p+"`")
	}
	slices.Sort(all)
	return all
}

// cell makes a text fit for a cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s)
}

func firstDifference(a, b []byte) string {
	as, bs := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return fmt.Sprintf("line %d\n- %s\n+ %s", i+1, as[i], bs[i])
		}
	}
	return fmt.Sprintf("%d lines, expected %d", len(as), len(bs))
}
