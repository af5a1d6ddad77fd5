package shmtest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

func TestName(t *testing.T) {
	safe := regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*$`)
	seen := map[string]bool{}
	check := func(t *testing.T) {
		for range 3 {
			name := shmtest.Name(t)
			if !safe.MatchString(name) || len(name) > 128 || seen[name] {
				t.Errorf("%q, %d bytes, seen before: %v", name, len(name), seen[name])
			}
			seen[name] = true
		}
	}
	check(t)
	t.Run("../a b/ü\x00.", check)
	t.Run(strings.Repeat("long", 100), check)
}

func TestKey(t *testing.T) {
	seen := map[int32]bool{0: true}
	for range 100 {
		key := shmtest.Key(t)
		if seen[key] {
			t.Errorf("%#x again", key)
		}
		seen[key] = true
	}
}

func TestDir(t *testing.T) {
	var dir string
	t.Run("there", func(t *testing.T) {
		dir = shmtest.Dir(t)
		info, err := os.Stat(dir)
		if err != nil || info.Mode() != os.ModeDir|os.ModeSticky|0o777 {
			t.Fatalf("%v, %v", info, err)
		}
		if again := shmtest.Dir(t); again == dir {
			t.Error("the same twice")
		}
		if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}
