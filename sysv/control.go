package sysv

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Stat is shmctl(2) with IPC_STAT: it needs read permission.
func Stat(id ID) (Segment, error) {
	var ds sys.ShmidDs
	if _, err := sys.ShmctlDs(int(id), sys.IPC_STAT, &ds); err != nil {
		return Segment{}, controlError("IPC_STAT", id, err)
	}
	return fromDs(id, &ds), nil
}

// StatIndex is shmctl(2) with SHM_STAT: the segment at an index of the
// kernel's table, from 0 to Usage.Highest. A free index is EINVAL. It needs
// read permission.
func StatIndex(index int) (Segment, error) { return statIndex("SHM_STAT", sys.SHM_STAT, index) }

// StatAny is StatIndex without the permission check (SHM_STAT_ANY, Linux
// 4.17 and later; EINVAL before).
func StatAny(index int) (Segment, error) { return statIndex("SHM_STAT_ANY", sys.SHM_STAT_ANY, index) }

func statIndex(name string, cmd, index int) (Segment, error) {
	var ds sys.ShmidDs
	id, err := sys.ShmctlDs(index, cmd, &ds)
	if err != nil {
		return Segment{}, &sys.Error{Op: "shmctl " + name, Kind: "sysv", Name: fmt.Sprintf("index %d", index), Err: err}
	}
	return fromDs(ID(id), &ds), nil
}

// Set is shmctl(2) with IPC_SET: it gives the segment another owner, group
// and permissions, all three at once. Of mode only the nine permission bits
// count. Only the owner, the creator or CAP_SYS_ADMIN may do it.
func Set(id ID, uid, gid, mode uint32) error {
	ds := sys.ShmidDs{Perm: sys.IpcPerm{UID: uid, GID: gid, Mode: mode}}
	if _, err := sys.ShmctlDs(int(id), sys.IPC_SET, &ds); err != nil {
		return controlError("IPC_SET", id, err)
	}
	return nil
}

// Remove is shmctl(2) with IPC_RMID: the key is free at once; the memory
// goes with the last detach. Only the owner, the creator or CAP_SYS_ADMIN
// may do it.
func Remove(id ID) error { return Ctl(id, sys.IPC_RMID) }

// Lock is shmctl(2) with SHM_LOCK: pages that are or come into memory stay
// there. RLIMIT_MEMLOCK of the caller bounds it.
func Lock(id ID) error { return Ctl(id, sys.SHM_LOCK) }

// Unlock is shmctl(2) with SHM_UNLOCK.
func Unlock(id ID) error { return Ctl(id, sys.SHM_UNLOCK) }

// Ctl is shmctl(2) for a command without a buffer, by its number.
func Ctl(id ID, cmd int) error {
	if _, err := sys.Shmctl(int(id), cmd, 0); err != nil {
		return controlError(cmdName(cmd), id, err)
	}
	return nil
}

func cmdName(cmd int) string {
	switch cmd {
	case sys.IPC_RMID:
		return "IPC_RMID"
	case sys.SHM_LOCK:
		return "SHM_LOCK"
	case sys.SHM_UNLOCK:
		return "SHM_UNLOCK"
	}
	return fmt.Sprintf("command %d", cmd)
}

func controlError(cmd string, id ID, err error) error {
	e := &sys.Error{Op: "shmctl " + cmd, Kind: "sysv", Name: id.String(), Err: err}
	switch {
	case errors.Is(err, syscall.EINVAL) && cmd != "IPC_SET":
		e.Hint = "no segment has this identifier in this IPC namespace; it may have been removed"
	case errors.Is(err, syscall.EPERM):
		e.Hint = "only the segment's owner, its creator and the administrator may do this"
	case errors.Is(err, syscall.EACCES):
		e.Hint = "the segment's mode does not let this user read it"
	case errors.Is(err, syscall.ENOMEM):
		e.Hint = "RLIMIT_MEMLOCK (ulimit -l) is too small"
	}
	return e
}
