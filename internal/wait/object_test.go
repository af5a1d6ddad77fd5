package wait

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// object is what the tests wait for: a number that grows, and its bell. The
// words stand as far apart as in a real layout.
type object struct {
	region mem.Region
	head   *uint64
	word   *uint32
	free   *uint32
	flag   *uint32
}

const objectSize = 4096

func newObject(t testing.TB, r mem.Region) *object {
	t.Helper()
	o := &object{region: r}
	var err [4]error
	o.head, err[0] = mem.Pointer[uint64](r, 0)
	o.word, err[1] = mem.Pointer[uint32](r, 128)
	o.free, err[2] = mem.Pointer[uint32](r, 132)
	o.flag, err[3] = mem.Pointer[uint32](r, 256)
	for _, err := range err {
		if err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// heapObject is one that the race detector sees.
func heapObject(t testing.TB) *object { return newObject(t, mem.Heap(objectSize)) }

// memfd makes memory for objects, to be mapped by several processes.
func memfd(t testing.TB, pages int) *os.File {
	t.Helper()
	fd, err := sys.MemfdCreate("wait", sys.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "wait")
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(int64(pages) * objectSize); err != nil {
		t.Fatal(err)
	}
	return f
}

type fatal interface{ Fatal(args ...any) }

// mapFile maps a page of f.
func mapFile(t fatal, f *os.File, page, prot int) mem.Region {
	addr, err := sys.Mmap(0, objectSize, prot, sys.MAP_SHARED, int(f.Fd()), int64(page)*objectSize)
	if err != nil {
		t.Fatal(err)
	}
	return mem.At(addr, objectSize)
}

// mapObject maps the object in a page of f, until the test ends.
func mapObject(t testing.TB, f *os.File, page int) *object {
	t.Helper()
	r := mapFile(t, f, page, sys.PROT_READ|sys.PROT_WRITE)
	t.Cleanup(func() { sys.Munmap(r.Addr(), objectSize) })
	return newObject(t, r)
}

func (o *object) bell() *Bell { return &Bell{Flag: o.flag, FenceFree: o.free} }

func (o *object) sleeper(t testing.TB, c Config) *Sleeper {
	c.Word = o.word
	c.Arm = o.bell().Arm
	c.Regions = []mem.Region{o.region}
	s := New(c)
	t.Cleanup(func() { s.Close() })
	return s
}

// waker gives the object's one waker. free: it leaves its fence out.
func (o *object) waker(t testing.TB, free bool) *Waker {
	if free && !FenceFree() {
		t.Skip("no membarrier here")
	}
	if free {
		atomic.StoreUint32(o.free, 1)
	}
	return &Waker{Word: o.word, Flag: o.flag, FenceFree: free}
}

// publish raises the head to n.
func (o *object) publish(w *Waker, n uint64) {
	mem.StoreRelease64(o.head, n)
	w.Wake()
}

// past is the condition that n was published.
func (o *object) past(n uint64) func() bool {
	return func() bool { return mem.LoadAcquire64(o.head) >= n }
}

// eventually waits for what no event tells of.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}
