// Package clients holds peers of topics and of connections in other languages,
// and the tests that run them against Go: clients/c/shm_topic.h, one header
// that publishes, subscribes and observes; clients/python/shmtopic.py, which
// observes; and clients/c/shm_net.h, which connects and listens.
package clients

import _ "embed"

// Header is clients/c/shm_topic.h, for who builds a C peer on the spot.
//
//go:embed c/shm_topic.h
var Header string
