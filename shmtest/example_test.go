package shmtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

// A snapshot knows what has been opened since.
func ExampleSnapshot_Diff() {
	before, err := shmtest.Take()
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := os.Open("/dev/null")
	if err != nil {
		fmt.Println(err)
		return
	}
	after, _ := shmtest.Take()
	for _, line := range before.Diff(after) {
		_, what, _ := strings.Cut(line, " -> ")
		fmt.Println("left:", what)
	}
	f.Close()
	after, _ = shmtest.Take()
	fmt.Println(len(before.Diff(after)), "after Close")
	// Output:
	// left: /dev/null (O_RDONLY|O_CLOEXEC)
	// 0 after Close
}

func init() {
	shmtest.Handle("example reader", func(c *shmtest.Child) {
		c.Send("ready")
		c.Expect("go")
		text, err := os.ReadFile(c.Args[0])
		c.Check(err)
		c.Send("read %q", text)
	})
}

// TestReader is the package comment's example, with a plain file.
func TestReader(t *testing.T) {
	shmtest.CheckLeaks(t)
	name := filepath.Join(shmtest.Dir(t), shmtest.Name(t))
	p := shmtest.Start(t, "example reader", name)
	p.Expect("ready")
	if err := os.WriteFile(name, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Send("go")
	p.Expect(`read "hello"`)
	p.Wait()
}

// A peer written in C talks in the same way.
func ExampleExec() {
	var t *testing.T // the test's
	peer := shmtest.CompileC(t, `
		#include <stdio.h>
		int main(int argc, char **argv)
		{
			char line[80];
			setvbuf(stdout, NULL, _IOLBF, 0);
			puts("ready");
			fgets(line, sizeof line, stdin);
			printf("%s got %s", argv[1], line);
			return 0;
		}`, "-lrt")
	p := shmtest.Exec(t, peer, "peer")
	p.Expect("ready")
	p.Send("hello")
	p.Expect("peer got hello")
	p.Wait()
}

// A writer without privileges on a full tmpfs of 1 MiB, with segments of its
// own.
func ExampleCommand() {
	var t *testing.T // the test's
	p := shmtest.Command{
		Handler: "writer",
		User:    shmtest.Other(t),
		OwnIPC:  true,
		ShmSize: 1 << 20,
	}.Start(t)
	p.Expect("no space left on device")
	p.Wait()
}
