package sysv

import (
	"errors"
	"fmt"
	"io/fs"
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
// kernel's table, from 0 to Limits.Highest. A free index is EINVAL, and so
// fs.ErrNotExist. A whole ID does for its index, whatever its sequence number.
// It needs read permission.
func StatIndex(index int) (Segment, error) { return statIndex("SHM_STAT", sys.SHM_STAT, index) }

// StatAny is StatIndex without the permission check (SHM_STAT_ANY, Linux
// 4.17 and later; EINVAL before).
func StatAny(index int) (Segment, error) { return statIndex("SHM_STAT_ANY", sys.SHM_STAT_ANY, index) }

func statIndex(name string, cmd, index int) (Segment, error) {
	var ds sys.ShmidDs
	id, err := sys.ShmctlDs(index, cmd, &ds)
	if err != nil {
		e := &sys.Error{Op: "shmctl " + name, Kind: "sysv", Name: fmt.Sprintf("index %d", index), Err: err}
		switch {
		case errors.Is(err, syscall.EINVAL):
			e.Err = noSegment{"index", err}
		case errors.Is(err, syscall.EACCES):
			e.Hint = "SHM_STAT_ANY (StatAny) and /proc/sysvipc/shm need no permission"
		}
		return Segment{}, e
	}
	return fromDs(ID(id), &ds), nil
}

// Set is shmctl(2) with IPC_SET: it gives the segment another owner, group
// and permissions, all three at once. Of mode only the nine permission bits
// count. Only the owner, the creator or CAP_SYS_ADMIN may do it.
func Set(id ID, uid, gid, mode uint32) error {
	ds := sys.ShmidDs{Perm: sys.IpcPerm{UID: uid, GID: gid, Mode: mode}}
	if _, err := sys.ShmctlDs(int(id), sys.IPC_SET, &ds); err != nil {
		err = controlError("IPC_SET", id, err)
		if e, ok := err.(*sys.Error); ok && e.Err == error(syscall.EINVAL) {
			e.Err = fmt.Errorf("user %d or group %d cannot be an owner: %w", uid, gid, e.Err)
			e.Hint = "owner, group and mode are set together: pass the present ones to keep them"
		}
		return err
	}
	return nil
}

// Remove is shmctl(2) with IPC_RMID: the key is free at once; the memory
// goes with the last detach. Only the owner, the creator or CAP_SYS_ADMIN
// may do it.
func Remove(id ID) error { return Ctl(id, sys.IPC_RMID) }

// Lock is shmctl(2) with SHM_LOCK: pages that are or come into memory stay
// there, until Unlock. Only the owner and the creator, within RLIMIT_MEMLOCK,
// or CAP_IPC_LOCK may do it. On a segment of huge pages, which are always in
// memory, it does nothing.
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

// controlError says in words which of an errno's causes it was, where that
// can be found out.
func controlError(cmd string, id ID, err error) error {
	e := &sys.Error{Op: "shmctl " + cmd, Kind: "sysv", Name: id.String(), Err: err}
	locks := cmd == "SHM_LOCK" || cmd == "SHM_UNLOCK"
	switch {
	case errors.Is(err, syscall.EINVAL) || errors.Is(err, sys.EIDRM):
		// The segment may be there: a wrong command or owner is EINVAL too.
		if missing(id) {
			e.Err, e.Hint = noSegment{"identifier", err}, missingHint
		}
	case errors.Is(err, syscall.EPERM) && locks:
		e.Hint = "only the segment's owner, its creator and CAP_IPC_LOCK may do this; RLIMIT_MEMLOCK (ulimit -l) must not be 0"
	case errors.Is(err, syscall.EPERM):
		e.Hint = "only the segment's owner, its creator and the administrator may do this"
	case errors.Is(err, syscall.EACCES):
		e.Hint = "the segment's mode does not let this user read it"
	case errors.Is(err, syscall.ENOMEM) && locks:
		e.Err = fmt.Errorf("the segment is larger than what this user may still lock: %w", err)
		e.Hint = "raise RLIMIT_MEMLOCK (ulimit -l)"
	}
	return e
}

// stat fills ds whatever the segment's mode lets the caller do, where the
// kernel has SHM_STAT_ANY.
func stat(id ID, ds *sys.ShmidDs) error {
	_, err := sys.ShmctlDs(int(id), sys.IPC_STAT, ds)
	if errors.Is(err, syscall.EACCES) {
		// It takes the index alone: another segment may have the same, or,
		// on kernels with larger tables, the index may be another.
		if got, err := sys.ShmctlDs(id.Index(), sys.SHM_STAT_ANY, ds); err == nil && got == int(id) {
			return nil
		}
	}
	return err
}

// missing reports whether no segment has the identifier.
func missing(id ID) bool {
	var ds sys.ShmidDs
	_, err := sys.ShmctlDs(int(id), sys.IPC_STAT, &ds)
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, sys.EIDRM)
}

const missingHint = "it may have been removed; identifiers are those of this IPC namespace"

// noSegment is the errno for an identifier or index that no segment has,
// EINVAL most often. That alone would look like any wrong argument, so it is
// fs.ErrNotExist besides.
type noSegment struct {
	what  string // "identifier", "index"
	errno error
}

func (e noSegment) Error() string        { return "no segment has this " + e.what + ": " + e.errno.Error() }
func (e noSegment) Unwrap() error        { return e.errno }
func (e noSegment) Is(target error) bool { return target == fs.ErrNotExist }
