//go:build !(amd64 || arm64)

package mem

// Pause does nothing on this machine.
func Pause() {}
