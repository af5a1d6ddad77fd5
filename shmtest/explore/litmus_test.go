package explore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// litmus is a small program of two to four threads and an outcome that some
// memories allow and others do not. Its name is the usual one: of the shape,
// and then what orders each thread.
type litmus struct {
	name    string
	program string // threads between ||, operations between ;
	outcome string
	final   string // words whose last values are in the outcome

	spec  bool // allowed by section 1 of the specification
	arm64 bool // by the ARMv8 manual, for STLR, LDAR and DMB
	amd64 bool
}

// Operations: x=1 and a=x are a plain store and load, x=1R and a=xA release
// and acquire; F, S and L the full, the store and the load fence, M a
// membarrier; a=x<1 swaps.
var litmuses = []litmus{
	{name: "MP", program: "x=1; y=1 || a=y; b=x", outcome: "a=1 b=0", spec: true, arm64: true},
	{name: "MP+F+po", program: "x=1; F; y=1 || a=y; b=x", outcome: "a=1 b=0", spec: true, arm64: true},
	{name: "MP+po+F", program: "x=1; y=1 || a=y; F; b=x", outcome: "a=1 b=0", spec: true, arm64: true},
	{name: "MP+S+po", program: "x=1; S; y=1 || a=y; b=x", outcome: "a=1 b=0", spec: true, arm64: true},
	{name: "MP+po+L", program: "x=1; y=1 || a=y; L; b=x", outcome: "a=1 b=0", spec: true, arm64: true},
	{name: "MP+L+L", program: "x=1; L; y=1 || a=y; L; b=x", outcome: "a=1 b=0", spec: true, arm64: true},
	{name: "MP+S+S", program: "x=1; S; y=1 || a=y; S; b=x", outcome: "a=1 b=0", spec: true, arm64: true},
	{name: "MP+S+L", program: "x=1; S; y=1 || a=y; L; b=x", outcome: "a=1 b=0"},
	{name: "MP+F+F", program: "x=1; F; y=1 || a=y; F; b=x", outcome: "a=1 b=0"},
	{name: "MP+rel+po", program: "x=1; y=1R || a=y; b=x", outcome: "a=1 b=0", spec: true, arm64: true},
	{name: "MP+po+acq", program: "x=1; y=1 || a=yA; b=x", outcome: "a=1 b=0", spec: true, arm64: true},
	{name: "MP+rel+acq", program: "x=1; y=1R || a=yA; b=x", outcome: "a=1 b=0"},
	{name: "MP+S+acq", program: "x=1; S; y=1 || a=yA; b=x", outcome: "a=1 b=0"},
	{name: "MP+rel+L", program: "x=1; y=1R || a=y; L; b=x", outcome: "a=1 b=0"},
	{name: "MP+relfirst+acq", program: "x=1R; y=1 || a=yA; b=x", outcome: "a=1 b=0", spec: true, arm64: true},
	{name: "MP+rel+acqlast", program: "x=1; y=1R || a=y; b=xA", outcome: "a=1 b=0", spec: true, arm64: true},
	{name: "MP+relfirst+S+acq", program: "x=1R; S; y=1 || a=yA; b=x", outcome: "a=1 b=0"},
	{name: "MP+swap+acq", program: "x=1; c=y<1 || a=yA; b=x", outcome: "c=0 a=1 b=0"},

	{name: "SB", program: "x=1; a=y || y=1; b=x", outcome: "a=0 b=0", spec: true, arm64: true, amd64: true},
	{name: "SB+F+po", program: "x=1; F; a=y || y=1; b=x", outcome: "a=0 b=0", spec: true, arm64: true, amd64: true},
	{name: "SB+S+S", program: "x=1; S; a=y || y=1; S; b=x", outcome: "a=0 b=0", spec: true, arm64: true, amd64: true},
	{name: "SB+L+L", program: "x=1; L; a=y || y=1; L; b=x", outcome: "a=0 b=0", spec: true, arm64: true, amd64: true},
	{name: "SB+F+F", program: "x=1; F; a=y || y=1; F; b=x", outcome: "a=0 b=0"},
	{name: "SB+relacq+relacq", program: "x=1R; a=yA || y=1R; b=xA", outcome: "a=0 b=0", spec: true, amd64: true},
	{name: "SB+relacq+F", program: "x=1R; a=yA || y=1; F; b=x", outcome: "a=0 b=0", spec: true, amd64: true},
	{name: "SB+rel+acq", program: "x=1R; a=y || y=1; b=xA", outcome: "a=0 b=0", spec: true, arm64: true, amd64: true},
	{name: "SB+swap+swap", program: "c=x<1; a=y || d=y<1; b=x", outcome: "c=0 a=0 d=0 b=0"},
	{name: "SB+rfi+acq", program: "x=1; c=xA; a=y || y=1; d=yA; b=x", outcome: "c=1 a=0 d=1 b=0", spec: true, arm64: true, amd64: true},
	{name: "SB+relrfi+acq", program: "x=1R; c=xA; a=y || y=1R; d=yA; b=x", outcome: "c=1 a=0 d=1 b=0", spec: true, amd64: true},

	{name: "SB+M+po", program: "x=1; M; a=y || y=1; b=x", outcome: "a=0 b=0"},
	{name: "SB+M+reordered", program: "x=1; M; a=y || b=x; y=1", outcome: "a=0 b=0", spec: true, arm64: true, amd64: true},
	{name: "MP+M+po", program: "x=1; M; y=1 || a=y; b=x", outcome: "a=1 b=0"},
	{name: "MP+po+M", program: "x=1; y=1 || a=y; M; b=x", outcome: "a=1 b=0"},
	{name: "SB+M+po+po", program: "x=1; M; a=y || y=1; b=z || z=1; c=x", outcome: "a=0 b=0 c=0"},
	{name: "IRIW+M+po", program: "x=1 || y=1 || a=x; M; b=y || c=y; d=x", outcome: "a=1 b=0 c=1 d=0"},

	{name: "LB", program: "a=x; y=1 || b=y; x=1", outcome: "a=1 b=1", spec: true, arm64: true},
	{name: "LB+acq+po", program: "a=xA; y=1 || b=y; x=1", outcome: "a=1 b=1", spec: true, arm64: true},
	{name: "LB+rel+po", program: "a=x; y=1R || b=y; x=1", outcome: "a=1 b=1", spec: true, arm64: true},
	{name: "LB+S+S", program: "a=x; S; y=1 || b=y; S; x=1", outcome: "a=1 b=1", spec: true, arm64: true},
	{name: "LB+acq+acq", program: "a=xA; y=1 || b=yA; x=1", outcome: "a=1 b=1"},
	{name: "LB+rel+rel", program: "a=x; y=1R || b=y; x=1R", outcome: "a=1 b=1"},
	{name: "LB+L+L", program: "a=x; L; y=1 || b=y; L; x=1", outcome: "a=1 b=1"},
	{name: "LB+F+F", program: "a=x; F; y=1 || b=y; F; x=1", outcome: "a=1 b=1"},
	{name: "LB+acq+rel", program: "a=xA; y=1 || b=y; x=1R", outcome: "a=1 b=1"},
	{name: "LB+data+data", program: "a=x; y=a || b=y; x=b", outcome: "a=1 b=1"},
	{name: "LB+data+po", program: "a=x; y=a || b=y; x=1", outcome: "a=1 b=1", spec: true, arm64: true},
	{name: "LB+ctrl+ctrl", program: "a=x; ?a; y=1 || b=y; ?b; x=1", outcome: "a=1 b=1"},
	{name: "LB+ctrl+po", program: "a=x; ?a; y=1 || b=y; x=1", outcome: "a=1 b=1", spec: true, arm64: true},
	{name: "LB+store between", program: "a=x; z=1; y=1 || b=y; x=1", outcome: "a=1 b=1", spec: true, arm64: true},
	{name: "LB+own store acquired", program: "a=z; x=1; b=xA; y=2 || c=yA; z=1", outcome: "a=1 b=1 c=2", spec: true, arm64: true},
	{name: "LB+z+S", program: "a=x; z=1; S; y=1 || b=y; x=1", outcome: "a=1 b=1", spec: true, arm64: true},

	{name: "S", program: "x=2; y=1 || a=y; x=1", final: "x", outcome: "a=1 x=2", spec: true, arm64: true},
	{name: "S+S+po", program: "x=2; S; y=1 || a=y; x=1", final: "x", outcome: "a=1 x=2", spec: true, arm64: true},
	{name: "S+S+data", program: "x=2; S; y=1 || a=y; x=a", final: "x", outcome: "a=1 x=2"},
	{name: "S+rel+acq", program: "x=2; y=1R || a=yA; x=1", final: "x", outcome: "a=1 x=2"},
	{name: "S+S+L", program: "x=2; S; y=1 || a=y; L; x=1", final: "x", outcome: "a=1 x=2"},
	{name: "S+po+acq", program: "x=2; y=1 || a=yA; x=1", final: "x", outcome: "a=1 x=2", spec: true, arm64: true},

	{name: "R", program: "x=1; y=1 || y=2; a=x", final: "y", outcome: "a=0 y=2", spec: true, arm64: true, amd64: true},
	{name: "R+S+F", program: "x=1; S; y=1 || y=2; F; a=x", final: "y", outcome: "a=0 y=2"},
	{name: "R+po+F", program: "x=1; y=1 || y=2; F; a=x", final: "y", outcome: "a=0 y=2", spec: true, arm64: true},
	{name: "R+S+po", program: "x=1; S; y=1 || y=2; a=x", final: "y", outcome: "a=0 y=2", spec: true, arm64: true, amd64: true},
	{name: "R+F+F", program: "x=1; F; y=1 || y=2; F; a=x", final: "y", outcome: "a=0 y=2"},

	{name: "2+2W", program: "x=1; y=2 || y=1; x=2", final: "x y", outcome: "x=1 y=1", spec: true, arm64: true},
	{name: "2+2W+S+po", program: "x=1; S; y=2 || y=1; x=2", final: "x y", outcome: "x=1 y=1", spec: true, arm64: true},
	{name: "2+2W+S+S", program: "x=1; S; y=2 || y=1; S; x=2", final: "x y", outcome: "x=1 y=1"},
	{name: "2+2W+rel+rel", program: "x=1; y=2R || y=1; x=2R", final: "x y", outcome: "x=1 y=1"},
	{name: "2+2W+L+L", program: "x=1; L; y=2 || y=1; L; x=2", final: "x y", outcome: "x=1 y=1", spec: true, arm64: true},

	{name: "CoRR", program: "x=1 || a=x; b=x", outcome: "a=1 b=0"},
	{name: "CoRR1", program: "x=1; x=2 || a=x; b=x", outcome: "a=2 b=1"},
	{name: "CoWW", program: "x=1; x=2", final: "x", outcome: "x=1"},
	{name: "CoWR", program: "x=1; a=x || x=2", final: "x", outcome: "a=2 x=1"},
	{name: "CoWR0", program: "x=1; a=x", outcome: "a=0"},
	{name: "CoRW", program: "a=x; x=1 || x=2", final: "x", outcome: "a=2 x=2"},
	{name: "CoRW1", program: "a=x; x=1", outcome: "a=1"},
	{name: "CoRR2", program: "x=1 || x=2 || a=x; b=x || c=x; d=x", outcome: "a=1 b=2 c=2 d=1"},

	{name: "IRIW", program: "x=1 || y=1 || a=x; b=y || c=y; d=x", outcome: "a=1 b=0 c=1 d=0", spec: true, arm64: true},
	{name: "IRIW+L+L", program: "x=1 || y=1 || a=x; L; b=y || c=y; L; d=x", outcome: "a=1 b=0 c=1 d=0"},
	{name: "IRIW+acq+acq", program: "x=1 || y=1 || a=xA; b=y || c=yA; d=x", outcome: "a=1 b=0 c=1 d=0"},
	{name: "IRIW+F+F", program: "x=1 || y=1 || a=x; F; b=y || c=y; F; d=x", outcome: "a=1 b=0 c=1 d=0"},

	{name: "WRC", program: "x=1 || a=x; y=1 || b=y; c=x", outcome: "a=1 b=1 c=0", spec: true, arm64: true},
	{name: "WRC+S+L", program: "x=1 || a=x; S; y=1 || b=y; L; c=x", outcome: "a=1 b=1 c=0", spec: true, arm64: true},
	{name: "WRC+rel+acq", program: "x=1 || a=x; y=1R || b=yA; c=x", outcome: "a=1 b=1 c=0"},
	{name: "WRC+L+L", program: "x=1 || a=x; L; y=1 || b=y; L; c=x", outcome: "a=1 b=1 c=0"},
	{name: "WRC+acq+po", program: "x=1 || a=xA; y=1 || b=y; c=x", outcome: "a=1 b=1 c=0", spec: true, arm64: true},
	{name: "ISA2+rel+relacq+acq", program: "x=1; y=1R || a=yA; z=1R || b=zA; c=x", outcome: "a=1 b=1 c=0"},
	{name: "ISA2+S+po+L", program: "x=1; S; y=1 || a=y; z=1 || b=z; L; c=x", outcome: "a=1 b=1 c=0", spec: true, arm64: true},
	{name: "RWC+L+F", program: "x=1 || a=x; L; b=y || y=1; F; c=x", outcome: "a=1 b=0 c=0"},
	{name: "RWC+L+po", program: "x=1 || a=x; L; b=y || y=1; c=x", outcome: "a=1 b=0 c=0", spec: true, arm64: true, amd64: true},
	{name: "W+RWC", program: "x=1; S; z=1 || a=z; L; b=y || y=1; F; c=x", outcome: "a=1 b=0 c=0"},
	{name: "Z6+S+F+po", program: "x=1; S; y=1 || y=2; F; z=1 || a=z; x=2", final: "x y", outcome: "a=1 x=1 y=2", spec: true, arm64: true},
	{name: "Z6+S+F+acq", program: "x=1; S; y=1 || y=2; F; z=1 || a=zA; x=2", final: "x y", outcome: "a=1 x=1 y=2"},

	{name: "swaps", program: "a=x<1 || b=x<2", final: "x", outcome: "a=0 b=0 x=2"},
	{name: "swaps in turn", program: "a=x<1 || b=x<2", final: "x", outcome: "a=0 b=1 x=2", spec: true, arm64: true, amd64: true},
}

