// Server is a net/http server over a Unix socket, with one line changed: the
// bytes go through shared memory.
//
//	go run ./examples/http/server       and, in another terminal,
//	go run ./examples/http/client
//
// Both take the path of the socket as their argument.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed-298b2b26/shm/shmnet"
)

func main() {
	log.SetFlags(0)
	path := "http.sock"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// Before: l, err := net.Listen("unix", path)
	l, err := shmnet.Listen(ctx, path, nil)
	if err != nil {
		log.Fatal(err)
	}

	http.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from process %d\n", os.Getpid())
	})
	http.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		// Request and response at once, so neither waits for the other's end.
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	})
	server := &http.Server{}
	ended := make(chan error, 1)
	context.AfterFunc(ctx, func() { ended <- server.Shutdown(context.Background()) })
	fmt.Println("listening at", path)
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	// Serve ends at once, Shutdown when the last request is answered.
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
}
