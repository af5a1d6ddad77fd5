package shmtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// NeedHugePages sees to it that n huge pages of 2 MiB, the default size, are
// free until the test is over: it reserves what is missing and gives it back.
// It skips the test where that cannot be. See Sysctl about the lock.
func NeedHugePages(t testing.TB, n int) {
	t.Helper()
	lockMachine(t)
	info, err := hugePages()
	if err != nil {
		t.Skipf("needs huge pages: %v", err)
	}
	if info.sizeKiB != 2048 {
		t.Skipf("needs huge pages of 2048 KiB: they have %d KiB here", info.sizeKiB)
	}
	if info.available() >= n {
		return
	}
	if missing := n - info.available(); missing > info.roomKiB/info.sizeKiB {
		// Asked all the same, the kernel would push everything else out.
		t.Skipf("needs %d huge pages of 2 MiB: %d more than are free, and %d MiB of memory are available",
			n, missing, info.roomKiB>>10)
	}
	setSysctl(t, "vm.nr_hugepages", strconv.Itoa(info.total+n-info.available()))
	if info, err = hugePages(); err != nil {
		t.Fatalf("shmtest: %v", err)
	}
	if info.available() < n {
		t.Skipf("needs %d huge pages of 2 MiB: the kernel found memory for %d", n, info.available())
	}
}

// hugePageInfo is the pool of the default size, in pages, and the memory that
// is available without swapping.
type hugePageInfo struct {
	sizeKiB, total, free, reserved, roomKiB int
}

// available: pages are reserved when they are mapped and leave the free ones
// when they are touched.
func (i hugePageInfo) available() int { return i.free - i.reserved }

// hugePages reads /proc/meminfo.
func hugePages() (hugePageInfo, error) {
	var info hugePageInfo
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return info, err
	}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		target := map[string]*int{
			"Hugepagesize": &info.sizeKiB, "HugePages_Total": &info.total,
			"HugePages_Free": &info.free, "HugePages_Rsvd": &info.reserved,
			"MemAvailable": &info.roomKiB,
		}[name]
		if target == nil {
			continue
		}
		if *target, err = strconv.Atoi(strings.Fields(rest)[0]); err != nil {
			return info, fmt.Errorf("/proc/meminfo: %w", err)
		}
	}
	if info.sizeKiB == 0 {
		return info, fmt.Errorf("the kernel has none")
	}
	return info, nil
}
