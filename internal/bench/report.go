package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// report writes what was found.
type report struct {
	b     *Bench
	out   io.Writer
	goals int // that were compared
	lost  int // of them, how many were not reached
	rows  []Row
	svg   *svgFile
}

// Row is a line of the JSON output.
type Row struct {
	Spec
	PIDs       []int   `json:"pids,omitempty"`
	Skipped    string  `json:"skipped,omitempty"`
	Rounds     int     `json:"rounds,omitempty"`
	P50        float64 `json:"p50_ns,omitempty"`
	P99        float64 `json:"p99_ns,omitempty"`
	P999       float64 `json:"p999_ns,omitempty"`
	P50Min     float64 `json:"p50_ns_min,omitempty"`
	P50Max     float64 `json:"p50_ns_max,omitempty"`
	Msgs       float64 `json:"msgs_per_s,omitempty"`
	MsgsMin    float64 `json:"msgs_per_s_min,omitempty"`
	MsgsMax    float64 `json:"msgs_per_s_max,omitempty"`
	Bytes      float64 `json:"bytes_per_s,omitempty"`
	CPU        float64 `json:"cpu_ns,omitempty"` // of the publisher's thread, a sample
	Lost       uint64  `json:"lost,omitempty"`
	LimitRatio float64 `json:"limit_ratio,omitempty"`
	LimitCRat  float64 `json:"limit_c_ratio,omitempty"`
	BufferRat  float64 `json:"buffer_ratio,omitempty"`
	FutexRatio float64 `json:"futex_ratio,omitempty"`
	UnixRatio  float64 `json:"unix_ratio,omitempty"`
	PipeRatio  float64 `json:"pipe_ratio,omitempty"`
	AloneRatio float64 `json:"alone_ratio,omitempty"` // of a call: to the same bytes without the service
}

func (b *Bench) newReport() (*report, error) {
	r := &report{b: b, out: b.Out}
	if b.SVG == "" {
		return r, nil
	}
	var err error
	r.svg, err = createSVG(b.SVG)
	return r, err
}

func (r *report) begin() {
	if r.b.JSON {
		return
	}
	fmt.Fprintf(r.out, "%s.\nEach cell between processes of their own; medians of rounds in turns.\n", machine(r.b.cpus))
	if err := r.b.missing[limitC]; err != nil {
		fmt.Fprintf(r.out, "The limit in C is left out: %v. The limit in Go stands alone.\n", err)
	}
}

