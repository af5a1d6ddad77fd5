package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/topic"
)

type subFlags struct {
	receiving
	frames bool
	json   bool
}

func newTopicSub(env *Env) *cobra.Command {
	var fl subFlags
	cmd := &cobra.Command{
		Use:   "sub NAME",
		Short: "Write the samples of a topic to standard output",
		Long: `Write the samples of a topic to standard output as they come, each followed by a
newline; with --frames each after its length in 4 bytes, little-endian; with
--json as JSON, one line a sample: number, seq, time, user, flags, missed, and
data as a string, or where that is not UTF-8, with "encoding":"base64".

It waits for the topic, and ends with it. Under the policy block a subscriber
gets every sample from its admission on, and the publisher waits for it; before
that, and under the policy drop, samples that are overwritten before they were
taken are lost: how many is said on standard error, and stands in missed.

When the publisher is killed this waits for the next one. On a terminal, bytes
that are not text are shown as a hex dump of their beginning.`,
		Example: `  shm topic sub log
  shm topic sub ticks --from next --count 10 --json
  shm topic sub frames --frames --observe | player`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeTopic(env, 1, false),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := topicName(args[0])
		if err != nil {
			return err
		}
		return topicErr(cmd.Context(), "sub", name, fl.run(cmd.Context(), env, name))
	}
	fl.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&fl.frames, "frames", false, "write records with their lengths before them, not lines")
	f.BoolVar(&fl.json, "json", false, "write JSON, one line a sample")
	cmd.MarkFlagsMutuallyExclusive("frames", "json")
	return cmd
}

func (fl *subFlags) run(ctx context.Context, env *Env, name string) (err error) {
	if fl.frames {
		if err := refuseTerminal(fl.cmd, env, "--frames writes binary"); err != nil {
			return err
		}
	}
	r, err := fl.open(ctx, env, name)
	if err != nil {
		return err
	}
	defer r.Close()
	out := bufio.NewWriterSize(env.Stdout, 1<<16)
	defer func() {
		if e := out.Flush(); err == nil {
			err = e
		}
	}()
	write := fl.writer(env, out)
	for fl.count == 0 || r.taken < fl.count {
		m, err := r.next(ctx, out.Flush)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		err = write(&m)
		m.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// writer gives what writes a sample in the form that was asked for.
func (fl *subFlags) writer(env *Env, out *bufio.Writer) func(*topic.Sample) error {
	switch {
	case fl.json:
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		return func(m *topic.Sample) error { return e.Encode(sampleJSON(m)) }
	case fl.frames:
		return func(m *topic.Sample) error {
			if uint64(len(m.Data)) > math.MaxUint32 {
				return fmt.Errorf("sample %d has %d bytes, and a frame at most %d", m.Number, len(m.Data), uint32(math.MaxUint32))
			}
			var head [frameHeader]byte
			binary.LittleEndian.PutUint32(head[:], uint32(len(m.Data)))
			if _, err := out.Write(head[:]); err != nil {
				return err
			}
			_, err := out.Write(m.Data)
			return err
		}
	}
	_, tty := terminal(env.Stdout)
	return func(m *topic.Sample) error {
		if tty && !isText(m.Data, false) {
			return dumpBeginning(out, m.Data)
		}
		if _, err := out.Write(m.Data); err != nil {
			return err
		}
		return out.WriteByte('\n')
	}
}

// dumpMost is how much of a sample a terminal is shown as a dump.
const dumpMost = 256

func dumpBeginning(w io.Writer, data []byte) error {
	shown := data[:min(len(data), dumpMost)]
	if err := hexDump(w, bytes.NewReader(shown), 0); err != nil || len(shown) == len(data) {
		return err
	}
	_, err := fmt.Fprintf(w, "(%d bytes more)\n", len(data)-len(shown))
	return err
}

// jsonSample is a sample as --json shows it.
type jsonSample struct {
	Number   uint64    `json:"number"`
	Seq      uint64    `json:"seq"`
	Time     time.Time `json:"time"`
	User     uint64    `json:"user"`
	Flags    uint32    `json:"flags"`
	Missed   uint64    `json:"missed"` // lost between the sample before and this one
	Encoding string    `json:"encoding,omitempty"`
	Data     string    `json:"data"`
}

func sampleJSON(m *topic.Sample) *jsonSample {
	j := &jsonSample{Number: m.Number, Seq: m.Seq, Time: m.Time().Local(), User: m.User, Flags: m.Flags, Missed: m.Missed}
	if utf8.Valid(m.Data) {
		j.Data = string(m.Data)
	} else {
		j.Encoding, j.Data = "base64", base64.StdEncoding.EncodeToString(m.Data)
	}
	return j
}
