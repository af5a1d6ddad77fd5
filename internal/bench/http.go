package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// requestHTTP is about how many bytes a GET of net/http's client has, with
// the headers that it sends unasked.
const requestHTTP = 96

// overHTTP is net/http as most programs have it: a body whose length is known,
// keep-alive, a connection for each caller.
var overHTTP = Service{Name: httpGET, Serve: serveHTTP, Connect: connectHTTP}

func serveHTTP(l net.Listener, s Spec) (stop func() error) {
	body, length := make([]byte, s.Size), strconv.Itoa(s.Size)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", length)
		w.Write(body)
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	return func() error {
		err := server.Close()
		if e := <-done; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}
}

// clientHTTP is http.Client with a transport of its own.
type clientHTTP struct {
	s         Spec
	client    http.Client
	transport *http.Transport
}

func connectHTTP(s Spec, dial Dial) (Client, error) {
	t := &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		MaxConnsPerHost:     s.connections(),
		MaxIdleConnsPerHost: s.connections(),
	}
	return &clientHTTP{s: s, transport: t, client: http.Client{Transport: t}}, nil
}

func (c *clientHTTP) Caller() func(context.Context) error {
	buf := make([]byte, max(64<<10, c.s.Size))
	var sink uint64 // keeps what was read alive
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://service/", nil)
		if err != nil {
			return err
		}
		resp, err := c.client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.ContentLength != int64(c.s.Size) {
			return fmt.Errorf("the answer is %s, with %d bytes", resp.Status, resp.ContentLength)
		}
		for {
			n, err := resp.Body.Read(buf)
			sink += look(buf[:n], false)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
}

func (c *clientHTTP) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}
