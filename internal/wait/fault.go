package wait

import (
	"runtime/debug"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// look calls ready and turns a fault in our memory into an error.
func (s *Sleeper) look(ready func() bool) (ok bool, err error) {
	if len(s.config.Regions) == 0 {
		return ready(), nil
	}
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			f, is := p.(interface{ Addr() uintptr })
			if !is {
				panic(p)
			}
			if err = s.faultAt(f.Addr()); err == syscall.EFAULT {
				panic(p)
			}
		}
	}()
	return ready(), nil
}

// faultAt gives a *mem.Fault, or EFAULT for an address that is not ours.
func (s *Sleeper) faultAt(addr uintptr) error {
	for _, r := range s.config.Regions {
		if r.Contains(addr) {
			return &mem.Fault{Addr: addr, Off: int64(addr - r.Addr())}
		}
	}
	return syscall.EFAULT
}
