package shm_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// storing are the packages whose every store into shared memory is a step at
// which a test can end the process (internal/point).
var storing = []string{"./topic", "./internal/topicdir", "./internal/wait"}

// TestStoresHavePoints finds stores that go past the functions of internal/mem.
// What is shared it finds out by itself: what comes from the functions that
// give views of a region, and what is reached through that.
func TestStoresHavePoints(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Log("no go command here")
		return
	}
	const example = "./internal/mem/testdata/stores"
	packages := listExport(t, append([]string{example}, storing...)...)
	views := 0
	for _, p := range packages {
		if p.DepOnly {
			continue
		}
		c := checkStores(t, p, packages)
		views += len(c.shared)
		if strings.HasSuffix(p.ImportPath, "/stores") {
			c.compare(t)
			continue
		}
		for _, at := range c.found {
			t.Errorf("%v: a store into shared memory past internal/mem", c.fset.Position(at))
		}
	}
	if views < 20 {
		t.Errorf("only %d variables are known to be shared", views)
	}
}

type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	DepOnly                 bool
}

func listExport(t *testing.T, patterns ...string) map[string]*listed {
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,DepOnly"}, patterns...)...)
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := &listed{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

// stores looks for them in one package.
type stores struct {
	fset   *token.FileSet
	files  []*ast.File
	info   types.Info
	shared map[types.Object]bool // variables and fields through which shared memory is reached
	layout map[string]bool       // structs that are views, by name
	found  []token.Pos
}

func checkStores(t *testing.T, p *listed, all map[string]*listed) *stores {
	s := &stores{
		fset: token.NewFileSet(), shared: map[types.Object]bool{}, layout: map[string]bool{},
		info: types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Instances: map[*ast.Ident]types.Instance{},
			Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
		},
	}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(s.fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		s.files = append(s.files, f)
	}
	conf := types.Config{Importer: importer.ForCompiler(s.fset, "gc", func(path string) (io.ReadCloser, error) {
		if q := all[path]; q != nil {
			return os.Open(q.Export)
		}
		return nil, fmt.Errorf("no export data of %s", path)
	})}
	if _, err := conf.Check(p.ImportPath, s.fset, s.files, &s.info); err != nil {
		t.Fatal(err)
	}
	for before := -1; before != len(s.shared)+len(s.layout); { // what is shared may be passed on
		before = len(s.shared) + len(s.layout)
		s.each(s.learn)
	}
	s.each(s.look)
	slices.Sort(s.found)
	s.found = slices.Compact(s.found)
	return s
}

func (s *stores) each(f func(ast.Node)) {
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			f(n)
			return true
		})
	}
}

// learn finds what is shared.
func (s *stores) learn(n ast.Node) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for i, l := range n.Lhs {
			r := n.Rhs[min(i, len(n.Rhs)-1)]
			if len(n.Rhs) == 1 && i > 0 {
				continue // an error
			}
			s.pass(s.object(l), r)
		}
	case *ast.KeyValueExpr:
		if id, ok := n.Key.(*ast.Ident); ok {
			s.pass(s.info.Uses[id], n.Value)
		}
	case *ast.CallExpr:
		// Views of structs, wherever they are kept.
		if name, id := s.callee(n); slices.Contains([]string{"Pointer", "Slice", "ArrayOf", "place"}, name) {
			if in, ok := s.info.Instances[id]; ok && in.TypeArgs.Len() == 1 {
				if named, ok := in.TypeArgs.At(0).(*types.Named); ok {
					s.layout[named.String()] = true
				}
			}
		}
	}
}

// pass notes that what is shared goes from one to the other.
func (s *stores) pass(to types.Object, from ast.Expr) {
	if to == nil || !refers(to.Type()) || !s.isShared(from) {
		return
	}
	s.shared[to] = true
}

// refers reports whether a value of the type leads to memory that is not its
// own.
func refers(t types.Type) bool {
	switch t := t.Underlying().(type) {
	case *types.Slice:
		return true
	case *types.Pointer:
		// Of a struct that only holds such views the views are followed.
		_, ok := t.Elem().Underlying().(*types.Struct)
		return !ok
	}
	return false
}

