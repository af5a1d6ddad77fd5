package shm_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const modulePath = "github.com/seed-298b2b26/shm"

// room says where in the house a package stands and what it may use beyond
// the standard library and the floors below it.
type room struct {
	floor   int
	main    bool     // a command: needs no doc comments but its package's
	tests   bool     // only tests import it
	public  bool     // uses no internal package, as our users cannot
	stdOnly bool     // not even golang.org/x/sys
	within  []string // if not nil, the packages of the module that it may import
	extra   []string // other modules that it may import
}

// rooms lists every package of the module. A name that ends in /... stands for
// all below it.
var rooms = map[string]room{
	"internal/procfs":   {floor: -1, stdOnly: true},
	"internal/point":    {floor: -1, stdOnly: true},
	"internal/sys":      {floor: 0},
	"internal/mem":      {floor: 1},
	"shmtest":           {floor: 2, tests: true},
	"shmtest/explore":   {floor: -1, tests: true, stdOnly: true},
	"sysv":              {floor: 2},
	"posix":             {floor: 2},
	"memfd":             {floor: 2},
	"mapping":           {floor: 2},
	"internal/wait":     {floor: 2},
	"internal/sockfile": {floor: 2},
	".":                 {floor: 3},
	"internal/topicdir": {floor: 3},
	"internal/record":   {floor: 3},
	"inspect":           {floor: 4},
	"topic":             {floor: 4},
	"shmnet":            {floor: 4},
	"shmsync":           {floor: 4},
	"clients":           {floor: 4}, // the peers are in C and Python
	"internal/demo":     {floor: 4},
	"internal/bench":    {floor: 5},
	"internal/cli": {floor: 6, extra: []string{
		"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term",
	}},
	"cmd/shm":      {floor: 7, main: true, within: []string{"internal/cli"}},
	"examples/...": {floor: 7, main: true, public: true},
	"spec/models":  {floor: 7},
	"spec/order":   {floor: 7},
	"spec/mutants": {floor: 7},
}

// testExtra are the modules that tests may import besides.
var testExtra = []string{
	"github.com/anishathalye/porcupine",
	"github.com/google/go-cmp",
	"github.com/rogpeppe/go-internal",
	"golang.org/x/net",
	"golang.org/x/sys",
	"pgregory.net/rapid",
}

// unsafeRooms may hold files named *_unsafe.go, and assembly.
var unsafeRooms = []string{"internal/mem", "internal/sys"}

// roomOf finds the room of the package in dir.
func roomOf(dir string) (room, bool) {
	if r, ok := rooms[dir]; ok {
		return r, true
	}
	for name, r := range rooms {
		if base, ok := strings.CutSuffix(name, "..."); ok && strings.HasPrefix(dir+"/", base) {
			return r, true
		}
	}
	return room{}, false
}

// inspection goes through a module and notes what breaks the rules.
type inspection struct {
	fsys     fs.FS
	packages map[string]*inspected
	problems []string
}

// inspected is what the inspection saw of one package.
type inspected struct {
	documented bool            // a package comment
	library    bool            // a file that is no test
	exported   map[string]bool // exported names, and whether one declaration has a comment
}

func inspectHouse(fsys fs.FS) []string {
	in := &inspection{fsys: fsys, packages: make(map[string]*inspected)}
	err := fs.WalkDir(fsys, ".", in.visit)
	if err != nil {
		in.problem("%v", err)
	}
	for _, dir := range slices.Sorted(maps.Keys(in.packages)) {
		p := in.packages[dir]
		if !p.library {
			continue
		}
		r, _ := roomOf(dir)
		if !p.documented {
			in.problem("%s: no file has a package comment", dir)
		}
		if r.main {
			continue
		}
		var bare []string
		for _, name := range slices.Sorted(maps.Keys(p.exported)) {
			if !p.exported[name] {
				bare = append(bare, name)
			}
		}
		if len(bare) > 0 {
			in.problem("%s: exported without a comment: %s", dir, strings.Join(bare, ", "))
		}
	}
	return in.problems
}

