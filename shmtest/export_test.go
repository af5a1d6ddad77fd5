package shmtest

import "time"

// Again is Main in a process whose Main has run a handler.
func Again(m TestingM) int {
	entered = false
	return Main(m)
}

// SetGrace shortens what tests that expect leaks wait for.
func SetGrace(d time.Duration) { grace = d }

var (
	Grace        = grace
	ParseMapping = parseMapping
	ParseStat    = parseStat
	ReadSysctl   = readSysctl
	HugePages    = func() (total, available int, err error) {
		info, err := hugePages()
		return info.total, info.available(), err
	}
)
