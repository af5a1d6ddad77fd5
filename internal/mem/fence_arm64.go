//go:build !race

package mem

// FullFence lets nothing move across it, in neither direction.
func FullFence()

// StoreFence lets no later store move before an earlier one.
func StoreFence()

// StoreFenceNT is StoreFence for where the stores on either side may be
// non-temporal.
func StoreFenceNT()

// LoadFence lets no later load, and no later store, move before an earlier
// load.
func LoadFence()