// isShared reports whether the expression is shared memory, or leads to it.
func (s *stores) isShared(e ast.Expr) bool {
	if tv, ok := s.info.Types[e]; ok && tv.Type != nil {
		if p, ok := tv.Type.Underlying().(*types.Pointer); ok && s.layout[p.Elem().String()] {
			return true
		}
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		return s.isShared(e.X)
	case *ast.IndexExpr:
		return s.isShared(e.X)
	case *ast.SliceExpr:
		return s.isShared(e.X)
	case *ast.StarExpr:
		return s.isShared(e.X)
	case *ast.UnaryExpr:
		return e.Op == token.AND && s.isShared(e.X)
	case *ast.CallExpr:
		name, _ := s.callee(e)
		return slices.Contains([]string{"Pointer", "Slice", "place", "Bytes", "bytes"}, name) && s.gives(e)
	case *ast.SelectorExpr:
		return s.shared[s.info.Uses[e.Sel]] || s.isShared(e.X) && s.inside(e)
	case *ast.Ident:
		return s.shared[s.object(e)]
	}
	return false
}

// inside reports whether the selected field lies in what the operand points
// to.
func (s *stores) inside(e *ast.SelectorExpr) bool {
	sel := s.info.Selections[e]
	return sel != nil && sel.Kind() == types.FieldVal
}

// gives leaves out functions of the same name that give memory of one's own.
func (s *stores) gives(e *ast.CallExpr) bool {
	name, id := s.callee(e)
	if name != "Bytes" {
		return true
	}
	f, ok := s.info.Uses[id].(*types.Func)
	return ok && f.Signature().Recv() != nil && strings.HasSuffix(f.Signature().Recv().Type().String(), "internal/mem.Region")
}

func (s *stores) callee(e *ast.CallExpr) (string, *ast.Ident) {
	f := e.Fun
	if x, ok := f.(*ast.IndexExpr); ok {
		f = x.X
	}
	switch f := f.(type) {
	case *ast.Ident:
		return f.Name, f
	case *ast.SelectorExpr:
		return f.Sel.Name, f.Sel
	}
	return "", nil
}

func (s *stores) object(e ast.Expr) types.Object {
	switch e := e.(type) {
	case *ast.Ident:
		return cmp.Or(s.info.Defs[e], s.info.Uses[e])
	case *ast.SelectorExpr:
		return s.info.Uses[e.Sel]
	}
	return nil
}

// look finds stores.
func (s *stores) look(n ast.Node) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for _, l := range n.Lhs {
			s.target(l)
		}
	case *ast.IncDecStmt:
		s.target(n.X)
	case *ast.CallExpr:
		name, _ := s.callee(n)
		verb := strings.TrimRight(name, "0123456789")
		switch {
		case len(n.Args) == 0:
		case name == "copy", name == "clear", strings.HasPrefix(verb, "PutUint"),
			s.isAtomic(n) && !strings.HasPrefix(verb, "Load"):
			if s.isShared(n.Args[0]) {
				s.found = append(s.found, n.Pos())
			}
		}
	}
}

func (s *stores) isAtomic(n *ast.CallExpr) bool {
	sel, ok := n.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	f, ok := s.info.Uses[sel.Sel].(*types.Func)
	return ok && f.Pkg() != nil && f.Pkg().Path() == "sync/atomic"
}

// target judges what is assigned to: a variable of one's own may well hold
// another pointer from here on.
func (s *stores) target(e ast.Expr) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		s.target(e.X)
	case *ast.StarExpr:
		s.hit(e, e.X)
	case *ast.IndexExpr:
		if tv := s.info.Types[e.X]; tv.Type != nil {
			switch tv.Type.Underlying().(type) {
			case *types.Slice, *types.Pointer:
				s.hit(e, e.X)
			default: // an array: what it lies in decides
				s.target(e.X)
			}
		}
	case *ast.SelectorExpr:
		if sel := s.info.Selections[e]; sel != nil && sel.Kind() == types.FieldVal {
			if p, ok := s.info.Types[e.X].Type.Underlying().(*types.Pointer); ok {
				if s.layout[p.Elem().String()] {
					s.hit(e, e.X)
				}
				return
			}
			s.target(e.X)
		}
	}
}

func (s *stores) hit(e, through ast.Expr) {
	if s.isShared(through) {
		s.found = append(s.found, e.Pos())
	}
}

// compare holds what was found against what the lines themselves say.
func (s *stores) compare(t *testing.T) {
	found := map[int]bool{}
	for _, at := range s.found {
		found[s.fset.Position(at).Line] = true
	}
	want := 0
	for _, f := range s.files {
		for _, g := range f.Comments {
			for _, c := range g.List {
				if line := s.fset.Position(c.Pos()).Line; c.Text == "// a store" {
					want++
					if !found[line] {
						t.Errorf("%v is not found", s.fset.Position(c.Pos()))
					}
					delete(found, line)
				}
			}
		}
	}
	for line := range found {
		t.Errorf("line %d is none", line)
	}
	if want < 10 {
		t.Errorf("only %d examples", want)
	}
}
