package record_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seed-298b2b26/shm/internal/record"
	"github.com/seed-298b2b26/shm/internal/sys"
)

var update = flag.Bool("update", false, "write spec/testdata/record-v1.bin anew, but for its last time")

var golden = filepath.Join("..", "..", "spec", "testdata", "record-v1.bin")

func goldenHeader() *record.Header {
	h := &record.Header{
		Topic: "golden", Began: time.Unix(1700000000, 5), Slots: 32, Capacity: 64, Align: 64,
		Patience: -1, Policy: 2, Subscribers: 8, Held: 2, Type: "example.Point",
	}
	for i := range h.TypeHash {
		h.TypeHash[i] = byte(i)
	}
	return h
}

func goldenSamples() []record.Sample {
	return []record.Sample{
		{Number: 0, Seq: 0, Time: time.Unix(1700000001, 250), User: 7, Flags: 1, Data: []byte("first")},
		{Number: 1, Seq: 1, Time: time.Unix(1700000002, 0), Data: nil},
		{Number: 4, Seq: 3, Time: time.Unix(1700000003, 999999999), User: math.MaxUint64, Flags: math.MaxUint32, Data: []byte("eight by")},
	}
}

func write(t testing.TB, h *record.Header, samples []record.Sample) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := record.NewWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range samples {
		if err := w.Write(&samples[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(record.Ended, 1); err != nil {
		t.Fatal(err)
	}
	if w.Samples() != uint64(len(samples)) {
		t.Errorf("%d samples, want %d", w.Samples(), len(samples))
	}
	return b.Bytes()
}

// read gives what can be read, and how that ended.
func read(b []byte) ([]record.Sample, *record.Reader, error) {
	r, err := record.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, nil, err
	}
	var all []record.Sample
	for {
		s, err := r.Next()
		if err != nil {
			if _, again := r.Next(); again != err {
				panic("another error the second time")
			}
			return all, r, err
		}
		s.Data = append([]byte(nil), s.Data...)
		all = append(all, s)
	}
}

// TestGolden keeps the format what it is.
func TestGolden(t *testing.T) {
	got := write(t, goldenHeader(), goldenSamples())
	// The end has the time of writing.
	end := got[len(got)-64:]
	binary.LittleEndian.PutUint64(end[32:], 1700000004e9)
	resum(end)
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the format has changed:\n%s", d)
	}
	samples, r, err := read(want)
	if err != io.EOF {
		t.Fatal(err)
	}
	if d := cmp.Diff(goldenSamples(), samples); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(*goldenHeader(), r.Header); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(&record.End{Why: record.Ended, Samples: 3, Lost: 1, Time: time.Unix(1700000004, 0)}, r.End()); d != "" {
		t.Error(d)
	}
}

// resum makes the checksum of a record's header right.
func resum(b []byte) {
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], crc32.MakeTable(crc32.Castagnoli)))
}

// TestCut: a recording cut at any byte gives the whole samples before the cut.
func TestCut(t *testing.T) {
	whole := write(t, goldenHeader(), goldenSamples())
	header := int(binary.LittleEndian.Uint32(whole[24:]))
	ends := []int{header + 64 + 8, header + 64 + 8 + 64, header + 64 + 8 + 64 + 64 + 8}
	for n := range whole {
		samples, _, err := read(whole[:n])
		switch {
		case n < 8:
			if !errors.Is(err, sys.ErrCorrupt) {
				t.Fatalf("%d bytes: %v, want that it is no recording", n, err)
			}
			continue
		case !errors.Is(err, record.ErrCut):
			t.Fatalf("%d bytes: %v, want that it is cut off", n, err)
		}
		want := 0
		for _, e := range ends {
			if n >= e {
				want++
			}
		}
		if d := cmp.Diff(goldenSamples()[:want], samples); len(samples) != want || want > 0 && d != "" {
			t.Fatalf("%d bytes: %d samples, want %d\n%s", n, len(samples), want, d)
		}
	}
	// Zeros, as file systems leave them.
	samples, _, err := read(append(whole[:ends[1]:ends[1]], make([]byte, 4096)...))
	if !errors.Is(err, record.ErrCut) || len(samples) != 2 {
		t.Errorf("%d samples before zeros, %v", len(samples), err)
	}
	// What follows the end is not looked at.
	if samples, _, err := read(append(whole[:len(whole):len(whole)], "more"...)); err != io.EOF || len(samples) != 3 {
		t.Errorf("%d samples, %v", len(samples), err)
	}
}

// TestDamaged: no byte can change unnoticed, and what stands before it is
// good.
func TestDamaged(t *testing.T) {
	whole := write(t, goldenHeader(), goldenSamples())
	for n := range whole {
		b := bytes.Clone(whole)
		b[n] ^= 0x40
		samples, r, err := read(b)
		if err == io.EOF && n%8 != 0 {
			// Only padding has no checksum.
			if d := cmp.Diff(goldenSamples(), samples); d == "" && r.Header.Topic == "golden" && whole[n] == 0 {
				continue
			}
		}
		if !errors.Is(err, sys.ErrCorrupt) && !errors.Is(err, sys.ErrVersion) {
			t.Errorf("byte %d changed: %v", n, err)
		}
		for i, s := range samples {
			if d := cmp.Diff(goldenSamples()[i], s); d != "" {
				t.Errorf("byte %d changed: sample %d:\n%s", n, i, d)
			}
		}
	}
}