func (in *inspection) problem(format string, args ...any) {
	in.problems = append(in.problems, fmt.Sprintf(format, args...))
}

func (in *inspection) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	base := path.Base(name)
	if d.IsDir() {
		// What the go command does not see, and modules of their own.
		if name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "vendor") {
			return fs.SkipDir
		}
		if _, err := fs.Stat(in.fsys, path.Join(name, "go.mod")); err == nil && name != "." {
			return fs.SkipDir
		}
		return nil
	}
	dir := path.Dir(name)
	switch path.Ext(name) {
	case ".s":
		if !slices.Contains(unsafeRooms, dir) {
			in.problem("%s: assembly stands in %s alone", name, strings.Join(unsafeRooms, " and "))
		}
	case ".go":
		return in.file(name, dir)
	}
	return nil
}

func (in *inspection) file(name, dir string) error {
	src, err := fs.ReadFile(in.fsys, name)
	if err != nil {
		return err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	r, known := roomOf(dir)
	p := in.packages[dir]
	if p == nil {
		p = &inspected{exported: make(map[string]bool)}
		in.packages[dir] = p
		if !known {
			in.problem("%s: a package that the house does not know: add it to rooms in house_test.go, with its floor", dir)
		}
	}
	if !known {
		return nil
	}
	test := strings.HasSuffix(name, "_test.go")
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if why := judgeImport(r, dir, path.Base(name), imported, test); why != "" {
			in.problem("%s: imports %s: %s", name, imported, why)
		}
	}
	if test {
		return nil
	}
	p.library = true
	p.documented = p.documented || hasText(f.Doc)
	for _, decl := range f.Decls {
		p.note(fset, decl)
	}
	return nil
}

// judgeImport says why a file may not import a package, or "".
func judgeImport(r room, dir, file, imported string, test bool) string {
	switch {
	case imported == "C":
		return "there is no cgo here"
	case imported == "unsafe" && test:
		if !strings.HasSuffix(file, "_unsafe_test.go") {
			return "tests use unsafe only in files named *_unsafe_test.go"
		}
		return ""
	case imported == "unsafe":
		if !slices.Contains(unsafeRooms, dir) || !strings.HasSuffix(file, "_unsafe.go") {
			return "only files named *_unsafe.go of " + strings.Join(unsafeRooms, " and ") + " may"
		}
		return ""
	case imported == modulePath || strings.HasPrefix(imported, modulePath+"/"):
		return judgeFloor(r, imported, test)
	case !strings.Contains(strings.SplitN(imported, "/", 2)[0], "."):
		return "" // the standard library
	case test && within(imported, testExtra):
		// Tests look at the kernel with other eyes than ours: x/sys/unix too.
		return ""
	case within(imported, r.extra):
		return ""
	case imported == "golang.org/x/sys/unix" && dir != "internal/sys":
		return "only internal/sys may"
	case within(imported, []string{"golang.org/x/sys"}) && !r.stdOnly:
		return ""
	}
	return "not among the modules that it may use"
}

func judgeFloor(r room, imported string, test bool) string {
	dir := strings.TrimPrefix(strings.TrimPrefix(imported, modulePath), "/")
	if dir == "" {
		dir = "."
	}
	to, known := roomOf(dir)
	switch {
	case !known:
		return "a package that the house does not know"
	case r.public && strings.Contains("/"+dir+"/", "/internal/"):
		return "examples use what users can use"
	case test:
		return ""
	case to.tests:
		return "only tests may"
	case r.within != nil && !slices.Contains(r.within, dir):
		return "it may import " + strings.Join(r.within, ", ") + " alone"
	case to.floor >= r.floor:
		return fmt.Sprintf("floor %d imports floors below it, and this is floor %d", r.floor, to.floor)
	}
	return ""
}

// within reports whether a package belongs to one of the modules.
func within(imported string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool {
		return imported == m || strings.HasPrefix(imported, m+"/")
	})
}

func hasText(c *ast.CommentGroup) bool {
	return c != nil && strings.TrimSpace(c.Text()) != ""
}

