// Package c tests the headers for C beside it, against Go: shm_net.h, which
// connects and listens over shared memory as package shmnet does.
//
// Nothing is imported from here.
package c
