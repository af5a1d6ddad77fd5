package inspect

import (
	"os"
	"strconv"

	"github.com/seed-298b2b26/shm/internal/procfs"
)

// processes looks into every process. Its error is the context's.
func (s *scan) processes() error {
	pids, err := s.root.PIDs()
	if err != nil {
		s.reason(Reason{Code: ReasonProc, Err: err})
		return nil
	}
	s.judgeView()
	for _, pid := range pids {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		s.process(pid)
	}
	return nil
}

// initialPIDNamespace is the inode of the pid namespace in which the machine
// started, from which every process can be seen (PROC_PID_INIT_INO).
const initialPIDNamespace = 0xeffffffc

// capSysPtrace is CAP_SYS_PTRACE, to which /proc hides nothing.
const capSysPtrace = 19

// judgeView notes what /proc does not even list.
func (s *scan) judgeView() {
	if ns, err := s.root.Namespace(1, "pid"); err == nil && ns.Inode != initialPIDNamespace {
		s.reason(Reason{Code: ReasonNamespace})
	} else if own, e := s.root.Namespace(procfs.Thread, "pid"); err != nil && (e != nil || own.Inode != initialPIDNamespace) {
		s.reason(Reason{Code: ReasonNamespace})
	}
	mounts, err := s.root.Mounts(procfs.Thread)
	if err != nil {
		return
	}
	at := mounts.Find(s.opts.Proc)
	if at == nil {
		return
	}
	switch mode, _ := at.SuperOption("hidepid"); mode {
	case "2", "invisible", "4", "ptraceable":
		st, err := s.root.Status(procfs.Thread)
		if err != nil || st.CapEff&(1<<capSysPtrace) == 0 {
			s.reason(Reason{Code: ReasonHidden})
		}
	}
}

// process looks into one process.
func (s *scan) process(pid int) {
	v := &visit{scan: s, pid: pid, task: pid}
	if s.ownPIDs && pid == os.Getpid() {
		temporary.Lock()
		defer temporary.Unlock()
		v.locked = true
	}
	err := v.look()
	if v.mapped == 0 && !procfs.Gone(err) {
		// A kernel thread, a zombie, or a process whose first thread has ended:
		// then what /proc shows of it is empty, and belongs to root.
		if task := s.otherThread(pid); task != 0 {
			v.task = task
			err = v.look()
		}
	}
	if err == nil || procfs.Gone(err) {
		return
	}
	// It may not be looked into. That matters only if it has memory at all.
	if st, err := s.root.Stat(pid); err != nil || st.VSize == 0 && s.otherThread(pid) == 0 {
		return
	}
	uid := ^uint32(0)
	if st, err := s.root.Status(pid); err == nil {
		uid = st.UID.Effective
	} else if procfs.Gone(err) {
		return
	}
	s.denied(uid)
}

// otherThread gives a living thread of a process whose first one has ended,
// else 0.
func (s *scan) otherThread(pid int) int {
	st, err := s.root.Stat(pid)
	if err != nil || !st.Zombie() {
		return 0
	}
	tasks, err := os.ReadDir(string(s.root) + "/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return 0
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil || tid == pid {
			continue
		}
		if st, err := s.root.Stat(tid); err == nil && !st.Zombie() {
			return tid
		}
	}
	return 0
}
