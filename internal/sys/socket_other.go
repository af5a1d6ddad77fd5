//go:build !(linux && (amd64 || arm64 || loong64 || riscv64))

package sys

func SendBell(int) error                                  { return ErrPlatform }
func SendFD(int, byte, int) error                         { return ErrPlatform }
func RecvBells(int, []byte, bool) (int, int, bool, error) { return 0, -1, false, ErrPlatform }
func Quiet(int) bool                                      { return false }
func PeerCredentials(int) (Credentials, error)            { return Credentials{}, ErrPlatform }
func TryLock(int) error                                   { return ErrPlatform }
