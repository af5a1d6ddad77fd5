//go:build !(amd64 || arm64)

package mem

// HasTicks says that there is a counter to read: Ticks.
const HasTicks = false

// Ticks gives 0 on this machine.
func Ticks() uint64 { return 0 }
