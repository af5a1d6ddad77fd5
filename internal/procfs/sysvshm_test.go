package procfs

import (
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

// formatSysvShm writes segs as the kernel does.
func formatSysvShm(segs []SysvShm, usage bool) string {
	var b strings.Builder
	b.WriteString("       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime")
	if usage {
		b.WriteString("                   rss                  swap")
	}
	b.WriteString("\n")
	for _, s := range segs {
		fmt.Fprintf(&b, "%10d %10d  %4o %21d %5d %5d  %5d %5d %5d %5d %5d %10d %10d %10d",
			s.Key, s.ID, s.Perms, s.Size, s.CPID, s.LPID, s.Nattch, s.UID, s.GID, s.CUID, s.CGID,
			uint64(s.Atime), uint64(s.Dtime), uint64(s.Ctime))
		if usage {
			fmt.Fprintf(&b, " %21d %21d", s.RSS, s.Swap)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestParseSysvShm(t *testing.T) {
	t.Run("SV-140", func(t *testing.T) {
		got := parseFixture(t, "sysvipc_shm", ParseSysvShm)
		const now = 1795308474
		want := []SysvShm{
			{Key: 0x1234abcd, ID: 0, Perms: 0o640, Size: 8192, CPID: 11614, LPID: 11614, Nattch: 2, Atime: now, Ctime: now, RSS: 8192, HasUsage: true},
			{Key: 0, ID: 1, Perms: 0o600 | ShmDest, Size: 5 << 30, CPID: 11614, LPID: 11614, Nattch: 2, Atime: now, Ctime: now, RSS: 4096, HasUsage: true},
			{Key: -2, ID: 2, Perms: 0o666 | ShmLocked, Size: 100, CPID: 11614, LPID: 11614, Nattch: 2, Atime: now, Ctime: now, HasUsage: true},
			{Key: 0x7fffffff, ID: 3, Perms: 0o666, Size: 100, CPID: 11614, Ctime: now, HasUsage: true},
			{Key: 0x4242, ID: 4, Perms: 0o600, Size: 2 << 20, CPID: 11614, LPID: 11614, Nattch: 2, Atime: now, Ctime: now, RSS: 1 << 30, HasUsage: true},
		}
		diff(t, want, got)
		if got[0].Dest() || !got[1].Dest() || got[1].Locked() || !got[2].Locked() {
			t.Error("Dest or Locked disagrees with Perms")
		}
		if hex := fmt.Sprintf("0x%08x", uint32(got[2].Key)); hex != "0xfffffffe" {
			t.Errorf("the key -2 prints as %s", hex)
		}
	})

	for _, name := range []string{"SV-142", "CLI-056"} {
		t.Run(name, func(t *testing.T) {
			const n = 200
			segs := make([]SysvShm, n)
			for i := range segs {
				segs[i] = SysvShm{Key: int32(i), ID: int32(i*32768 + i), Size: uint64(i + 1), HasUsage: true}
			}
			// Rows repeated where two reads met, as kernels 5.3 to 5.7 did.
			repeated := append(append([]SysvShm{}, segs[:120]...), segs[100:]...)
			got, err := ParseSysvShm(iotest.HalfReader(strings.NewReader(formatSysvShm(repeated, true))))
			if err != nil {
				t.Fatal(err)
			}
			diff(t, segs, got)
		})
	}

	t.Run("columns by name", func(t *testing.T) {
		seg := SysvShm{Key: 7, ID: 9, Perms: 0o600, Size: 4096, UID: 1000, Ctime: 5}
		got, err := ParseSysvShm(strings.NewReader(formatSysvShm([]SysvShm{seg}, false)))
		if err != nil {
			t.Fatal(err)
		}
		diff(t, []SysvShm{seg}, got)

		in := "shmid future key perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime swap rss more\n" +
			"9 xyz 7 600 4096 0 0 0 1000 0 0 0 0 0 5 11 22 and so on\n"
		got, err = ParseSysvShm(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		seg.Swap, seg.RSS, seg.HasUsage = 11, 22, true
		diff(t, []SysvShm{seg}, got)
	})

	t.Run("no segments", func(t *testing.T) {
		got, err := ParseSysvShm(strings.NewReader(formatSysvShm(nil, true)))
		if err != nil || len(got) != 0 {
			t.Errorf("got %v, %v", got, err)
		}
	})

	header := strings.SplitAfter(formatSysvShm(nil, false), "\n")[0]
	row := " 1 2 600 3 4 5 6 7 8 9 10 11 12 13\n"
	for _, c := range []struct {
		name, in string
		line     int
		want     string
	}{
		{"empty", "", 1, "a header line"},
		{"no column", strings.Replace(header, "nattch", "natch", 1), 1, "a column nattch"},
		{"column twice", strings.Replace(header, "lpid", "cpid", 1), 1, "column cpid once"},
		{"short row", header + row + "1 2 600\n", 3, "a number for size"},
		{"blank row", header + "\n", 2, "a number for key"},
		{"key too large", header + strings.Replace(row, " 1 ", " 2147483648 ", 1), 2, "a number for key"},
		{"negative size", header + strings.Replace(row, " 3 ", " -3 ", 1), 2, "a number for size"},
		{"perms not octal", header + strings.Replace(row, "600", "680", 1), 2, "a number for perms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseSysvShm(strings.NewReader(c.in))
			wantParseError(t, err, "sysvipc/shm", c.line, c.want)
		})
	}
}
