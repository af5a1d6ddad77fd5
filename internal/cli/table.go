package cli

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// column is a column of a table.
type column struct {
	name  string
	right bool // numbers stand at the right
	// drop says when the column goes where the terminal is too narrow: the
	// lowest first, 0 never.
	drop int
	// least is how far the column may be cut before others are left out, 0
	// for not at all.
	least int
}

// table is rows of columns, laid out for a width.
type table struct {
	columns []column
	rows    [][]string
	header  bool
}

const gap = "  "

// write lays the table out. With width 0 everything is shown in full;
// otherwise, where the rows do not fit, columns are first cut and then left
// out.
func (t *table) write(w io.Writer, width int) error {
	shown := make([]int, len(t.columns))
	for i := range shown {
		shown[i] = i
	}
	widths := t.widths()
	for width > 0 && total(shown, widths) > width {
		if t.cut(shown, widths, width, 0) {
			break
		}
		shorter, ok := t.without(shown)
		if !ok {
			t.cut(shown, widths, width, shortest)
			break
		}
		shown, widths = shorter, t.widths()
	}
	out := bufio.NewWriter(w)
	if t.header {
		names := make([]string, len(t.columns))
		for i, c := range t.columns {
			names[i] = c.name
		}
		t.line(out, names, shown, widths)
	}
	for _, r := range t.rows {
		t.line(out, r, shown, widths)
	}
	return out.Flush()
}

// widths gives what each column needs.
func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		if t.header {
			widths[i] = len(c.name)
		}
	}
	for _, r := range t.rows {
		for i, cell := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func total(shown, widths []int) int {
	n := len(gap) * (len(shown) - 1)
	for _, i := range shown {
		n += widths[i]
	}
	return n
}

// shortest is how far a column is cut when nothing else helps.
const shortest = 4

// cut makes columns narrower, the last ones first, each down to its least or
// to another bound, and reports whether the table fits then.
func (t *table) cut(shown, widths []int, width, bound int) bool {
	for n := len(shown) - 1; n >= 0; n-- {
		i := shown[n]
		least := t.columns[i].least
		if least == 0 {
			continue
		}
		if bound > 0 {
			least = bound
		}
		if widths[i] <= least {
			continue
		}
		over := total(shown, widths) - width
		widths[i] = max(least, widths[i]-over)
		if over = total(shown, widths) - width; over <= 0 {
			return true
		}
	}
	return false
}

// without leaves out the column that is missed least.
func (t *table) without(shown []int) ([]int, bool) {
	worst := -1
	for n, i := range shown {
		if d := t.columns[i].drop; d > 0 && (worst < 0 || d < t.columns[shown[worst]].drop) {
			worst = n
		}
	}
	if worst < 0 {
		return shown, false
	}
	rest := append([]int{}, shown[:worst]...)
	return append(rest, shown[worst+1:]...), true
}

func (t *table) line(out *bufio.Writer, cells []string, shown, widths []int) {
	var b strings.Builder
	for n, i := range shown {
		if n > 0 {
			b.WriteString(gap)
		}
		cell := shorten(cells[i], widths[i])
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if t.columns[i].right {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
	}
	out.WriteString(strings.TrimRight(b.String(), " "))
	out.WriteByte('\n')
}
