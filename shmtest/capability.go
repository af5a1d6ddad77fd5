package shmtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Cap is a capability, see capabilities(7).
type Cap int

// The capabilities that shared memory has to do with.
const (
	CapChown       Cap = 0
	CapDACOverride Cap = 1
	CapFOwner      Cap = 3
	CapKill        Cap = 5
	CapSetPCap     Cap = 8
	CapIPCLock     Cap = 14
	CapIPCOwner    Cap = 15
	CapSysPtrace   Cap = 19
	CapSysAdmin    Cap = 21
	CapSysResource Cap = 24
)

var capNames = map[Cap]string{
	CapChown: "CAP_CHOWN", CapDACOverride: "CAP_DAC_OVERRIDE", CapFOwner: "CAP_FOWNER", CapKill: "CAP_KILL",
	CapSetPCap: "CAP_SETPCAP", CapIPCLock: "CAP_IPC_LOCK", CapIPCOwner: "CAP_IPC_OWNER",
	CapSysPtrace: "CAP_SYS_PTRACE", CapSysAdmin: "CAP_SYS_ADMIN", CapSysResource: "CAP_SYS_RESOURCE",
}

// String returns the name, such as CAP_IPC_LOCK.
func (c Cap) String() string {
	if name, ok := capNames[c]; ok {
		return name
	}
	return fmt.Sprintf("capability %d", int(c))
}

// NeedCap skips the test unless the process has every one of caps in its
// effective set.
func NeedCap(t testing.TB, caps ...Cap) {
	t.Helper()
	if len(caps) == 0 {
		return
	}
	effective, err := effectiveCaps()
	if err != nil {
		t.Skipf("needs capabilities: %v", err)
	}
	for _, c := range caps {
		if effective>>uint(c)&1 == 0 {
			t.Skipf("needs %v: running as uid %d without it", c, os.Geteuid())
		}
	}
}

func effectiveCaps() (uint64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no CapEff")
}
