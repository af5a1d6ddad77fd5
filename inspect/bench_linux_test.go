package inspect_test

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// crowd makes 1,000 segments, half of them System V and half POSIX, and 300
// processes: 50 of Go that attach 10 segments and map 10 objects each, and 250
// small ones with a descriptor of an object.
func crowd(b *testing.B) {
	b.Helper()
	const n = 500
	var ids []sysv.ID
	var names []string
	b.Cleanup(func() {
		for _, id := range ids {
			sysv.Remove(id)
		}
		for _, name := range names {
			posix.Unlink(name, nil)
		}
	})
	base := "/" + shmtest.Name(b)
	for i := range n {
		id, err := sysv.Get(sysv.IPC_PRIVATE, 4096, 0o600)
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
		o, err := posix.CreateSized(base+"."+strconv.Itoa(i), 4096, 0o600, nil)
		if err != nil {
			b.Fatal(err)
		}
		names = append(names, o.Name())
		o.Close()
	}
	var children []*shmtest.Process
	for i := range 50 {
		args := make([]string, 0, 20)
		for j := range 10 {
			args = append(args, ids[(i*10+j)%n].String(), names[(i*10+j)%n])
		}
		children = append(children, shmtest.Start(b, "hold", args...))
	}
	for _, p := range children {
		p.Expect("ready")
	}
	in, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	var small []*exec.Cmd
	b.Cleanup(func() {
		w.Close()
		for _, c := range small {
			c.Wait()
		}
		in.Close()
		for _, p := range children {
			p.Wait()
		}
	})
	for i := range 250 {
		f, err := os.Open(posix.DefaultDir + names[i%n])
		if err != nil {
			b.Fatal(err)
		}
		c := exec.Command("cat")
		c.Stdin, c.ExtraFiles = in, []*os.File{f}
		err = c.Start()
		f.Close()
		if err != nil {
			b.Fatal(err)
		}
		small = append(small, c)
	}
}

// BenchmarkScan measures what listing a busy host takes: the promise is 0.3 s
// for the whole command.
func BenchmarkScan(b *testing.B) {
	shmtest.NeedIsolation(b)
	crowd(b)
	for _, bm := range []struct {
		name string
		opts *inspect.Options
	}{
		{"all", nil},
		{"sysv", &inspect.Options{Kinds: []inspect.Kind{inspect.KindSysV}}},
		{"no-holders", &inspect.Options{NoHolders: true}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			var snap *inspect.Snapshot
			for b.Loop() {
				snap = scan(b, bm.opts)
			}
			holders := 0
			for _, o := range snap.Objects {
				holders += len(o.Holders)
			}
			b.ReportMetric(float64(len(snap.Objects)), "objects")
			b.ReportMetric(float64(holders), "holders")
		})
	}
}
