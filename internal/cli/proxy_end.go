package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/sockfile"
	"github.com/seed-298b2b26/shm/shmnet"
)

// Schemes of what a proxy bridges.
const (
	schemeShmnet = "shmnet"
	schemeUnix   = "unix"
	schemeTCP    = "tcp"
	stdioName    = "-"
)

// endpoint is an address to listen at or to connect to.
type endpoint struct{ scheme, address string }

func (e endpoint) String() string {
	if e.scheme == stdioName {
		return "standard input and output"
	}
	return e.scheme + ":" + e.address
}

// at is the endpoint with the address that was really taken: of TCP the
// kernel may have chosen the port.
func (e endpoint) at(a net.Addr) string { return e.scheme + ":" + a.String() }

// parseEndpoint reads an address of the command line.
func parseEndpoint(s string) (endpoint, error) {
	wrong := func(format string, args ...any) (endpoint, error) {
		return endpoint{}, &usageError{fmt.Errorf("address %q: "+format, append([]any{s}, args...)...), "addresses are shmnet:PATH, unix:PATH and tcp:HOST:PORT"}
	}
	scheme, address, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		return wrong("it has no kind")
	case scheme == schemeTCP:
		host, port, err := net.SplitHostPort(address)
		if !strings.Contains(address, ":") {
			host, port, err = "localhost", address, nil
		}
		if err != nil {
			return wrong("it has no host and port")
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil {
			return wrong("%q is no port", port)
		} else {
			port = strconv.FormatUint(n, 10)
		}
		return endpoint{scheme, net.JoinHostPort(host, port)}, nil
	case scheme != schemeShmnet && scheme != schemeUnix:
		return wrong("there is no kind %q", scheme)
	case address == "" || address == "@":
		return wrong("it has no path")
	case strings.ContainsRune(address, 0):
		return wrong("a path has no zero byte")
	case len(address) > sockfile.PathMost:
		return wrong("it has %d bytes, and a socket's path at most %d", len(address), sockfile.PathMost)
	}
	return endpoint{scheme, address}, nil
}

// listen listens. Connections that it accepts are duplex.
func (e endpoint) listen(ctx context.Context, p *proxy) (net.Listener, error) {
	mode := fs.FileMode(p.mode)
	switch e.scheme {
	case schemeShmnet:
		return shmnet.Listen(ctx, e.address, &shmnet.Options{Mode: mode, Logger: slog.New(&handshakes{proxy: p})})
	case schemeUnix:
		return sockfile.Listen(ctx, e.address, &sockfile.Options{Mode: mode})
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, schemeTCP, e.address)
}

// handshakes tells of clients that did not become connections.
type handshakes struct {
	slog.Handler // unused
	proxy        *proxy
}

func (*handshakes) Enabled(context.Context, slog.Level) bool { return true }

func (h *handshakes) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			h.proxy.tell(proxyErr(ctx, h.proxy.from, "accept", err))
		}
		return true
	})
	return nil
}

// dial connects.
func (e endpoint) dial(ctx context.Context, timeout time.Duration) (duplex, error) {
	if e.scheme == schemeShmnet {
		c, err := shmnet.Dial(ctx, e.address, &shmnet.Options{Handshake: timeout})
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, e.scheme, e.address)
	if err != nil {
		return nil, err
	}
	return c.(duplex), nil
}

// stdio is standard input and output as a connection.
type stdio struct {
	io.Reader
	io.Writer
}

func (*stdio) CloseRead() error  { return nil }
func (*stdio) CloseWrite() error { return nil }
func (*stdio) Close() error      { return nil }

// proxyErr is an error about one side of a proxy. what says what was tried,
// for an error that does not say so itself.
func proxyErr(ctx context.Context, e endpoint, what string, err error) error {
	if err == nil {
		return nil
	}
	if err = cause(ctx, err); ctx.Err() != nil {
		return err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		if what == "" {
			what = op.Op
		}
		err = op.Err
	}
	var path *fs.PathError
	if e.scheme == stdioName && errors.As(err, &path) {
		return err // it names the stream
	}
	var call *os.SyscallError
	if what != "" && !errors.As(err, &call) {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return &shm.Error{Op: "proxy", Kind: e.scheme, Name: e.String(), Err: err, Hint: proxyHint(e, err)}
}

func proxyHint(e endpoint, err error) string {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "another program listens there, or the file is no socket: choose another address, or end it"
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, &dns):
		return "the host must be this machine's to listen, and known to connect"
	case errors.Is(err, shmnet.ErrNotProtocol):
		return "its server speaks plain bytes: unix:" + e.address + " may be what is meant"
	case errors.Is(err, shmnet.ErrVersion), errors.Is(err, shmnet.ErrCorrupt):
		return "both sides must be of versions that understand each other: shm version"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return "the service must listen there, and the directory must exist"
	case errors.Is(err, fs.ErrPermission):
		return "the mode of the socket and of its directory (ls -l) decide who may connect or listen"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "the service does not answer: see whether it lives, or wait longer with --timeout"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the program at that end was killed, or closed the connection early"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "each connection takes two descriptors: ulimit -n says how many there may be"
	case errors.Is(err, shm.ErrNoSpace):
		return "shm ls shows what takes the memory"
	}
	return "see shm proxy --help"
}

// completeSocket completes the kinds of addresses, then paths.
func completeSocket(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []cobra.Completion
	scheme, path, ok := strings.Cut(begun, ":")
	if !ok {
		for _, c := range []cobra.Completion{
			cobra.CompletionWithDesc(schemeShmnet+":", "a connection over shared memory"),
			cobra.CompletionWithDesc(schemeUnix+":", "a Unix socket"),
			cobra.CompletionWithDesc(schemeTCP+":", "a TCP socket"),
		} {
			if strings.HasPrefix(c, scheme) {
				all = append(all, c)
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	if scheme != schemeShmnet && scheme != schemeUnix {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	dir, base := filepath.Split(path)
	entries, _ := os.ReadDir(filepath.Clean(dir))
	for _, e := range entries {
		name := scheme + ":" + dir + e.Name()
		if !strings.HasPrefix(e.Name(), base) {
			continue
		}
		switch e.Type() {
		case fs.ModeDir:
			all = append(all, name+"/")
		case fs.ModeSocket:
			all = append(all, name)
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
