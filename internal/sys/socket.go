package sys

// Credentials are who is at the other end of a Unix socket (SO_PEERCRED):
// as of connect or listen, by number in the caller's namespaces.
type Credentials struct {
	PID, UID, GID int
}
