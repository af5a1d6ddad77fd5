// Client is a net/http client of ../server: its transport dials shared memory
// where it dialled a Unix socket.
//
//	go run ./examples/http/client
package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/seed-298b2b26/shm/shmnet"
)

func main() {
	log.SetFlags(0)
	path := "http.sock"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}

	// Before: a DialContext that calls net.Dialer.DialContext(ctx, "unix", path)
	dialer := shmnet.Dialer{Address: path}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	defer client.CloseIdleConnections()

	// The host goes into the request's header; nobody looks it up.
	resp, err := client.Get("http://service/hello")
	if err != nil {
		log.Fatal(err)
	}
	hello, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s", resp.Status, hello)

	big := bytes.Repeat([]byte("sixteen bytes. \n"), 1<<20)
	resp, err = client.Post("http://service/echo", "text/plain", bytes.NewReader(big))
	if err != nil {
		log.Fatal(err)
	}
	sum := crc32.NewIEEE()
	n, err := io.Copy(sum, resp.Body)
	resp.Body.Close()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: sent %d bytes, checksum %08x; got %d bytes, checksum %08x\n",
		resp.Status, len(big), crc32.ChecksumIEEE(big), n, sum.Sum32())
}
