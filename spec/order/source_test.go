package order

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// sources are the functions whose steps the models repeat, and which model
// does.
var sources = []struct{ file, function, model string }{
	{"topic/lend.go", "lend", "holding.publish"},
	{"topic/lend.go", "clear", "holding.publish"},
	{"topic/lend.go", "claim", "holding.publish"},
	{"topic/lend.go", "prepare", "holding.publish, blocking.publish"},
	{"topic/lend.go", "stampSample", "holding.publish"},
	{"topic/lend.go", "seal", "holding.publish"},
	{"topic/lend.go", "show", "holding.publish, blocking.publish"},
	{"topic/reader.go", "look", "holding.lookAt"},
	{"topic/reader.go", "setState", "holding.look, entry"},
	{"topic/reader.go", "admit", "holding.admit, entry"},
	{"topic/reader.go", "demote", "holding.look"},
	{"topic/room.go", "sleepForRoom", "blocking.publish"},
	{"topic/take.go", "quick", "holding.take"},
	{"topic/take.go", "reserve", "holding.take, with several pins before one fence"},
	{"topic/take.go", "handOne", "holding.take"},
	{"topic/take.go", "hand", "holding.take"},
	{"topic/take.go", "unreserve", "holding.letGo"},
	{"topic/take.go", "take", "holding.take"},
	{"topic/take.go", "copy", "holding.copy"},
	{"topic/take.go", "step", "holding.take, blocking.take"},
	{"topic/take.go", "unpin", "holding.letGo"},
	{"internal/wait/bell.go", "Arm", "sleeping.sleep"},
	{"internal/wait/bell.go", "raise", "sleeping.sleep"},
	{"internal/wait/waker.go", "Wake", "sleeping.ring"},
	{"internal/wait/waker.go", "ring", "sleeping.ring"},
	{"internal/wait/waker.go", "WakeAll", "sleeping.ring"},
}

// steps are the functions beside the operations themselves that count as one.
var steps = []string{
	"clear", "claim", "seal", "reserve", "unreserve", "lookAll", "look", "demoteBehind", "setState", "show", "wake", "fill", "step", "unpin", "pass",
	"believe", "raise", "skip", "ring", "WakeAll", "WakeWord", "wakePublisher",
}

const sourceSteps = "testdata/steps.txt"

// TestSource holds the models to the code: what the functions do with shared
// memory, in the order in which it is written, has not changed since somebody
// looked whether the models do the same.
func TestSource(t *testing.T) {
	var b bytes.Buffer
	for _, s := range sources {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "../../"+s.file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s: %s\n", s.file, s.function, s.model)
		found := false
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == s.function {
				found = true
				ast.Inspect(f.Body, func(n ast.Node) bool {
					if call, ok := n.(*ast.CallExpr); ok {
						if text := step(fset, call); text != "" {
							fmt.Fprintf(&b, "\t%s\n", text)
						}
					}
					return true
				})
			}
		}
		if !found {
			t.Errorf("%s has no function %s", s.file, s.function)
		}
	}
	if *update {
		if err := os.WriteFile(sourceSteps, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(sourceSteps)
	if err != nil {
		t.Fatal(err)
	}
	got, old := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(old)) {
		if i >= len(got) || i >= len(old) || got[i] != old[i] {
			at := ""
			for k := min(i, len(got)-1); k >= 0; k-- {
				if !strings.HasPrefix(got[k], "\t") && got[k] != "" {
					at = got[k]
					break
				}
			}
			t.Fatalf("the steps of %s have changed: the models follow, then go test ./spec/order -run TestSource -update\nis:\n%s", at, b.String())
		}
	}
}

// step writes a call down if it is one of an operation, with the word that it
// is about.
func step(fset *token.FileSet, call *ast.CallExpr) string {
	name, from := "", ""
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
		if x, ok := f.X.(*ast.Ident); ok {
			from = x.Name
		}
	}
	switch {
	case from == "mem" && (strings.Contains(name, "Fence") || strings.HasPrefix(name, "Load") || strings.HasPrefix(name, "Store") ||
		strings.HasPrefix(name, "Swap") || strings.HasPrefix(name, "Add") || strings.HasPrefix(name, "Or")):
	case from == "atomic", from == "sys" && (strings.HasPrefix(name, "Futex") || name == "Membarrier"):
	case slices.Contains(steps, name):
		return name
	default:
		return ""
	}
	if len(call.Args) == 0 {
		return name
	}
	var b bytes.Buffer
	if err := printer.Fprint(&b, fset, call.Args[0]); err != nil {
		return name
	}
	return name + " " + b.String()
}
