package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

// GetAffinity is sched_getaffinity(2): the processors on which thread tid may
// run, 0 for the calling one.
func GetAffinity(tid int) (cpus []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &set); err != nil {
		return nil, err
	}
	for cpu := range 8 * len(set) * 8 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// SetAffinity is sched_setaffinity(2): thread tid runs on this processor
// alone. The Go runtime does not notice.
func SetAffinity(tid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(tid, &set)
}

// ThreadCPU is how long the calling thread has had a processor.
func ThreadCPU() (time.Duration, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano()), err
}
