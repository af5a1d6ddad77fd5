// Package clients holds peers of topics in other languages, and the tests
// that run them against Go: clients/c/shm_topic.h, one header that publishes,
// subscribes and observes, and clients/python/shmtopic.py, which observes.
//
// Nothing is imported from here.
package clients
