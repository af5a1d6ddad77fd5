// Package sys holds the system calls that shared memory needs, as thin as
// they can be: arguments in, an errno out. It is the only package of the
// module that imports golang.org/x/sys/unix, and with internal/mem the only
// one that uses unsafe.
//
// Everything is implemented on Linux for 64-bit little-endian machines.
// Elsewhere every call compiles and answers ErrPlatform.
package sys
