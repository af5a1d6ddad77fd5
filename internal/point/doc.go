// Package point numbers the steps of a program that other processes can see:
// stores to shared memory, and system calls that make, name, lock or remove
// files. Every such step goes through Pass, which does nothing at all unless
// the program is built with the tag shmpoint; then whoever calls Watch is told
// of each step before it is done, and may end the process there.
//
// Nobody places points by hand. internal/mem has the only functions that
// store, internal/sys the only system calls, and they pass.
package point
