package procfs

import (
	"fmt"
	"strings"
)

// formatLock writes l as the kernel does.
func formatLock(l *Lock) string {
	arrow, end := "", "EOF"
	if l.Waiting {
		arrow = "-> "
	}
	if l.End != LockEOF {
		end = fmt.Sprint(l.End)
	}
	return fmt.Sprintf("%d: %s%-6s %-9s %s %d %v:%d %d %s\n", l.ID, arrow, l.Class, l.Mode, l.Type, l.PID, l.Dev, l.Inode, l.Start, end)
}

// formatCgroup writes c as the kernel does.
func formatCgroup(c *Cgroup) string {
	return fmt.Sprintf("%d:%s:%s\n", c.Hierarchy, strings.Join(c.Controllers, ","), c.Path)
}

// formatMeminfo writes m with every value as a bare number.
func formatMeminfo(m Meminfo) string {
	var b strings.Builder
	for name, v := range m {
		fmt.Fprintf(&b, "%s: %d\n", name, v)
	}
	return b.String()
}
