package mapping_test

import "runtime"

// collect runs the garbage collector until what could be freed is freed.
func collect() {
	for range 3 {
		b := make([]byte, 1<<20)
		runtime.KeepAlive(b)
		runtime.GC()
	}
}
