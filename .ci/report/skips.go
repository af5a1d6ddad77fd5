package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// kinds are the runs that an entry can speak of.
var kinds = []string{"any", "test", "race", "arm64", "stress", "fuzz", "nested"}

// entry is one line of the list of expected skips.
type entry struct {
	Line    int
	Kind    string
	Package string
	Test    string
	Reason  string
	pkg     *regexp.Regexp
	test    *regexp.Regexp
}

// readSkips reads the list: KIND PACKAGE TEST REASON on a line, see the head
// of the file itself.
func readSkips(name string) ([]entry, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []entry
	seen := make(map[string]int)
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 4 {
			return nil, fmt.Errorf("%s:%d: want KIND PACKAGE TEST REASON", name, n)
		}
		e := entry{Line: n, Kind: fields[0], Package: fields[1], Test: fields[2], Reason: strings.Join(fields[3:], " ")}
		if !slices.Contains(kinds, e.Kind) {
			return nil, fmt.Errorf("%s:%d: kind %q is none of %s", name, n, e.Kind, strings.Join(kinds, ", "))
		}
		key := strings.Join(fields, " ")
		if before := seen[key]; before != 0 {
			return nil, fmt.Errorf("%s:%d: same as line %d", name, n, before)
		}
		seen[key] = n
		e.pkg, e.test = glob(e.Package), glob(e.Test)
		list = append(list, e)
	}
	return list, in.Err()
}

// glob compiles a pattern in which * stands for any text, slashes too.
func glob(pattern string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
}

// match finds the entry that expects a skip, or -1. The reason must be part of
// what the test said: a test that skips for another reason than the listed
// one is a skip that nobody expected. Of several entries the last one counts,
// so particular ones stand below general ones.
func match(list []entry, kind, pkg, test, output string) int {
	said := strings.Join(strings.Fields(output), " ")
	for i := len(list) - 1; i >= 0; i-- {
		e := list[i]
		if (e.Kind == "any" || e.Kind == kind) && e.pkg.MatchString(pkg) && e.test.MatchString(test) && strings.Contains(said, e.Reason) {
			return i
		}
	}
	return -1
}

// stale are the entries that no skip matched. A run that did not come to its
// end proves nothing about the entries of its kind.
func stale(list []entry, results []*result) []entry {
	var old []entry
	for _, e := range list {
		ran, used := false, false
		for _, r := range results {
			if e.Kind == "any" || e.Kind == r.Kind {
				ran = true
				used = used || !r.Complete || slices.Contains(r.Used, e.Line)
			}
		}
		if ran && !used {
			old = append(old, e)
		}
	}
	return old
}
