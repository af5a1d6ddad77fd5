//go:build linux

package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-298b2b26/shm/shmnet"
)

// TestProxyScript runs the scripts of testdata/proxy. Beside what those of
// TestScript have:
//
//	service http|count|early|stuck ADDRESS   a program that serves
//	service get ADDRESS PATH                 an HTTP client
//	service post ADDRESS PATH BYTES          the same, of so many bytes
//	service load ADDRESS CONNECTIONS BYTES   so many at once, each twenty times
//	slay WHO                                 it gets SIGKILL, and is waited for
func TestProxyScript(t *testing.T) {
	p := scriptParams(filepath.Join("testdata", "proxy"))
	p.Cmds["slay"] = cmdSlay
	p.Cmds["halt"] = signalled(syscall.SIGSTOP)
	testscript.Run(t, p)
}

// service serves or asks, for the scripts. An ADDRESS is as shm proxy has it.
//
//	http    GET /hello, POST /echo
//	count   reads everything, then says how much that was, and its checksum
//	early   answers at once and closes without reading
//	stuck   answers a little and waits for the end of standard input
func service() {
	err := func() error {
		switch os.Args[1] {
		case "get", "post":
			return ask(os.Args[1], os.Args[2], os.Args[3:])
		case "load":
			return load(os.Args[2], os.Args[3], os.Args[4])
		}
		l, err := listenAt(os.Args[2])
		if err != nil {
			return err
		}
		fmt.Println("service at", l.Addr())
		if os.Args[1] == "http" {
			return serveHTTP(l)
		}
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			go handle(os.Args[1], c)
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func listenAt(address string) (net.Listener, error) {
	kind, where, _ := strings.Cut(address, ":")
	if kind == "shmnet" {
		return shmnet.Listen(context.Background(), where, nil)
	}
	return net.Listen(kind, where)
}

func dialTo(ctx context.Context, address string) (net.Conn, error) {
	kind, where, _ := strings.Cut(address, ":")
	if kind == "shmnet" {
		return shmnet.Dial(ctx, where, nil)
	}
	return net.Dial(kind, where)
}

func serveHTTP(l net.Listener) error {
	http.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello\n") })
	http.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	})
	return http.Serve(l, nil)
}

func handle(what string, c net.Conn) {
	defer c.Close()
	switch what {
	case "count":
		sum := crc32.NewIEEE()
		n, err := io.Copy(sum, c)
		fmt.Fprintf(c, "%d bytes, checksum %08x, error %v\n", n, sum.Sum32(), err)
	case "early":
		fmt.Fprintln(c, "no")
	case "stuck":
		fmt.Fprintln(c, "a little")
		fmt.Println("accepted")
		io.Copy(io.Discard, os.Stdin)
	}
}

// load has many clients at once, each with a connection of its own.
func load(address, connections, size string) error {
	n, err := strconv.Atoi(connections)
	if err != nil {
		return err
	}
	done := make(chan error, n)
	for range n {
		go func() {
			for range 20 {
				if err := ask("post", address, []string{"/echo", size}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range n {
		err = errors.Join(err, <-done)
	}
	return err
}

// ask is an HTTP client of a service.
func ask(method, address string, args []string) error {
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialTo(ctx, address) },
	}}
	defer client.CloseIdleConnections()
	url := "http://service" + args[0]
	var resp *http.Response
	var body []byte
	var err error
	if method == "get" {
		resp, err = client.Get(url)
	} else {
		var n int
		fmt.Sscan(args[1], &n)
		body = bytes.Repeat([]byte("0123456789abcdef"), n/16)
		resp, err = client.Post(url, "text/plain", bytes.NewReader(body))
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if method == "get" {
		fmt.Printf("%s: %s", resp.Status, got)
		return nil
	}
	if !bytes.Equal(body, got) {
		return fmt.Errorf("sent %d bytes, got %d others back", len(body), len(got))
	}
	fmt.Printf("%s: %d bytes came back\n", resp.Status, len(got))
	return nil
}