// parse makes a System of a litmus test.
func parse(l litmus) *System {
	s := &System{}
	words := map[string]*Word{}
	word := func(name string) *Word {
		if words[name] == nil {
			words[name] = s.Word(name, 0)
		}
		return words[name]
	}
	for i, text := range strings.Split(l.program, "||") {
		ops := strings.Split(text, ";")
		for k := range ops {
			ops[k] = strings.TrimSpace(ops[k])
			if left, right, ok := strings.Cut(ops[k], "="); ok {
				if strings.Contains("xyz", left) {
					word(left)
				} else {
					word(right[:1])
				}
			}
		}
		s.Thread(fmt.Sprintf("T%d", i), func(t *Thread) {
			regs := map[string]uint64{}
			for _, o := range ops {
				switch o {
				case "F":
					t.FullFence()
					continue
				case "S":
					t.StoreFence()
					continue
				case "L":
					t.LoadFence()
					continue
				case "M":
					t.Membarrier()
					continue
				}
				if o[0] == '?' {
					if regs[o[1:]] == 0 {
						return
					}
					continue
				}
				left, right, _ := strings.Cut(o, "=")
				if w := words[left]; w != nil {
					v, ok := regs[right]
					if !ok {
						v = uint64(right[0] - '0')
					}
					if strings.HasSuffix(right, "R") {
						t.StoreRelease64(w, v)
					} else {
						t.Store64(w, v)
					}
					continue
				}
				w := words[right[:1]]
				switch {
				case strings.HasSuffix(right, "A"):
					regs[left] = t.LoadAcquire64(w)
				case len(right) > 1 && right[1] == '<':
					regs[left] = t.Swap64(w, uint64(right[2]-'0'))
				default:
					regs[left] = t.Load64(w)
				}
				t.Note(left, regs[left])
			}
		})
	}
	for _, name := range strings.Fields(l.final) {
		s.Final(word(name))
	}
	return s
}

// TestLitmus compares what is found with what the manuals allow.
func TestLitmus(t *testing.T) {
	said := func(b bool) string {
		if b {
			return "allowed"
		}
		return "forbidden"
	}
	for _, l := range litmuses {
		t.Run(l.name, func(t *testing.T) {
			for _, m := range []struct {
				name string
				opts Options
				want bool
			}{
				{"spec", Options{}, l.spec},
				{"arm64", Options{Ordered: true}, l.arm64},
				{"amd64", Options{Strong: true}, l.amd64},
			} {
				r, err := parse(l).Explore(context.Background(), &m.opts)
				if err != nil {
					t.Fatal(err)
				}
				if got := slices.Contains(r.Outcomes, l.outcome); got != m.want {
					t.Errorf("%s: %s: %s is %s, should be %s; outcomes %q", m.name, l.program, l.outcome, said(got), said(m.want), r.Outcomes)
				}
			}
		})
	}
}
