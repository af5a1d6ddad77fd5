package procfs

import (
	"strings"
	"testing"
)

// BenchmarkMaps reads the mappings of 300 processes with 37 mappings each and
// keeps what is shared, as a lister does.
func BenchmarkMaps(b *testing.B) {
	text := fixture(b, "maps")
	b.SetBytes(int64(len(text)) * 300)
	b.ReportAllocs()
	for b.Loop() {
		shared := 0
		for range 300 {
			for m, err := range Maps(strings.NewReader(text)) {
				if err != nil {
					b.Fatal(err)
				}
				if m.Shared() && m.Kind() == KindSysV {
					shared++
				}
			}
		}
		if shared != 300*4 {
			b.Fatal(shared)
		}
	}
}

// BenchmarkSmaps reads the costs of one process' 37 mappings.
func BenchmarkSmaps(b *testing.B) {
	text := fixture(b, "smaps")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range Smaps(strings.NewReader(text)) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSysvShm parses 1,000 segments.
func BenchmarkSysvShm(b *testing.B) {
	segs := make([]SysvShm, 1000)
	for i := range segs {
		segs[i] = SysvShm{Key: int32(i), ID: int32(i), Perms: 0o600, Size: 1 << 20, CPID: 4711, Nattch: 1, Ctime: 1795308474, RSS: 4096}
	}
	text := formatSysvShm(segs, true)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if got, err := ParseSysvShm(strings.NewReader(text)); err != nil || len(got) != len(segs) {
			b.Fatal(len(got), err)
		}
	}
}

// BenchmarkMountinfo parses a small mount table.
func BenchmarkMountinfo(b *testing.B) {
	text := fixture(b, "mountinfo")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMountinfo(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
