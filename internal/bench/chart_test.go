package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// everything is a row for each cell, measured with some numbers.
func everything() []Row {
	var rows []Row
	for _, g := range plan() {
		for _, s := range g.cells {
			rows = append(rows, Row{Spec: s, P50: 100 + float64(s.Size), Msgs: 1e8 / float64(100+s.Size)})
		}
	}
	return rows
}

// TestChartPlain: where the kernel places the processes, or the way there has
// another size, a round trip is another thing.
func TestChartPlain(t *testing.T) {
	left := 0
	for _, r := range everything() {
		if !r.Free && r.Request == 0 && r.Over == "" && r.callers() == 1 {
			continue
		}
		left++
		if _, n := place(&r.Spec); n >= 0 {
			t.Errorf("%s is in the chart, as %s", r.name(), charted[n].name)
		}
	}
	if left == 0 {
		t.Error("there is none")
	}
}

func TestChart(t *testing.T) {
	c := newChart(everything(), `2 processors <"odd" & co>`)
	for i, what := range []string{"latency", "throughput"} {
		for k, line := range c.panels[i].lines {
			// Only streams have an end that touches.
			if strings.Contains(charted[k].name, "touched") && i == 0 {
				if len(line) != 0 {
					t.Errorf("%s of %s has %d points, want none", what, charted[k].name, len(line))
				}
				continue
			}
			if len(line) != len(sizes) {
				t.Errorf("%s of %s has %d points, want one for each of %v", what, charted[k].name, len(line), sizes)
				continue
			}
			for n, p := range line {
				if p.size != sizes[n] || p.value <= 0 {
					t.Errorf("%s of %s, point %d: %+v", what, charted[k].name, n, p)
				}
			}
		}
	}

	lines, texts, styles := 0, map[string]bool{}, ""
	d := xml.NewDecoder(bytes.NewReader(c.svg()))
	var inside []string
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			inside = append(inside, e.Name.Local)
			for _, a := range e.Attr {
				if e.Name.Local == "path" && a.Name.Local == "class" && strings.HasPrefix(a.Value, "line ") {
					lines++
				}
				for _, bad := range []string{"NaN", "Inf"} {
					if strings.Contains(a.Value, bad) {
						t.Errorf("<%s %s=%q>", e.Name.Local, a.Name.Local, a.Value)
					}
				}
			}
		case xml.EndElement:
			inside = inside[:len(inside)-1]
		case xml.CharData:
			switch inside := inside; {
			case len(inside) > 0 && inside[len(inside)-1] == "text":
				texts[string(e)] = true
			case len(inside) > 0 && inside[len(inside)-1] == "style":
				styles += string(e)
			}
		}
	}
	// Once in the legend, and once in each diagram but for the touched.
	if want := 3*len(charted) - 1; lines != want {
		t.Errorf("%d lines, want %d", lines, want)
	}
	for _, s := range charted {
		if !texts[s.name] {
			t.Errorf("no %q in the legend", s.name)
		}
		class, _, _ := strings.Cut(s.class, " ")
		if n := strings.Count(styles, ".line."+class+"{stroke:#"); n != 2 {
			t.Errorf("%s has %d colours, want one on light and one on dark", class, n)
		}
	}
	for _, n := range sizes {
		if !texts[sized(n)] {
			t.Errorf("no %s at the axis", sized(n))
		}
	}
	if !texts[`shm bench on 2 processors <"odd" & co>`] {
		t.Errorf("the machine is not named in %v", texts)
	}
	if !strings.Contains(styles, "prefers-color-scheme:dark") {
		t.Error("no colours for the dark")
	}
}

// TestChartGaps draws what a run leaves that skipped much.
func TestChartGaps(t *testing.T) {
	for _, rows := range [][]Row{
		nil,
		{{Spec: cell(pipe, latency, sleep, small), P50: 5000}},
		{{Spec: cell(pipe, throughput, sleep, large), Msgs: 1e6}},
	} {
		if err := xml.Unmarshal(newChart(rows, "here").svg(), new(struct{})); err != nil {
			t.Errorf("%+v: %v", rows, err)
		}
	}
}

func TestSVGFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.svg")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.svg")
	if err := os.Symlink("a.svg", link); err != nil {
		t.Fatal(err)
	}
	f, err := createSVG(link)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "before" {
		t.Errorf("before the end there is %q", b)
	}
	if err := f.finish(newChart(everything(), "here")); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); !bytes.HasPrefix(b, []byte("<svg ")) || !bytes.HasSuffix(b, []byte("</svg>\n")) {
		t.Errorf("there is %q", b)
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is %v, %v", fi.Mode(), err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 2 {
		t.Errorf("%v is there, %v", names, err)
	}
	for bad, want := range map[string]error{
		dir:                               nil,
		"/dev/null":                       nil,
		filepath.Join(dir, "no", "a.svg"): fs.ErrNotExist,
	} {
		if _, err := createSVG(bad); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
