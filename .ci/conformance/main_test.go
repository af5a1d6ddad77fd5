package main

import (
	"strings"
	"testing"
)

const events = `{"Action":"run","Package":"example.com/shm/sysv","Test":"TestGet/SV-001"}
{"Action":"pass","Package":"example.com/shm/sysv","Test":"TestGet/SV-001/zero"}
{"Action":"pass","Package":"example.com/shm/sysv","Test":"TestGet/SV-001"}
{"Action":"output","Package":"example.com/shm/sysv","Test":"TestGet/SV-002","Output":"    a_test.go:7: no huge pages\n"}
{"Action":"skip","Package":"example.com/shm/sysv","Test":"TestGet/SV-002"}
{"Action":"pass","Package":"example.com/shm/sysv","Test":"TestSV-0031"}
{"Action":"pass","Package":"example.com/shm/sysv","Test":"TestFork/SV-103/SV-024"}
`

func TestRender(t *testing.T) {
	for _, c := range []struct {
		name, rows, events, want, fault string
	}{
		{"below another", "SV-001\tb\ts\t-\t\nSV-002\tb\ts\t-\t\nSV-103\tb\ts\t-\t\nSV-024\tb\ts\t-\t\n", events, "| SV-024 | b | s | passes", ""},
		{"passes", "SV-001\tb|c\ts\t-\t\n", events, `| SV-001 | b\|c | s | passes, in ` + "`shm/sysv` |", "SV-002: a test has this number, and no row"},
		{"skipped", "SV-002\tb\ts\t-\t\n", events, "| SV-002 | b | s | skipped: no huge pages |", "SV-001: a test has"},
		{"not asserted", "SV-009\tb\ts\t-\tno way\n", "", "| SV-009 | b | s | not asserted: no way |", ""},
		{"missing", "SV-009\tb\ts\t-\t\n", "", "", "SV-009: no test has this number"},
		{"both", "SV-001\tb\ts\t-\tno way\n", events, "", "SV-001: there are tests, and a reason"},
		{"failed", "SV-001\tb\ts\t-\t\n", `{"Action":"fail","Package":"example.com/shm/a","Test":"T/SV-001"}`, "", "SV-001: failed"},
		{"twice", "SV-009\tb\ts\t-\tx\nSV-009\tb\ts\t-\tx\n", "", "", "SV-009 stands twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			results := map[string]*result{}
			if err := collect(strings.NewReader(c.events), results); err != nil {
				t.Fatal(err)
			}
			text, faults := render(func(prefix string) ([]row, error) {
				if prefix != "SV" {
					return nil, nil
				}
				var rows []row
				for line := range strings.Lines(c.rows) {
					f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
					rows = append(rows, row{f[0], f[1], f[2], f[3], f[4]})
				}
				return rows, nil
			}, results)
			if !strings.Contains(string(text), c.want) {
				t.Errorf("no line %q in\n%s", c.want, text)
			}
			if got := strings.Join(faults, "\n"); (c.fault == "") != (got == "") || !strings.Contains(got, c.fault) {
				t.Errorf("faults %q, want %q", got, c.fault)
			}
		})
	}
}
