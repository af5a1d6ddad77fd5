package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/internal/procfs"
)

func newProxy(env *Env) *cobra.Command {
	p := proxy{env: env, mode: 0o600, live: map[duplex]bool{}}
	cmd := &cobra.Command{
		Use:   "proxy FROM TO",
		Short: "Bridge a Unix or TCP socket to shared memory, or back",
		Long: `Listen at FROM, and connect each client to TO. So a program that knows sockets
alone reaches a service over shared memory (package shmnet), or serves clients
that come over shared memory. FROM and TO are

  shmnet:PATH            a connection over shared memory, by its socket
  unix:PATH              a Unix socket
  tcp:HOST:PORT          a TCP socket; tcp:PORT is on localhost

and one of them is shmnet. @NAME in place of PATH is an abstract name. FROM may
also be -: one connection, of standard input and output.

Bytes are copied once here, between the memory and the socket. The end of one
side's data is passed on while the other side goes on. A connection that breaks
is told, and ends on the other side too: over TCP with a reset, else as if it
had been closed. The proxy is what TO sees as its peer.

It runs until it is interrupted, and then removes its socket. A socket file at
which nobody listens any more is replaced. That TO cannot be reached ends a
client's connection, not the proxy.`,
		Example: `  shm proxy unix:/tmp/front.sock shmnet:/run/service.sock
  curl --unix-socket /tmp/front.sock http://service/hello

  shm proxy shmnet:/run/web.sock tcp:8080`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeSocket,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if args[0] == stdioName {
				p.from = endpoint{scheme: stdioName}
			} else if p.from, err = parseEndpoint(args[0]); err != nil {
				return err
			}
			if p.to, err = parseEndpoint(args[1]); err != nil {
				return err
			}
			if p.from.scheme != schemeShmnet && p.to.scheme != schemeShmnet {
				return usage(cmd, fmt.Errorf("neither %s nor %s is a shmnet address", args[0], args[1]))
			}
			if p.timeout <= 0 {
				return usage(cmd, fmt.Errorf("--timeout %v: a time to connect is more than 0", p.timeout))
			}
			return p.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.Var(&p.mode, "mode", "permissions of the socket file at FROM: who may write it may connect")
	f.DurationVar(&p.timeout, "timeout", 5*time.Second, "how long connecting to TO may take")
	return cmd
}

// proxy bridges what comes at from to to.
type proxy struct {
	env      *Env
	from, to endpoint
	mode     modeValue
	timeout  time.Duration

	mu     sync.Mutex
	live   map[duplex]bool // connections to close at the end
	ended  bool
	said   string // the failure that was told last
	bridge sync.WaitGroup
}

func (p *proxy) run(ctx context.Context) error {
	defer p.end()
	stop := context.AfterFunc(ctx, p.closeAll)
	defer stop()
	if p.from.scheme == stdioName {
		return p.once(ctx)
	}
	l, err := p.from.listen(ctx, p)
	if err != nil {
		return proxyErr(ctx, p.from, "listen", err)
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	p.env.noteln("proxy: %s leads to %s", procfs.Printable(p.from.at(l.Addr())), procfs.Printable(p.to.String()))
	for pause := time.Duration(0); ; {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return cause(ctx, ctx.Err())
		case err == nil:
			pause = 0
			p.bridge.Go(func() { p.serve(ctx, c.(duplex)) })
		case errors.Is(err, syscall.ECONNABORTED):
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
			// Connections that end make room.
			p.tell(proxyErr(ctx, p.from, "accept", err))
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			if err := sleepFor(ctx, pause); err != nil {
				return err
			}
		default:
			return proxyErr(ctx, p.from, "accept", err)
		}
	}
}

// once bridges standard input and output. A read that waits for input cannot
// be ended, so an interrupt does not wait for it.
func (p *proxy) once(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- p.connect(ctx, &stdio{p.env.Stdin, p.env.Stdout}) }()
	select {
	case <-ctx.Done():
		return cause(ctx, ctx.Err())
	case err := <-done:
		return err
	}
}

// serve bridges one client, and tells how that failed.
func (p *proxy) serve(ctx context.Context, c duplex) {
	if err := p.connect(ctx, c); err != nil && ctx.Err() == nil {
		p.tell(err)
	}
}

// connect connects c to the other side until both are done. It closes c.
func (p *proxy) connect(ctx context.Context, c duplex) error {
	if !p.enter(c) {
		return net.ErrClosed
	}
	defer p.leave(c)
	within, cancel := context.WithTimeout(ctx, p.timeout)
	far, err := p.to.dial(within, p.timeout)
	cancel()
	if err != nil {
		abort(c)
		return proxyErr(ctx, p.to, "connect", err)
	}
	if !p.enter(far) {
		return net.ErrClosed
	}
	defer p.leave(far)
	fromErr, toErr := join(c, far)
	return failed(proxyErr(ctx, p.from, "", fromErr), proxyErr(ctx, p.to, "", toErr))
}

// enter notes a connection, or closes it if the proxy has ended.
func (p *proxy) enter(c duplex) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		c.Close()
		return false
	}
	p.live[c] = true
	return true
}

func (p *proxy) leave(c duplex) {
	c.Close()
	p.mu.Lock()
	delete(p.live, c)
	p.mu.Unlock()
}

// closeAll ends all connections.
func (p *proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for c := range p.live {
		c.Close()
	}
}

// end closes what is open, and waits until it is.
func (p *proxy) end() {
	p.closeAll()
	p.bridge.Wait()
}

// tell says what went wrong, but not the same over and over.
func (p *proxy) tell(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text := err.Error(); text != p.said {
		p.said = text
		report(p.env, err)
	}
}
