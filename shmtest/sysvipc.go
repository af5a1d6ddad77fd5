package shmtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ipcRow is one object of a /proc/sysvipc table.
type ipcRow struct {
	key  int32
	id   int
	size int64 // bytes of a segment, semaphores of a set
	cpid int   // creator of a segment
}

// readTable reads /proc/sysvipc/shm, sem or msg, see sysvipc(7). Columns are
// found by their names, for kernels have added some.
func readTable(table string) ([]ipcRow, error) {
	text, err := os.ReadFile("/proc/sysvipc/" + table)
	if err != nil {
		return nil, err
	}
	var (
		rows    []ipcRow
		columns []string
	)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if columns == nil {
			columns = fields
			continue
		}
		var row ipcRow
		for i, column := range columns {
			if i >= len(fields) {
				return nil, fmt.Errorf("/proc/sysvipc/%s: short line %q", table, line)
			}
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				continue // not one of the columns below
			}
			switch column {
			case "key":
				row.key = int32(n)
			case "shmid", "semid", "msqid":
				row.id = int(n)
			case "size", "nsems":
				row.size = n
			case "cpid":
				row.cpid = int(n)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}
