package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// svgFile is where the chart goes. The file appears whole when the run is
// over, and a run that fails leaves what was there before.
type svgFile struct {
	path string
}

// createSVG finds out early whether the file can be written.
func createSVG(path string) (*svgFile, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	switch fi, err := os.Stat(path); {
	case err == nil && !fi.Mode().IsRegular():
		return nil, &fs.PathError{Op: "write", Path: path, Err: errors.New("not a regular file")}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	s := &svgFile{path}
	f, err := s.temporary()
	if err != nil {
		return nil, err
	}
	f.Close()
	return s, os.Remove(f.Name())
}

func (s *svgFile) temporary() (*os.File, error) {
	return os.CreateTemp(filepath.Dir(s.path), "."+filepath.Base(s.path)+".*")
}

func (s *svgFile) finish(c *chart) error {
	f, err := s.temporary()
	if err != nil {
		return err
	}
	_, err = f.Write(c.svg())
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Where things stand, in pixels.
const (
	svgWidth   = 860
	plotTop    = 46
	plotHeight = 300
	plotWidth  = 344
	legendTop  = plotTop + plotHeight + 50
	legendRow  = 20
	legendCols = 3
)

var plotLeft = [2]float64{62, 488}

// svgStyle has two sets of colours; which one, the reader's settings say. No
// variables, which not every viewer has.
const svgStyle = `
text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}
.title{font-weight:600;font-size:14px}.soft{fill:#59636e;font-size:11px}
.paper{fill:#fff;stroke:#d1d9e0}.grid{stroke:#e4e8ec;fill:none}.axis{stroke:#818b98;fill:none}
.line{fill:none;stroke-width:1.6;stroke-linejoin:round}.mark{stroke:#fff;stroke-width:.8}
.line.topic{stroke-width:2.8}.line.dash{stroke-dasharray:7 4}.line.dots{stroke-dasharray:2 3.5}
.line.topic{stroke:#0b5fd0}.mark.topic{fill:#0b5fd0}.line.limit{stroke:#59636e}.mark.limit{fill:#59636e}
.line.segment{stroke:#8250df}.mark.segment{fill:#8250df}.line.pipe{stroke:#b65a00}.mark.pipe{fill:#b65a00}
.line.unix{stroke:#cf222e}.mark.unix{fill:#cf222e}.line.unixpacket{stroke:#c2378f}.mark.unixpacket{fill:#c2378f}
.line.tcp{stroke:#1a7f37}.mark.tcp{fill:#1a7f37}.line.shmnet{stroke:#0b7c86}.mark.shmnet{fill:#0b7c86}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.soft{fill:#9198a1}.paper{fill:#0d1117;stroke:#3d444d}.grid{stroke:#262c36}.axis{stroke:#656c76}.mark{stroke:#0d1117}
.line.topic{stroke:#58a6ff}.mark.topic{fill:#58a6ff}.line.limit{stroke:#9198a1}.mark.limit{fill:#9198a1}
.line.segment{stroke:#b98eff}.mark.segment{fill:#b98eff}.line.pipe{stroke:#f0a43e}.mark.pipe{fill:#f0a43e}
.line.unix{stroke:#ff7b72}.mark.unix{fill:#ff7b72}.line.unixpacket{stroke:#f778ba}.mark.unixpacket{fill:#f778ba}
.line.tcp{stroke:#3fb950}.mark.tcp{fill:#3fb950}.line.shmnet{stroke:#39c5cf}.mark.shmnet{fill:#39c5cf}
}
`

// svg draws the chart.
func (c *chart) svg() []byte {
	var b bytes.Buffer
	machineLine := legendTop + (len(charted)+legendCols-1)/legendCols*legendRow
	svgHeight := machineLine + 46
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", svgWidth, svgHeight, svgWidth, svgHeight)
	fmt.Fprintf(&b, "<title>Latency and throughput over the size of the message</title>\n<desc>%s</desc>\n", escaped(c.machine))
	fmt.Fprintf(&b, "<style>%s</style>\n", svgStyle)
	fmt.Fprintf(&b, `<rect class="paper" x=".5" y=".5" width="%d" height="%d" rx="6"/>`+"\n", svgWidth-1, svgHeight-1)
	for i := range c.panels {
		c.panels[i].draw(&b, plotLeft[i])
	}
	c.legend(&b)
	fmt.Fprintf(&b, `<text class="soft" x="16" y="%d">Between two processes; each byte is read, but where it says touched. Both scales are logarithmic.</text>`+"\n", machineLine+16)
	fmt.Fprintf(&b, `<text class="soft" x="16" y="%d">shm bench on %s</text>`+"\n</svg>\n", machineLine+32, escaped(c.machine))
	return b.Bytes()
}

// draw draws one diagram with its left end there.
func (p *panel) draw(b *bytes.Buffer, left float64) {
	low, high := p.decades()
	x := func(size int) float64 {
		first, last := math.Log2(float64(sizes[0])), math.Log2(float64(sizes[len(sizes)-1]))
		return left + (math.Log2(float64(size))-first)/(last-first)*plotWidth
	}
	y := func(v float64) float64 {
		return plotTop + plotHeight*(1-(math.Log10(v)-float64(low))/float64(high-low))
	}
	fmt.Fprintf(b, `<text class="title" x="%s" y="26">%s</text>`+"\n", number(left-46), escaped(p.title))
	for e := low; e <= high; e++ {
		v := math.Pow10(e)
		fmt.Fprintf(b, `<path class="grid" d="M%s %sh%d"/><text class="soft" text-anchor="end" x="%s" y="%s">%s</text>`+"\n",
			number(left), number(y(v)), plotWidth, number(left-8), number(y(v)+4), escaped(p.unit(v)))
	}
	for _, n := range sizes {
		fmt.Fprintf(b, `<path class="grid" d="M%s %dv%d"/><text class="soft" text-anchor="middle" x="%s" y="%d">%s</text>`+"\n",
			number(x(n)), plotTop, plotHeight, number(x(n)), plotTop+plotHeight+18, sized(n))
	}
	fmt.Fprintf(b, `<path class="axis" d="M%s %dv%dh%d"/>`+"\n", number(left), plotTop, plotHeight, plotWidth)
	// The first of the legend lies on top.
	for i := len(charted) - 1; i >= 0; i-- {
		line := p.lines[i]
		if len(line) == 0 {
			continue
		}
		var path strings.Builder
		for k, pt := range line {
			command := "L"
			if k == 0 {
				command = "M"
			}
			path.WriteString(command + number(x(pt.size)) + " " + number(y(pt.value)))
		}
		fmt.Fprintf(b, `<path class="line %s" d="%s"><title>%s</title></path>`+"\n", charted[i].class, path.String(), escaped(charted[i].name))
		for _, pt := range line {
			fmt.Fprint(b, mark(&charted[i], x(pt.size), y(pt.value)))
		}
		fmt.Fprintln(b)
	}
}

// legend names the lines that there are.
func (c *chart) legend(b *bytes.Buffer) {
	n := 0
	for i := range charted {
		if len(c.panels[0].lines[i]) == 0 && len(c.panels[1].lines[i]) == 0 {
			continue
		}
		x, y := 24+float64(n%legendCols)*285, legendTop+float64(n/legendCols)*legendRow
		fmt.Fprintf(b, `<path class="line %s" d="M%s %sh34"/>%s<text x="%s" y="%s">%s</text>`+"\n", charted[i].class, number(x), number(y),
			mark(&charted[i], x+17, y), number(x+44), number(y+4), escaped(charted[i].name))
		n++
	}
}

// mark draws a point.
func mark(s *series, x, y float64) string {
	class, _, _ := strings.Cut(s.class, " ")
	switch s.mark {
	case "circle":
		return fmt.Sprintf(`<circle class="mark %s" cx="%s" cy="%s" r="3.6"/>`, class, number(x), number(y))
	case "square":
		return fmt.Sprintf(`<path class="mark %s" d="M%s %sh6.6v6.6h-6.6z"/>`, class, number(x-3.3), number(y-3.3))
	case "diamond":
		return fmt.Sprintf(`<path class="mark %s" d="M%s %sl4.6 4.6l-4.6 4.6l-4.6 -4.6z"/>`, class, number(x), number(y-4.6))
	case "triangle":
		return fmt.Sprintf(`<path class="mark %s" d="M%s %sl4.4 7.4h-8.8z"/>`, class, number(x), number(y-4.6))
	}
	return ""
}

// number writes a number as short as it is exact enough.
func number(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func escaped(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s))
	return b.String()
}