// usual are methods whose meaning the interface that they satisfy gives.
var usual = []string{"Error", "Unwrap", "Is", "String"}

// note records the exported names of a declaration. A name that is declared
// once a platform needs one comment, not one a platform. In a list of
// constants or variables a comment holds until the next empty line.
func (p *inspected) note(fset *token.FileSet, decl ast.Decl) {
	add := func(name string, documented bool) {
		p.exported[name] = p.exported[name] || documented
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil && len(d.Recv.List) == 1 {
			typ := receiver(d.Recv.List[0].Type)
			if !token.IsExported(typ) {
				return
			}
			if slices.Contains(usual, name) {
				return
			}
			name = typ + "." + name
		}
		if d.Name.IsExported() {
			add(name, hasText(d.Doc))
		}
	case *ast.GenDecl:
		held, end := false, 0 // of the names before: commented, and their last line
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					add(s.Name.Name, hasText(s.Doc) || hasText(s.Comment) || hasText(d.Doc))
				}
			case *ast.ValueSpec:
				adjacent := s.Doc == nil && fset.Position(s.Pos()).Line == end+1
				held = hasText(s.Doc) || hasText(d.Doc) || held && adjacent
				end = fset.Position(s.End()).Line
				for _, n := range s.Names {
					if n.IsExported() {
						add(n.Name, held || hasText(s.Comment))
					}
				}
			}
		}
	}
}

