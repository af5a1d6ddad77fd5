package procfs

// isESRCH reports false: Plan 9 has no such error.
func isESRCH(error) bool {
	return false
}
