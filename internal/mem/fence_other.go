//go:build race || !(amd64 || arm64)

package mem

import "sync/atomic"

// FullFence lets nothing move across it: what sync/atomic reads, changes and
// writes at once is ordered with everything before and after.
func FullFence() {
	var own uint32
	atomic.AddUint32(&own, 1)
}

// StoreFence lets no later store move before an earlier one.
func StoreFence() { FullFence() }

// StoreFenceNT is StoreFence for where the stores on either side may be
// non-temporal.
func StoreFenceNT() { FullFence() }

// LoadFence lets no later load move before an earlier one.
func LoadFence() { FullFence() }
