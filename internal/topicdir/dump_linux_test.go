package topicdir

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
)

// dumped gives the parts of a dump by name and file.
func dumped(t *testing.T, dir string) map[string][]*Part {
	t.Helper()
	all := make(map[string][]*Part)
	if err := Dump("x", &OpenOptions{Dir: dir}, func(p *Part) error {
		all[p.Name] = append(all[p.Name], p)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func field(p *Part, key string) any {
	for _, f := range p.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return nil
}

func TestDump(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", Private, 0)
	m := join(t, openTopic(t, dir, "x"))
	admit(o, m.ID, 1)
	le.PutUint64(o.Data.Bytes()[o.Layout.Hot+HotHead:], 7)
	for number, stamp := range map[int64]uint64{5: 1<<52 | 5<<2 | 1, 6: 2<<52 | 6<<2 | 2, 7: 1<<52 | 7<<2 | 3} {
		le.PutUint64(o.Data.Bytes()[o.Layout.Slot(number)+SlotStamp:], stamp)
	}
	all := dumped(t, dir)
	for _, parts := range all {
		for _, p := range parts {
			if p.Problem != nil {
				t.Errorf("%+v", p)
			}
		}
	}
	if len(all["header"]) != 4 || len(all["entry"]) != 1 || len(all["slot"]) != 3 || len(all["subscriber"]) != 1 {
		t.Fatalf("%+v", all)
	}
	if e := all["entry"][0]; field(e, "index") != uint64(1) || field(e, "id") != m.ID.String() || field(e, "generation") != uint64(5) || field(e, "kind") != "admitted" {
		t.Errorf("%+v", e)
	}
	for i, want := range []string{"shown", "of a replaced publisher", "not shown"} {
		if p := all["slot"][i]; field(p, "number") != uint64(5+i) || field(p, "state") != want {
			t.Errorf("%+v, want %s", p, want)
		}
	}
	m.Leave()
	stop := errors.New("enough")
	if err := Dump("x", &OpenOptions{Dir: dir}, func(*Part) error { return stop }); err != stop {
		t.Error(err)
	}
	o.Remove()
	wantErr(t, Dump("x", &OpenOptions{Dir: dir}, nil), fs.ErrNotExist)
}

// TestDumpScribbled: no bytes in any file make a dump fail, whatever it shows
// of them.
func TestDumpScribbled(t *testing.T) {
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", Private, 0)
	join(t, openTopic(t, dir, "x")).Leave()
	o.Close()
	files, err := filepath.Glob(o.Path() + "/*")
	if err != nil || len(files) != 5 {
		t.Fatalf("%q, %v", files, err)
	}
	original := make(map[string][]byte)
	for _, f := range files {
		if original[f], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wrong := 0
	for range 500 {
		for f, whole := range original {
			b := append([]byte(nil), whole...)
			if len(b) > 0 {
				// Where the words are that others are found by, most of all.
				for range 1 + rand.IntN(4) {
					at := rand.IntN(min(len(b), 1+rand.IntN(len(b))))
					b[at] = byte(rand.Uint32())
				}
				if rand.IntN(8) == 0 {
					b = b[:rand.IntN(len(b))]
				}
			}
			if err := os.WriteFile(f, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, parts := range dumped(t, dir) {
			for _, p := range parts {
				if p.Problem != nil {
					wrong++
				}
			}
		}
	}
	if wrong == 0 {
		t.Error("nothing was found wrong")
	}
	t.Logf("%d parts were wrong", wrong)
	if err := Remove("x", &RemoveOptions{Dir: dir}); err != nil && !errors.Is(err, sys.ErrCorrupt) {
		t.Error(err)
	}
}