func (r *report) group(g *group, turns []*turn) error {
	rows := make([]Row, len(turns))
	for i, t := range turns {
		rows[i] = t.row()
		for k, to := range map[string]*float64{
			limit: &rows[i].LimitRatio, limitC: &rows[i].LimitCRat, buffer: &rows[i].BufferRat,
			futex: &rows[i].FutexRatio, unix: &rows[i].UnixRatio, pipe: &rows[i].PipeRatio,
		} {
			// One that is read as this one is, or the only one there is.
			for _, o := range turns {
				if t.spec.comparable(k, &o.spec) && (o.spec.Read == t.spec.Read || *to == 0) {
					*to = ratio(t, o)
				}
			}
		}
		for _, o := range turns {
			if t.spec.alone(&o.spec) {
				rows[i].AloneRatio = ratio(t, o)
			}
		}
	}
	r.rows = append(r.rows, rows...)
	if r.b.JSON {
		e := json.NewEncoder(r.out)
		for i := range rows {
			if rows[i].guest {
				continue
			}
			if err := e.Encode(&rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return r.table(g, turns, rows)
}

// comparable reports whether another cell is what this one is compared with as
// the transport k; a service is compared with itself.
func (s *Spec) comparable(k string, o *Spec) bool {
	if s.Size != o.Size || s.Free != o.Free {
		return false
	}
	if s.Over != "" {
		return s.Over != k && o.Over == k && o.Transport == s.Transport
	}
	return s.Transport != k && o.Transport == k
}

// alone reports whether another cell is the same bytes as those of this
// service, without it.
func (s *Spec) alone(o *Spec) bool {
	return s.Over != "" && s.Over == o.Transport && s.Wait == o.Wait && s.Size == o.Size && s.Free == o.Free
}

// ratio is the median of ours to theirs in the same round; 0 where one was
// not measured.
func ratio(ours, theirs *turn) float64 {
	var v []float64
	for i := range min(len(ours.rounds), len(theirs.rounds)) {
		if d := theirs.rounds[i].main(&theirs.spec); d > 0 {
			v = append(v, ours.rounds[i].main(&ours.spec)/d)
		}
	}
	return median(v)
}

func (t *turn) row() Row {
	row := Row{Spec: t.spec, PIDs: t.pids, Rounds: len(t.rounds)}
	if t.skipped != nil {
		row.Skipped = t.skipped.Error()
		return row
	}
	all := func(f func(*measurement) float64) []float64 {
		v := make([]float64, len(t.rounds))
		for i := range t.rounds {
			v[i] = f(&t.rounds[i])
		}
		return v
	}
	for i := range t.rounds {
		row.Lost += t.rounds[i].Lost
	}
	switch t.spec.Pattern {
	case throughput:
		v := all(func(m *measurement) float64 { return m.Rate })
		row.Msgs, row.MsgsMin, row.MsgsMax = median(v), slices.Min(v), slices.Max(v)
		row.Bytes = row.Msgs * float64(t.spec.Size)
	case paced:
		row.CPU = median(all(func(m *measurement) float64 { return m.CPU }))
	default:
		if t.spec.callers() > 1 {
			v := all(func(m *measurement) float64 { return m.Rate })
			row.Msgs, row.MsgsMin, row.MsgsMax = median(v), slices.Min(v), slices.Max(v)
		}
		v := all(func(m *measurement) float64 { return m.P50 })
		row.P50, row.P50Min, row.P50Max = median(v), slices.Min(v), slices.Max(v)
		row.P99 = median(all(func(m *measurement) float64 { return m.P99 }))
		row.P999 = median(all(func(m *measurement) float64 { return m.P999 }))
		// Where a round has few laps, the tail is that of all of them.
		var laps []int64
		for i := range t.rounds {
			laps = append(laps, t.rounds[i].laps...)
		}
		if len(laps) > 0 {
			_, row.P99, row.P999 = quantiles(laps)
		}
	}
	return row
}

func (r *report) table(g *group, turns []*turn, rows []Row) error {
	fmt.Fprintf(r.out, "\n%s\n", g.title)
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	switch g.cells[0].Pattern {
	case throughput:
		fmt.Fprintln(w, "  what\tmessages/s\tlowest\thighest\tbytes/s\tof limit\tof Unix\tlost\tprocesses")
	case paced:
		fmt.Fprintln(w, "  what\tprocessor time\tlost\tprocesses")
	default:
		of := "of limit"
		if g.cells[0].Over != "" {
			of = "bytes alone\tthe rest"
		}
		fmt.Fprintf(w, "  what\tp50\tp99\tp99.9\tlowest p50\thighest p50\t%s\tof Unix\tprocesses\n", of)
	}
	for i := range rows {
		row := &rows[i]
		fmt.Fprintf(w, "  %s\t", row.name())
		switch {
		case row.Skipped != "":
			fmt.Fprintf(w, "skipped: %s", row.Skipped)
		case row.Pattern == throughput:
			fmt.Fprintf(w, "%s\t%s\t%s\t%sB\t%s\t%s\t%d\t%s", scaled(row.Msgs), scaled(row.MsgsMin), scaled(row.MsgsMax), scaled(row.Bytes),
				times(row.LimitRatio), times(row.UnixRatio), row.Lost, pidList(row.PIDs))
		case row.Pattern == paced:
			fmt.Fprintf(w, "%.1f ns\t%d\t%s", row.CPU, row.Lost, pidList(row.PIDs))
		default:
			of := times(row.LimitRatio)
			if g.cells[0].Over != "" {
				of = row.parts()
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", nanos(row.P50), nanos(row.P99), nanos(row.P999), nanos(row.P50Min), nanos(row.P50Max),
				of, times(row.UnixRatio), pidList(row.PIDs))
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if name := services[g.cells[0].Transport]; slices.ContainsFunc(rows, func(r Row) bool { return r.AloneRatio > 0 }) {
		fmt.Fprintf(r.out, "  The bytes alone are as many, there and back, on the same connections without %s; the rest is %s itself.\n", name, name)
	}
	for _, goal := range g.goals {
		r.verdict(&goal, turns, rows)
	}
	return nil
}

// parts gives the time of a call in two parts, where it is known: what the
// bytes take, and the rest. Of many at once it is only known how many there
// would be.
func (r *Row) parts() string {
	switch {
	case r.AloneRatio == 0:
		return "-\t-"
	case r.callers() > 1:
		return scaled(r.Msgs/r.AloneRatio) + " a second\t-"
	}
	alone := r.P50 / r.AloneRatio
	return nanos(alone) + "\t" + nanos(max(r.P50-alone, 0))
}

// verdict says where a goal is reached, and where we lose.
func (r *report) verdict(g *goal, turns []*turn, rows []Row) {
	ours := turns[g.ours]
	got := 0.0
	if g.absolute != 0 {
		if len(ours.rounds) > 0 {
			got = rows[g.ours].Msgs / g.absolute
		}
	} else {
		got = ratio(ours, turns[g.theirs])
	}
	if got == 0 {
		return
	}
	r.goals++
	word, ok := "at most", got <= g.ratio
	if g.least {
		word, ok = "at least", got >= g.ratio
	}
	verdict := "reached"
	if !ok {
		verdict = "MISSED"
		r.lost++
	}
	fmt.Fprintf(r.out, "  %s: %s is %.2f of %s, wanted %s %.2f\n", verdict, rows[g.ours].name(), got, g.what, word, g.ratio)
}

func (r *report) end() error {
	if r.svg != nil {
		if err := r.svg.finish(newChart(r.rows, machine(r.b.cpus))); err != nil {
			return err
		}
	}
	if r.b.JSON {
		return nil
	}
	switch {
	case r.goals == 0:
		return nil
	case r.lost == 0:
		_, err := fmt.Fprintln(r.out, "\nEvery goal was reached.")
		return err
	}
	_, err := fmt.Fprintf(r.out, "\n%d of the goals were missed on this machine, in this run.\n", r.lost)
	return err
}

// services are what they are called.
var services = map[string]string{httpGET: "net/http", grpcUnary: "gRPC"}

// name is what a cell is called in a table.
func (r *Row) name() string {
	s := r.Transport
	switch s {
	case topics:
		s = "topic, " + r.Policy + ", " + r.Wait
	case topicC:
		s = "topic in C, " + r.Policy + ", " + r.Wait
	case limit:
		s = "limit (ring in Go)"
	case limitC:
		s = "limit (ring in C)"
	case futex:
		s = "bare futex"
	case buffer:
		s = "buffer just written"
	case segment:
		s = "segment and semaphores, " + r.Wait
	case unix:
		s = "Unix socket"
	case unixpacket:
		s = "Unix socket, packets"
	case tcp:
		s = "TCP"
	case shmnets:
		s = "shmnet, " + r.Wait
	}
	if r.Over != "" {
		over := Row{Spec: Spec{Transport: r.Over, Wait: r.Wait}}
		s = services[s] + " over " + over.name()
	}
	if r.InPlace {
		s += ", in place"
	}
	if r.Free {
		s += ", anywhere"
	}
	if r.Request > 0 {
		s += fmt.Sprintf(", %s there", sized(r.Request))
	}
	if r.Batch > 1 {
		s += fmt.Sprintf(", batches of %d", r.Batch)
	}
	if r.Read == "touch" {
		s += fmt.Sprintf(", %s touched only", sized(r.Size))
	}
	if r.callers() > 1 {
		s += fmt.Sprintf(", %s a second", scaled(r.Msgs))
	}
	if r.Subscribers > 1 {
		s += fmt.Sprintf(", %d subscribers", r.Subscribers)
	}
	return s
}

func (g *group) matches(only string) bool { return strings.Contains(g.title, only) }

// times gives a ratio.
func times(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v >= 10:
		return fmt.Sprintf("%.0fx", v)
	}
	return fmt.Sprintf("%.2gx", v)
}

// scaled gives a number in three digits or so.
func scaled(v float64) string {
	for _, u := range []struct {
		n float64
		s string
	}{{1e9, " G"}, {1e6, " M"}, {1e3, " k"}} {
		if v >= u.n {
			return fmt.Sprintf("%.3g%s", v/u.n, u.s)
		}
	}
	return fmt.Sprintf("%.3g ", v)
}

func nanos(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f ms", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1f us", v/1e3)
	}
	return fmt.Sprintf("%.0f ns", v)
}
