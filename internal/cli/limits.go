package cli

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/sysv"
)

// jsonLimits is what `shm info --json` shows: bytes, unless a name says what
// else. What could not be found out, or has no limit, is left out.
type jsonLimits struct {
	SysV struct {
		MaxSegment  *uint64 `json:"max_segment,omitempty"` // shmmax
		MaxTotal    *uint64 `json:"max_total,omitempty"`   // shmall, in bytes
		MaxPages    *uint64 `json:"max_pages,omitempty"`   // shmall
		MaxSegments *uint64 `json:"max_segments,omitempty"`
		Segments    *int    `json:"segments,omitempty"`
		Pages       *uint64 `json:"pages,omitempty"` // each segment rounded up
		Total       *uint64 `json:"total,omitempty"` // the same in bytes
		Resident    *uint64 `json:"resident,omitempty"`
		Swapped     *uint64 `json:"swapped,omitempty"`
	} `json:"sysv"`
	POSIX struct {
		Dir   string  `json:"dir"`
		Size  *uint64 `json:"size,omitempty"`
		Used  *uint64 `json:"used,omitempty"`
		Free  *uint64 `json:"free,omitempty"`
		Error string  `json:"error,omitempty"`
	} `json:"posix"`
	Memory struct {
		Shared    *uint64 `json:"shared,omitempty"` // Shmem of /proc/meminfo: of all kinds together
		Total     *uint64 `json:"total,omitempty"`
		Available *uint64 `json:"available,omitempty"`
		HugeSize  *uint64 `json:"huge_page_size,omitempty"`
		HugeTotal *uint64 `json:"huge_pages,omitempty"`
		HugeFree  *uint64 `json:"huge_pages_free,omitempty"`
	} `json:"memory"`
	Cgroup struct {
		Limit *uint64 `json:"limit,omitempty"`
		Usage *uint64 `json:"usage,omitempty"`
	} `json:"cgroup"`
}

// limits finds out what there is. It asks each source by itself and goes on
// where one is refused, as sandboxes refuse shmctl.
func limits(dir string) *jsonLimits {
	l := new(jsonLimits)
	proc := procfs.Default
	page := uint64(os.Getpagesize())
	if lim, err := sysv.GetLimits(); err == nil {
		l.SysV.MaxSegment, l.SysV.MaxPages, l.SysV.MaxSegments = &lim.Max, &lim.Pages, &lim.Segments
	} else if lim, err := proc.ShmLimits(); err == nil {
		l.SysV.MaxSegment, l.SysV.MaxPages, l.SysV.MaxSegments = &lim.Max, &lim.All, &lim.MNI
	}
	if p := l.SysV.MaxPages; p != nil {
		l.SysV.MaxTotal = scaled(*p, page)
	}
	if use, err := sysv.GetUsage(); err == nil {
		l.SysV.Segments, l.SysV.Pages = &use.Segments, &use.Pages
		l.SysV.Resident, l.SysV.Swapped = scaled(use.Resident, page), scaled(use.Swapped, page)
	} else if list, err := sysv.List(); err == nil {
		n, pages := len(list), uint64(0)
		for _, s := range list {
			pages += (uint64(s.Size) + page - 1) / page
		}
		l.SysV.Segments, l.SysV.Pages = &n, &pages
	}
	if p := l.SysV.Pages; p != nil {
		l.SysV.Total = scaled(*p, page)
	}

	if dir == "" {
		dir = posix.DefaultDir
	}
	l.POSIX.Dir = dir
	if st, err := sys.StatfsPath(dir); err != nil {
		l.POSIX.Error = err.Error()
	} else {
		unit := uint64(st.BlockSize)
		used := (st.Blocks - st.Free) * unit
		l.POSIX.Used = &used
		if st.Blocks > 0 { // 0 is a tmpfs without a limit
			l.POSIX.Size, l.POSIX.Free = scaled(st.Blocks, unit), scaled(st.Avail, unit)
		}
	}

	if mi, err := proc.Meminfo(); err == nil {
		for name, to := range map[string]**uint64{
			"Shmem": &l.Memory.Shared, "MemTotal": &l.Memory.Total, "MemAvailable": &l.Memory.Available,
			"Hugepagesize": &l.Memory.HugeSize, "HugePages_Total": &l.Memory.HugeTotal, "HugePages_Free": &l.Memory.HugeFree,
		} {
			if v, ok := mi[name]; ok {
				*to = &v
			}
		}
	}
	if m, err := proc.MemoryLimit(procfs.Self); err == nil && m.Version != 0 {
		l.Cgroup.Usage = &m.Usage
		if m.Limit != procfs.NoLimit {
			l.Cgroup.Limit = &m.Limit
		}
	}
	return l
}

