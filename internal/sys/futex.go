package sys

// What membarrier(2) can be asked for (linux/membarrier.h), and what its
// query answers with, one bit each.
const (
	MEMBARRIER_CMD_QUERY                     = 0
	MEMBARRIER_CMD_GLOBAL_EXPEDITED          = 1 << 1
	MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED = 1 << 2
)
