// Package mem is memory that other processes can write: a Region of bytes
// outside Go's heap, typed views of it, the guard that turns a memory fault
// into an error, and the gate that keeps a mapping alive while it is used.
//
// With internal/sys it is the only package that uses unsafe, in files named
// *_unsafe.go. Every algorithm on a Region also runs on one from the heap
// (Heap), because the race detector is blind to mapped memory.
package mem
