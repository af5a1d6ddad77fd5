package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

func newTopicDump(env *Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "dump NAME",
		Short: "Show every word of a topic, living or dead",
		Long: `Show every word of a topic but the payloads, for a look after an accident: the
directory and its lock; of data the header, the configuration, the hot lines, the
table and the slots; then the file of each publisher and subscriber, and the bell.
Names and order are those of spec/topic.md. Entries and slots that are not in use
are left out.

Nothing that stands there is believed: bytes that cannot be are shown as they are,
with what is wrong with them. The topic is read, not mapped, and not disturbed,
also where somebody publishes; then the words are of slightly different moments.

The exit code is 0 also where something is wrong: it was shown. shm topic info
says more shortly what a topic is, and shm topic sub --observe has the samples.`,
		Example: `  shm topic dump news
  shm topic dump news --json | jq 'select(.part == "slot")'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeTopic(env, 1, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := topicName(args[0])
			if err != nil {
				return err
			}
			d := &dumper{w: env.Stdout}
			emit := d.text
			if asJSON {
				emit = d.json
			}
			err = topicdir.Dump(name, &topicdir.OpenOptions{Dir: env.dir()}, func(p *topicdir.Part) error {
				if err := cmd.Context().Err(); err != nil {
					return err
				}
				return emit(p)
			})
			if err == nil {
				err = d.flush()
			}
			return topicErr(cmd.Context(), "dump", name, err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON, one line a part")
	return cmd
}

// dumper writes the parts of a topic. Those of which there are many are rows
// of a table.
type dumper struct {
	w    io.Writer
	kind string
	rows *table
}

// dumpRows bounds how many rows are laid out together.
const dumpRows = 1024

func (d *dumper) text(p *topicdir.Part) error {
	if many := p.Name == "entry" || p.Name == "slot"; many && p.Problem == nil {
		return d.row(p)
	}
	if err := d.flush(); err != nil {
		return err
	}
	d.kind = ""
	var b strings.Builder
	if p.Name != "directory" {
		b.WriteByte('\n')
	}
	title := p.Name
	switch {
	case p.Name == "header", p.Name == "lock" || p.Name == "strange":
		title = p.File
	case p.File != "" && p.File != p.Name:
		title = p.File + ", " + p.Name
	}
	b.WriteString(procfs.Printable(title) + "\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range p.Fields {
		fmt.Fprintf(w, "  %s\t%s\n", strings.ReplaceAll(f.Key, "_", " "), fieldText(f.Value))
	}
	if p.Problem != nil {
		fmt.Fprintf(w, "  wrong\t%s\n", procfs.Printable(strings.ReplaceAll(p.Problem.Error(), "\n", "; ")))
	}
	w.Flush()
	_, err := io.WriteString(d.w, b.String())
	return err
}

// row adds a row to the table of its kind.
func (d *dumper) row(p *topicdir.Part) error {
	if d.rows != nil && (d.kind != p.Name || len(d.rows.rows) >= dumpRows) {
		if err := d.flush(); err != nil {
			return err
		}
	}
	if d.rows == nil {
		d.rows = new(table)
		for _, f := range p.Fields {
			_, left := f.Value.(string)
			d.rows.columns = append(d.rows.columns, column{name: strings.ToUpper(f.Key), right: !left})
		}
		if d.kind != p.Name {
			d.rows.header = true
			title := map[string]string{"entry": "table", "slot": "slots"}[p.Name]
			if _, err := fmt.Fprintf(d.w, "\n%s, %s\n", p.File, title); err != nil {
				return err
			}
		}
		d.kind = p.Name
	}
	cells := make([]string, len(p.Fields))
	for i, f := range p.Fields {
		cells[i] = fieldText(f.Value)
	}
	d.rows.rows = append(d.rows.rows, cells)
	return nil
}

// flush writes the rows that are waiting.
func (d *dumper) flush() error {
	t := d.rows
	if t == nil {
		return nil
	}
	d.rows = nil
	return t.write(&indented{d.w, true}, 0)
}

// indented sets the lines in that are written to it.
type indented struct {
	w     io.Writer
	begun bool // a line begins
}

func (i *indented) Write(p []byte) (int, error) {
	var b bytes.Buffer
	for line := range bytes.Lines(p) {
		if i.begun {
			b.WriteString("  ")
		}
		i.begun = bytes.HasSuffix(line, []byte("\n"))
		b.Write(line)
	}
	_, err := i.w.Write(b.Bytes())
	return len(p), err
}

func fieldText(v any) string {
	switch v := v.(type) {
	case time.Time:
		if v.UnixNano() == 0 {
			return "-"
		}
		return v.Local().Format("2006-01-02T15:04:05.000000000")
	case string:
		if v == "" {
			return "-"
		}
		return procfs.Printable(v)
	case []uint64:
		if len(v) == 0 {
			return "none"
		}
		return strings.Trim(fmt.Sprint(v), "[]")
	case bool:
		return map[bool]string{true: "yes", false: "no"}[v]
	}
	return fmt.Sprint(v)
}

// json writes a part as one object: part, file, its fields in their order,
// and problem.
func (d *dumper) json(p *topicdir.Part) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	field := func(key string, value any) error {
		b.WriteString(map[bool]string{true: "{", false: ","}[b.Len() == 0])
		fmt.Fprintf(&b, "%q:", key)
		if s, ok := value.(string); ok {
			value = jsonText(s)
		}
		err := e.Encode(value)
		b.Truncate(b.Len() - 1) // its newline
		return err
	}
	all := []topicdir.Field{{Key: "part", Value: p.Name}}
	if p.File != "" {
		all = append(all, topicdir.Field{Key: "file", Value: p.File})
	}
	all = append(all, p.Fields...)
	if p.Problem != nil {
		all = append(all, topicdir.Field{Key: "problem", Value: p.Problem.Error()})
	}
	for _, f := range all {
		if err := field(f.Key, f.Value); err != nil {
			return err
		}
	}
	b.WriteString("}\n")
	_, err := d.w.Write(b.Bytes())
	return err
}
