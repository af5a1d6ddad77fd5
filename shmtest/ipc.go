package shmtest

import (
	"errors"
	"fmt"
	"io/fs"
)

// takeIPC adds the segments and semaphore sets of the IPC namespace.
func (s *Snapshot) takeIPC() error {
	for _, table := range []struct{ file, kind, unit, remove string }{
		{"shm", "segment", "bytes", "ipcrm -m"},
		{"sem", "semaphore set", "semaphores", "ipcrm -s"},
	} {
		rows, err := readTable(table.file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without System V IPC
		}
		if err != nil {
			return err
		}
		for _, row := range rows {
			name := fmt.Sprintf("id %d key %#x, %d %s", row.id, uint32(row.key), row.size, table.unit)
			detail := fmt.Sprintf("to remove it: %s %d", table.remove, row.id)
			if row.cpid != 0 {
				detail = fmt.Sprintf("created by process %d; %s", row.cpid, detail)
			}
			s.add(table.kind, name, thing{
				detail:  detail,
				foreign: !isOurKey(row.key) && !(row.cpid != 0 && isOurPID(row.cpid)),
			})
		}
	}
	return nil
}