// spareMemory is how many bytes the machine and the control group can still
// give, as far as they say.
func spareMemory() int64 {
	spare := uint64(math.MaxInt64 - 1)
	proc := procfs.Default
	if mi, err := proc.Meminfo(); err == nil && mi["MemAvailable"] > 0 {
		spare = min(spare, mi["MemAvailable"])
	}
	if m, err := proc.MemoryLimit(procfs.Self); err == nil && m.Limit != procfs.NoLimit {
		room := m.Room()
		if st, err := m.Stat(); err == nil {
			room = min(room+st.Reclaimable(), m.Limit)
		}
		spare = min(spare, room)
	}
	return int64(spare)
}

// scaled is n units in bytes, as much as fits.
func scaled(n, unit uint64) *uint64 {
	if unit != 0 && n > math.MaxUint64/unit {
		n = math.MaxUint64
	} else {
		n *= unit
	}
	return &n
}

func runLimits(env *Env, asJSON bool) error {
	l := limits(env.dir())
	if asJSON {
		return writeJSON(env.Stdout, l, true)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	section := func(name string) {
		w.Flush()
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(name + "\n")
	}
	line := func(name, value string) { fmt.Fprintf(w, "  %s\t%s\n", name, value) }
	bytes := func(name string, n *uint64) {
		switch {
		case n == nil:
		case *n >= math.MaxInt64:
			line(name, "no limit")
		default:
			line(name, bothSizes(int64(*n)))
		}
	}
	section("System V")
	if n := l.SysV.Segments; n != nil {
		text := plural(*n, "segment")
		if l.SysV.MaxSegments != nil {
			text += fmt.Sprintf(" of %d at most (shmmni)", *l.SysV.MaxSegments)
		}
		line("exist", text)
	}
	bytes("sizes together", l.SysV.Total)
	bytes("in memory", l.SysV.Resident)
	if n := l.SysV.Swapped; n != nil && *n > 0 {
		bytes("on swap", n)
	}
	bytes("one segment at most (shmmax)", near(l.SysV.MaxSegment))
	bytes("all together at most (shmall)", near(l.SysV.MaxTotal))
	section("POSIX: " + procfs.Printable(l.POSIX.Dir))
	if l.POSIX.Error != "" {
		line("not available", l.POSIX.Error)
	}
	bytes("used", l.POSIX.Used)
	if l.POSIX.Error == "" && l.POSIX.Size == nil {
		line("size", "no limit")
	}
	bytes("size", l.POSIX.Size)
	bytes("free", l.POSIX.Free)
	section("This machine")
	bytes("shared memory of all kinds", l.Memory.Shared)
	bytes("memory", l.Memory.Total)
	bytes("available", l.Memory.Available)
	if n := l.Memory.HugeTotal; n != nil && l.Memory.HugeSize != nil && l.Memory.HugeFree != nil {
		line("huge pages", fmt.Sprintf("%d of %s, %d free", *n, humanSize(int64(*l.Memory.HugeSize)), *l.Memory.HugeFree))
	}
	if l.Cgroup.Usage != nil {
		section("This control group")
		bytes("used", l.Cgroup.Usage)
		if l.Cgroup.Limit == nil {
			line("limit", "none")
		}
		bytes("limit", l.Cgroup.Limit)
	}
	w.Flush()
	_, err := io.WriteString(env.Stdout, b.String())
	return err
}

// near takes what is within a 256th of the largest number, as the kernel's
// defaults are, for no limit.
func near(n *uint64) *uint64 {
	if n == nil || *n < math.MaxUint64/256*255 {
		return n
	}
	most := uint64(math.MaxUint64)
	return &most
}
