package wait

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pin binds every thread of this process to one processor, which the Go
// runtime does not notice.
func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	bound := make(map[string]bool)
	for fresh := true; fresh; { // a thread may have started one meanwhile
		fresh = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
				return err
			}
			fresh = fresh || !bound[task.Name()]
			bound[task.Name()] = true
		}
	}
	return nil
}

// allowed gives the processors on which this thread may run.
func allowed() (cpus []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
