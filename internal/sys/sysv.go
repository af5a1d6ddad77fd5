package sys

import "structs"

// IpcPerm is struct ipc_perm of Linux's 64-bit ABI. The mode takes 4 bytes
// here, though manual pages say unsigned short.
type IpcPerm struct {
	_    structs.HostLayout
	Key  int32
	UID  uint32
	GID  uint32
	CUID uint32
	CGID uint32
	Mode uint32
	Seq  uint16
	_    [6]byte
	_    [2]uint64
}

// ShmidDs is struct shmid_ds: 112 bytes.
type ShmidDs struct {
	_      structs.HostLayout
	Perm   IpcPerm
	Segsz  uint64
	Atime  int64
	Dtime  int64
	Ctime  int64
	Cpid   int32
	Lpid   int32
	Nattch uint64
	_      [2]uint64
}

// Shminfo is struct shminfo, which IPC_INFO fills: 72 bytes.
type Shminfo struct {
	_      structs.HostLayout
	Shmmax uint64
	Shmmin uint64
	Shmmni uint64
	Shmseg uint64
	Shmall uint64
	_      [4]uint64
}

// ShmUsage is struct shm_info, which SHM_INFO fills: 48 bytes, in pages.
type ShmUsage struct {
	_             structs.HostLayout
	UsedIDs       int32
	_             [4]byte
	Tot           uint64
	Rss           uint64
	Swp           uint64
	SwapAttempts  uint64
	SwapSuccesses uint64
}
