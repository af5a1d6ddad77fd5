//go:build amd64 || arm64

package mem

// HasTicks says that there is a counter to read: Ticks.
const HasTicks = true

// Ticks reads the processor's own counter (RDTSC, CNTVCT_EL0), which takes a
// fraction of what reading a clock takes. Its rate is not known, it may differ
// between processors, and the reading may be out of order with what stands
// around it. It tells whether it is worth while to read a clock, and no more.
func Ticks() uint64
