package shmnet_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/seed-298b2b26/shm/shmnet"
)

// A service and its client, with one line changed on either side.
func Example() {
	dir, err := os.MkdirTemp("", "shmnet")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "service.sock")

	l, err := shmnet.Listen(context.Background(), path, nil) // was: net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %s", r.URL.Path)
	})}
	go server.Serve(l)
	defer server.Close()

	d := shmnet.Dialer{Address: path}
	client := http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
	resp, err := client.Get("http://service/memory")
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
	client.CloseIdleConnections()
	// Output: hello from /memory
}

// Bytes are written and read where they stand, without a copy.
func ExampleConn_Reserve() {
	dir, err := os.MkdirTemp("", "shmnet")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	l, err := shmnet.Listen(ctx, filepath.Join(dir, "s"), nil)
	if err != nil {
		panic(err)
	}
	defer l.Close()
	a, err := shmnet.Dial(ctx, l.Addr().String(), nil)
	if err != nil {
		panic(err)
	}
	defer a.Close()
	b, err := l.AcceptConn()
	if err != nil {
		panic(err)
	}
	defer b.Close()

	place, err := a.Reserve(100)
	if err != nil {
		panic(err)
	}
	n := copy(place, "written in place")
	if err := a.Commit(n); err != nil {
		panic(err)
	}

	bytes, err := b.Peek()
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", bytes)
	if err := b.Discard(len(bytes)); err != nil {
		panic(err)
	}
	// Output: written in place
}
