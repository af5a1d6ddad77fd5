package wait

import (
	"runtime/debug"
	"sync"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Bell is where sleepers say that they sleep. Everybody who may sleep can
// write it, so nothing but delay depends on it.
type Bell struct {
	// Flag is 1 when somebody sleeps or is about to.
	Flag *uint32
	// FenceFree is, where not nil, the word in which the waker says that it
	// is registered with membarrier(2) and therefore does not fence.
	FenceFree *uint32
}

// Arm raises the flag and makes sure that whoever changes something and does
// not see the flag has made a change that the caller sees. False means that
// this is not sure: the flag's page is gone, or there is no membarrier here.
//
// SYNC POINT: sleep. It meets Waker.Wake: there the change comes first, then
// a full fence, then the flag; here the flag, then a full fence, then the
// look. So one of the two sees the other. Where the waker leaves its fence
// out, membarrier puts one into every thread of it that runs at this moment,
// and those that do not run have passed one when they were switched out.
func (b *Bell) Arm() bool {
	if !b.raise() {
		return false
	}
	mem.FullFence()
	if b.FenceFree == nil || mem.LoadAcquire32(b.FenceFree) != 1 {
		return true
	}
	_, err := sys.Membarrier(sys.MEMBARRIER_CMD_GLOBAL_EXPEDITED)
	return err == nil
}

// raise sets the flag, and is false where the memory is gone: anybody who may
// ring can have cut the file off, which must not hurt others.
func (b *Bell) raise() (ok bool) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if !ok {
			p := recover()
			if f, is := p.(interface{ Addr() uintptr }); !is || f.Addr() != mem.Addr(b.Flag) {
				panic(p)
			}
		}
	}()
	mem.Swap32(b.Flag, 1)
	return true
}

// FenceFree registers this process with membarrier(2), and reports whether
// that went well: then a Waker of this process needs no fence, once it has
// said so in the word that sleepers look at (Bell.FenceFree).
var FenceFree = sync.OnceValue(func() bool {
	_, err := sys.Membarrier(sys.MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED)
	return err == nil
})
