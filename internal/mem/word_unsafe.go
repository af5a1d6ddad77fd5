package mem

import "unsafe"

// Addr gives the address of a word, for system calls that take one. It says
// nothing about how long the word stays: keep p.
func Addr[W uint32 | uint64](p *W) uintptr { return uintptr(unsafe.Pointer(p)) }