func TestVersions(t *testing.T) {
	b := write(t, goldenHeader(), goldenSamples())
	size := binary.LittleEndian.Uint32(b[24:])
	change := func(off int, v uint32) []byte {
		c := bytes.Clone(b)
		binary.LittleEndian.PutUint32(c[off:], v)
		binary.LittleEndian.PutUint32(c[28:], 0)
		binary.LittleEndian.PutUint32(c[28:], crc32.Checksum(c[:size], crc32.MakeTable(crc32.Castagnoli)))
		return c
	}
	if _, _, err := read(change(8, 2)); err != io.EOF {
		t.Errorf("a later version that this one can read: %v", err)
	}
	if _, _, err := read(change(12, 2)); !errors.Is(err, sys.ErrVersion) {
		t.Errorf("a later version: %v", err)
	}
	if _, _, err := read(change(16, 1)); !errors.Is(err, sys.ErrVersion) {
		t.Errorf("an unknown feature: %v", err)
	}
	if _, _, err := read(change(20, 1)); err != io.EOF {
		t.Errorf("a feature that may be ignored: %v", err)
	}
	// A record of an unknown kind is passed over.
	other := make([]byte, 64+8)
	other[0], other[8] = 77, 5
	resum(other)
	c := append(append(bytes.Clone(b[:size]), other...), b[size:]...)
	if samples, _, err := read(c); err != io.EOF || len(samples) != 3 {
		t.Errorf("%d samples beside an unknown record, %v", len(samples), err)
	}
	// One that says it is huge costs nothing.
	binary.LittleEndian.PutUint64(other[8:], 1<<61)
	resum(other)
	if _, _, err := read(append(bytes.Clone(b[:size]), other...)); !errors.Is(err, record.ErrCut) {
		t.Errorf("an unknown record of 2 EiB: %v", err)
	}
	long := goldenHeader()
	long.Topic = string(make([]byte, record.MaxText+1))
	if _, err := record.NewWriter(io.Discard, long); err == nil {
		t.Error("a topic's name that is too long is written")
	}
}

// TestRoundTrip: what is written comes back.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &record.Header{
			Topic: rapid.StringN(0, 200, 200).Draw(t, "topic"), Type: rapid.StringN(0, 192, 192).Draw(t, "type"),
			Began: time.Unix(0, rapid.Int64().Draw(t, "began")), Slots: rapid.Uint64().Draw(t, "slots"), Capacity: 5000,
			Align: rapid.Uint64().Draw(t, "align"), Patience: time.Duration(rapid.Int64().Draw(t, "patience")),
			Policy: rapid.Uint32().Draw(t, "policy"), Subscribers: rapid.Uint32().Draw(t, "subscribers"), Held: rapid.Uint32().Draw(t, "held"),
		}
		samples := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) record.Sample {
			return record.Sample{
				Number: rapid.Uint64().Draw(t, "number"), Seq: rapid.Uint64().Draw(t, "seq"), Time: time.Unix(0, rapid.Int64().Draw(t, "time")),
				User: rapid.Uint64().Draw(t, "user"), Flags: rapid.Uint32().Draw(t, "flags"),
				Data: rapid.SliceOfN(rapid.Byte(), 1, 5000).Draw(t, "data"),
			}
		}), 0, 20).Draw(t, "samples")
		var b bytes.Buffer
		w, err := record.NewWriter(&b, h)
		if err != nil {
			t.Fatal(err)
		}
		for i := range samples {
			if err := w.Write(&samples[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.End(record.Stopped, 0); err != nil {
			t.Fatal(err)
		}
		got, r, err := read(b.Bytes())
		if err != io.EOF {
			t.Fatal(err)
		}
		if d := cmp.Diff(*h, r.Header); d != "" {
			t.Error(d)
		}
		if len(samples) > 0 && !cmp.Equal(samples, got) {
			t.Error(cmp.Diff(samples, got))
		}
	})
}

// FuzzReader: whatever stands in a file, the reader ends, with an error that
// is one of those it promises.
func FuzzReader(f *testing.F) {
	whole, err := os.ReadFile(golden)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-70])
	f.Add([]byte(record.Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		samples, _, err := read(b)
		if err != io.EOF && !errors.Is(err, record.ErrCut) && !errors.Is(err, sys.ErrCorrupt) && !errors.Is(err, sys.ErrVersion) {
			t.Errorf("unexpected: %v", err)
		}
		if len(samples)*64 > len(b) {
			t.Errorf("%d samples in %d bytes", len(samples), len(b))
		}
	})
}
