// Package clients holds peers of topics in other languages, and the tests
// that run them against Go: clients/c/shm_topic.h, one header that publishes,
// subscribes and observes, and clients/python/shmtopic.py, which observes.
package clients

import _ "embed"

// Header is clients/c/shm_topic.h, for who builds a C peer on the spot.
//
//go:embed c/shm_topic.h
var Header string
