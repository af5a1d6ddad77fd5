// Command shm shares memory between processes, and shows and removes what is
// shared on this machine. Run it without arguments for its verbs.
package main

import (
	"os"

	"github.com/seed-298b2b26/shm/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.Env{
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Getenv: os.Getenv,
	}))
}