// receiver is the name of a method's type, without pointer and type parameters.
func receiver(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

// TestHouse holds the module to the rules on imports and comments.
func TestHouse(t *testing.T) {
	for _, p := range inspectHouse(os.DirFS(".")) {
		t.Error(p)
	}
}

// TestHouseFails shows that the rules bite: a small module for each.
func TestHouseFails(t *testing.T) {
	const (
		doc = "// Package x is a package.\npackage x\n"
		imp = doc + "import _ %q\n"
	)
	one := func(name, src string) fstest.MapFS {
		return fstest.MapFS{name: &fstest.MapFile{Data: []byte(src)}}
	}
	importing := func(name, imported string) fstest.MapFS { return one(name, fmt.Sprintf(imp, imported)) }
	for _, tt := range []struct {
		name  string
		house fstest.MapFS
		want  string // part of the one problem; "" means none
	}{
		{"std", importing("sysv/a.go", "os"), ""},
		{"floor below", importing("sysv/a.go", modulePath+"/internal/mem"), ""},
		{"aside", importing("internal/sys/a.go", modulePath+"/internal/procfs"), ""},
		{"same floor", importing("sysv/a.go", modulePath+"/posix"), "floor 2 imports floors below it, and this is floor 2"},
		{"floor above", importing("internal/mem/a.go", modulePath), "floor 1 imports floors below it, and this is floor 3"},
		{"floor above from the root", importing("a.go", modulePath+"/inspect"), "this is floor 4"},
		{"a test looks up", importing("internal/mem/a_test.go", modulePath), ""},
		{"unknown package", one("util/a.go", doc), "add it to rooms in house_test.go"},
		{"unknown import", importing("sysv/a.go", modulePath+"/util"), "does not know"},
		{"unix in sys", importing("internal/sys/a.go", "golang.org/x/sys/unix"), ""},
		{"unix elsewhere", importing("internal/mem/a.go", "golang.org/x/sys/unix"), "only internal/sys may"},
		{"unix in the command", importing("internal/cli/a.go", "golang.org/x/sys/unix"), "only internal/sys may"},
		{"unix in a test", importing("sysv/a_test.go", "golang.org/x/sys/unix"), ""},
		{"sys in procfs", importing("internal/procfs/a.go", "golang.org/x/sys/cpu"), "not among the modules"},
		{"unsafe in its place", importing("internal/mem/a_unsafe.go", "unsafe"), ""},
		{"unsafe under another name", importing("internal/mem/a.go", "unsafe"), "only files named *_unsafe.go"},
		{"unsafe elsewhere", importing("sysv/a_unsafe.go", "unsafe"), "only files named *_unsafe.go"},
		{"unsafe in a test", importing("sysv/a_test.go", "unsafe"), "*_unsafe_test.go"},
		{"unsafe in a test that says so", importing("sysv/a_unsafe_test.go", "unsafe"), ""},
		{"assembly elsewhere", one("topic/a_amd64.s", ""), "assembly stands in"},
		{"cgo", importing("internal/sys/a.go", "C"), "no cgo"},
		{"cgo in a test", importing("internal/sys/a_test.go", "C"), "no cgo"},
		{"other module", importing("sysv/a.go", "github.com/google/go-cmp/cmp"), "not among the modules"},
		{"other module in a test", importing("sysv/a_test.go", "github.com/google/go-cmp/cmp"), ""},
		{"unlisted module in a test", importing("sysv/a_test.go", "example.com/assert"), "not among the modules"},
		{"cobra in the command", importing("internal/cli/a.go", "github.com/spf13/cobra"), ""},
		{"cobra in the library", importing("inspect/a.go", "github.com/spf13/cobra"), "not among the modules"},
		{"main and its verbs", importing("cmd/shm/a.go", modulePath+"/internal/cli"), ""},
		{"main past its verbs", importing("cmd/shm/a.go", modulePath+"/sysv"), "it may import internal/cli alone"},
		{"shmtest in the library", importing("inspect/a.go", modulePath+"/shmtest"), "only tests may"},
		{"shmtest in a test", importing("inspect/a_test.go", modulePath+"/shmtest"), ""},
		{"example", importing("examples/sysv/writer/a.go", modulePath+"/sysv"), ""},
		{"example inside", importing("examples/sysv/writer/a.go", modulePath+"/internal/mem"), "examples use what users can use"},
		{"nested module", fstest.MapFS{
			"bench/go.mod": &fstest.MapFile{},
			"bench/a.go":   &fstest.MapFile{Data: []byte("package bench\nimport _ \"unsafe\"\n")},
		}, ""},
		{"testdata and the like", fstest.MapFS{
			"sysv/testdata/a.go": &fstest.MapFile{Data: []byte("no Go at all")},
			".ci/report/a.go":    &fstest.MapFile{Data: []byte("package main\n")},
			"_old/a.go":          &fstest.MapFile{Data: []byte("package old\n")},
		}, ""},
		{"no Go", one("sysv/a.go", "no Go at all"), "expected 'package'"},
		{"no package comment", one("sysv/a.go", "package sysv\n"), "no file has a package comment"},
		{"package comment in one file", fstest.MapFS{
			"sysv/a.go": &fstest.MapFile{Data: []byte(doc)},
			"sysv/b.go": &fstest.MapFile{Data: []byte("package x\n")},
		}, ""},
		{"directive is no comment", one("sysv/a.go", "//go:build linux\npackage x\n"), "no file has a package comment"},
		{"function", one("sysv/a.go", doc+"func Get() {}\n"), "exported without a comment: Get"},
		{"function with a comment", one("sysv/a.go", doc+"// Get gets.\nfunc Get() {}\n"), ""},
		{"documented on one platform", fstest.MapFS{
			"sysv/a.go": &fstest.MapFile{Data: []byte(doc + "// Get gets.\nfunc Get() {}\n")},
			"sysv/b.go": &fstest.MapFile{Data: []byte("package x\nfunc Get() {}\n")},
		}, ""},
		{"method", one("sysv/a.go", doc+"// T is.\ntype T[E any] struct{}\nfunc (t *T[E]) Get() {}\n"), "exported without a comment: T.Get"},
		{"method of a hidden type", one("sysv/a.go", doc+"type t struct{}\nfunc (t) Get() {}\n"), ""},
		{"type", one("sysv/a.go", doc+"type T int\n"), "exported without a comment: T"},
		{"constant", one("sysv/a.go", doc+"const (\n// A is.\nA = 1\n\nB = 2\n)\n"), "exported without a comment: B"},
		{"constants in a row", one("sysv/a.go", doc+"const (\n// These are.\nA = 1\nB = 2\nC = 3\n)\n"), ""},
		{"method of the usual kind", one("sysv/a.go", doc+"// T is.\ntype T struct{}\nfunc (T) Error() string { return \"\" }\n"), ""},
		{"constants under one comment", one("sysv/a.go", doc+"// Both are.\nconst (\nA = 1\nB = 2 // two\n)\n"), ""},
		{"variable", one("sysv/a.go", doc+"var V int\n"), "exported without a comment: V"},
		{"example without comments", one("examples/a/a.go", doc+"func Get() {}\n"), ""},
		{"test without comments", one("sysv/a_test.go", "package x\nfunc Get() {}\n"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := inspectHouse(tt.house)
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("problems where there is none: %q", got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("problems %q, want one with %q", got, tt.want)
			}
		})
	}
}

// foreign are texts that speak of the machine on which a file was written, or
// of texts that are not in this tree, instead of the project.
var foreign = []struct {
	what string
	re   *regexp.Regexp
}{
	{"a path of somebody's machine", regexp.MustCompile(`(?:^|[\s"'` + "`" + `=:(,<\[])/(?:work|root|home/[a-z][-a-z0-9_]*)/[^\s"']*`)},
	{"a path of a build or a scratch directory", regexp.MustCompile(`/tmp/(?:go-build|bash_jobs|work/|ci\.)[^\s"']*`)},
	{"a path of the Go installation", regexp.MustCompile(`/(?:usr/local/go/src|go/pkg/mod|\.cache/go-build)/[^\s"']*`)},
	{"a host that serves packages", regexp.MustCompile(`(?i)\b(?:(?:proxy|sum)\.golang\.org|goproxy\.[a-z]+|pypi\.org|registry\.[a-z0-9.-]+\.[a-z]{2,}|[a-z0-9.-]*(?:artifactory|nexus|jfrog)[a-z0-9.-]*\.[a-z]{2,})\b`)},
	{"a text that is not here", regexp.MustCompile(`\bshared/(?:seeds|models|hooks)\b|\b(?:DESIGN|STYLE|CONFORMANCE|TOPIC-TRAPS|BRIEF)\.md\b`)},
}

// ignored are files that are not committed; see .gitignore.
var ignored = regexp.MustCompile(`^shm$|\.(?:test|prof|out)$`)

func foreignText(fsys fs.FS) ([]string, error) {
	var found []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "vendor"):
			return fs.SkipDir
		case d.Name() == ".git": // of a worktree, which says where the repository is
			return nil
		case !d.Type().IsRegular(), ignored.MatchString(name), name == "house_test.go":
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			return nil // not a text
		}
		n := 0
		for line := range bytes.Lines(text) {
			n++
			for _, f := range foreign {
				if m := f.re.Find(line); m != nil {
					found = append(found, fmt.Sprintf("%s:%d: %s: %s", name, n, f.what, bytes.TrimSpace(m)))
				}
			}
		}
		return nil
	})
	return found, err
}

// TestHouseSpeaksOfItself finds machine paths, package hosts and references to
// texts that readers do not have.
func TestHouseSpeaksOfItself(t *testing.T) {
	found, err := foreignText(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
	for line, want := range map[string]bool{
		"see /work/main/go.mod":                   true,
		"\"/root/x\"":                             true,
		"/home/alice/src/shm":                     true,
		"/tmp/go-build123/b001/x.test":            true,
		"GOPROXY=https://proxy.golang.org":        true,
		"see DESIGN.md section 3":                 true,
		"https://example.com/work/x":              false,
		"os.TempDir() or /tmp/shmfile":            false,
		"/dev/shm/x and /proc/self/maps":          false,
		"/sys/fs/cgroup/unified/work/memory.max":  false,
		"/home or /root is not a path of a file":  false,
		"registry of mappings. Nexus of the work": false,
	} {
		found, err := foreignText(fstest.MapFS{"a.md": &fstest.MapFile{Data: []byte(line + "\n")}})
		if err != nil || (len(found) > 0) != want {
			t.Errorf("%q: found %q, error %v, want something: %v", line, found, err, want)
		}
	}
}
