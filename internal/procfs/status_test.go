package procfs

import (
	"strings"
	"testing"
)

func TestParseStatus(t *testing.T) {
	diff(t, &Status{
		Name: "a) R 1 (b\nc", State: 'S', TGID: 11614, PID: 11614, PPID: 11600, NSPID: []int{11614}, Threads: 1,
		VMSize: 5247480 << 10, VMLocked: 4 << 10, VMRSS: 1600 << 10, RSSShmem: 40 << 10, HugetlbPages: 2 << 20, CapEff: 0x1fffeffffff,
	}, parseFixture(t, "status", ParseStatus))

	got, err := ParseStatus(strings.NewReader("Name:\tx\\\\ny\\q: z \nPid:\t5\nUid:\t1\t2\t3\t4294967295\nGid:\t5\t6\t7\t8\nNSpid:\t5\t1\n"))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, &Status{
		Name: `x\ny\q: z `, PID: 5, UID: IDs{1, 2, 3, 1<<32 - 1}, GID: IDs{5, 6, 7, 8}, NSPID: []int{5, 1},
	}, got)
	if !got.Contained() {
		t.Error("two ids mean a pid namespace below")
	}
}

func TestParseStatusErrors(t *testing.T) {
	for _, c := range []struct {
		in   string
		line int
		want string
	}{
		{"", 1, "Pid, Uid and Gid"},
		{"Pid:\t1\nUid:\t0\t0\t0\t0\n", 3, "Pid, Uid and Gid"},
		{"Pid 1\n", 1, "KEY: VALUE"},
		{"Pid:\t-1\n", 1, "Pid"},
		{"Uid:\t0\t0\t0\n", 1, "four user ids"},
		{"Gid:\t0\t0\t0\tx\n", 1, "four group ids"},
		{"NSpid:\t\n", 1, "process ids"},
		{"NSpid:\t1 x\n", 1, "process ids"},
		{"State:\tSleeping\n", 1, "one letter"},
		{"RssShmem:\t1 MB\n", 1, "RssShmem"},
		{"CapEff:\txyz\n", 1, "hexadecimal"},
	} {
		_, err := ParseStatus(strings.NewReader(c.in))
		wantParseError(t, err, "status", c.line, c.want)
	}
}
