//go:build linux

package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// answer is what a language says first of a topic that it looks at: "" where
// it can be read, the name of the error in C otherwise. text is the error's.
func answer(t *testing.T, language, name string) (code, text string) {
	t.Helper()
	p := begin(t, language, "look", name)
	line := p.Recv()
	state := p.Exit()
	if state.Success() {
		return "", ""
	}
	switch line {
	case "Version":
		line = "SHM_TOPIC_EVERSION"
	case "Corrupt", "Truncated":
		line = "SHM_TOPIC_ECORRUPT"
	}
	return line, p.Stderr()
}

// TestVersions: older and newer layouts and unknown features, to readers of
// every language.
func TestVersions(t *testing.T) {
	u32 := func(off int, v uint32) func([]byte) { return func(b []byte) { le.PutUint32(b[off:], v) } }
	u64 := func(off int, v uint64) func([]byte) { return func(b []byte) { le.PutUint64(b[off:], v) } }
	for _, tt := range []struct {
		name   string
		change func([]byte)
		code   string
		text   []string
	}{
		{"as it is", func([]byte) {}, "", nil},
		{"version 0", u32(topicdir.OffVersion, 0), "SHM_TOPIC_ECORRUPT", []string{"version 0"}},
		{"least above version", u32(topicdir.OffLeast, 2), "SHM_TOPIC_ECORRUPT", []string{"cannot be"}},
		{"newer, readable", u32(topicdir.OffVersion, 9), "", nil},
		{"newer", func(b []byte) { u32(topicdir.OffVersion, 9)(b); u32(topicdir.OffLeast, 8)(b) }, "SHM_TOPIC_EVERSION", []string{"version 9", "version 8", "version 1"}},
		{"feature to be known", u64(topicdir.OffFeatures, 1<<31), "SHM_TOPIC_EVERSION", []string{"0x80000000"}},
		{"feature to be ignored", u64(topicdir.OffFeatures, 1<<32), "", nil},
		{"all features to be ignored", u64(topicdir.OffFeatures, 0xffffffff<<32), "", nil},
		{"kind", u32(topicdir.OffKind, topicdir.KindBell), "SHM_TOPIC_ECORRUPT", []string{"kind 4"}},
		{"not ready", u32(topicdir.OffReady, 0), "SHM_TOPIC_ECORRUPT", []string{"never completed"}},
		{"wider slot headers", wider, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, language string) {
				b := goldenRing(t)
				tt.change(b)
				code, text := answer(t, language, plant(t, b))
				if code != tt.code {
					t.Fatalf("%q, want %q: %s", code, tt.code, text)
				}
				for _, part := range tt.text {
					if !strings.Contains(text, part) {
						t.Errorf("the error says nothing of %q: %s", part, text)
					}
				}
			})
		})
	}
}

// wider makes the slot headers of the golden ring as a later layout may have
// them, 96 bytes apart. There is room for that before the payloads.
func wider(b []byte) {
	c := ringConfig()
	l, _ := c.Layout()
	const stride = 96
	headers := bytes.Clone(b[l.SlotHeaders:l.Payload])
	clear(b[l.SlotHeaders:l.Payload])
	for s := range c.Slots {
		copy(b[l.SlotHeaders+s*stride:], headers[s*l.SlotStride:(s+1)*l.SlotStride])
	}
	le.PutUint64(b[topicdir.OffSlotStride:], stride)
}

// TestOtherLayout: programs in C that were compiled for a later layout.
func TestOtherLayout(t *testing.T) {
	shmtest.CheckLeaks(t)
	later := peer(t, "-DSHM_TOPIC_VERSION=2")
	name := shmtest.Name(t)
	remove(t, name)
	p := shmtest.Exec(t, later, "pub", name, "drop", "10", "1")
	p.Expect("from 0")
	p.Expect("done")
	p.Wait()
	each(t, func(t *testing.T, language string) {
		code, text := answer(t, language, name)
		if code != "SHM_TOPIC_EVERSION" || !strings.Contains(text, "version 2") || !strings.Contains(text, "version 1") {
			t.Errorf("%s: %s", code, text)
		}
	})
	_, err := topic.Create(name, options("drop"))
	if !errors.Is(err, topic.ErrVersion) {
		t.Errorf("taking over: %v", err)
	}
	// It is newer, and knows the older.
	old, err := topic.Create(shmtest.Name(t), options("drop"))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Remove()
	if err := old.Send(t.Context(), []byte("old")); err != nil {
		t.Fatal(err)
	}
	p = shmtest.Exec(t, later, "look", nameOf(t, old))
	p.Recv()
	p.Expect(`sample 0, number 0: "old", word 0, flags 0`)
	p.Wait()
}

// nameOf finds the name of the only topic of this process's own.
func nameOf(t *testing.T, p *topic.Publisher) string {
	t.Helper()
	names, err := filepath.Glob("/dev/shm/*.topic")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range names {
		name := strings.TrimSuffix(filepath.Base(path), ".topic")
		if strings.Contains(name, strings.NewReplacer("/", "_").Replace(t.Name())) {
			if _, err := os.ReadFile(path + "/data"); err == nil && isOld(path) {
				return name
			}
		}
	}
	t.Fatal("no topic of this test")
	return ""
}

func isOld(path string) bool {
	b, err := os.ReadFile(path + "/data")
	return err == nil && le.Uint32(b[topicdir.OffVersion:]) == 1
}

// TestCompile: who compiles for another machine, or too late, is told so. C++
// and other compilers find nothing to object to.
func TestCompile(t *testing.T) {
	to := filepath.Join(t.TempDir(), "peer")
	cc := shmtest.CC(t)
	if runtime.GOARCH == "amd64" {
		// The answer comes before the C library of that machine is missed.
		out, err := tryCompile(cc, "peer.c", to, "-std=c11", "-fsyntax-only", "-m32")
		if err == nil || !strings.Contains(out, "topics are for 64-bit little-endian Linux") {
			t.Errorf("32 bits: %v\n%s", err, out)
		}
	}
	out, err := tryCompile(cc, "late.c", to, "-std=c11", "-fsyntax-only")
	if err == nil || !strings.Contains(out, "define _GNU_SOURCE before the first #include") {
		t.Errorf("included too late: %v\n%s", err, out)
	}
	cxx := []string{"-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"}
	for _, other := range []struct {
		cc    string
		flags []string
	}{
		{"gcc", slices.Concat(strict, []string{"-std=c17", "-fsyntax-only"})},
		{"clang", slices.Concat(strict, []string{"-fsyntax-only"})},
		{"g++", cxx},
		{"clang++", cxx},
	} {
		if _, err := exec.LookPath(other.cc); err != nil {
			t.Logf("%s is not there", other.cc)
			continue
		}
		for _, source := range []string{"peer.c", "flip.c"} {
			if out, err := tryCompile(other.cc, source, to, other.flags...); err != nil {
				t.Errorf("%s %s: %v\n%s", other.cc, source, err, out)
			}
		}
	}
}

// TestForeignFiles: what does not belong into a topic's directory, in the
// place of what does.
func TestForeignFiles(t *testing.T) {
	fifo := func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) }
	link := func(t *testing.T, path string) { must(t, os.Symlink("/dev/zero", path)) }
	dir := func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }
	empty := func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o600)) }
	none := func(t *testing.T, path string) {}
	for what, make := range map[string]func(*testing.T, string){"fifo": fifo, "symlink": link, "directory": dir, "empty": empty, "missing": none} {
		t.Run(what+" for data", func(t *testing.T) {
			each(t, func(t *testing.T, language string) {
				name := plant(t, goldenRing(t))
				path := filepath.Join(dirOf(name), "data")
				must(t, os.Remove(path))
				make(t, path)
				if code, text := answer(t, language, name); code != "SHM_TOPIC_ECORRUPT" {
					t.Errorf("%s: %s", code, text)
				}
			})
		})
		t.Run(what+" for the bell", func(t *testing.T) {
			// Nothing is lost without a bell: readers look by themselves, a
			// successor makes a new one.
			name := plant(t, goldenRing(t))
			withMember(t, name)
			path := filepath.Join(dirOf(name), "bell")
			must(t, os.Remove(path))
			make(t, path)
			each(t, func(t *testing.T, language string) {
				if code, text := answer(t, language, name); code != "" {
					t.Errorf("%s: %s", code, text)
				}
			})
			p := begin(t, "checked", "adopt", name)
			if what == "directory" {
				p.Expect("SHM_TOPIC_ESYSTEM")
				p.Exit()
				return
			}
			p.Expect("published 6")
			p.Recv()
			p.Recv()
			p.Wait()
			if st, err := os.Lstat(path); err != nil || !st.Mode().IsRegular() || st.Size() != topicdir.BellSize {
				t.Errorf("the bell: %v, %v", st, err)
			}
		})
	}
	t.Run("for subscribers", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		name := shmtest.Name(t)
		remove(t, name)
		pub := begin(t, "checked", "pub", name, "block", 1000, 1, 1)
		pub.Expect("from 0")
		at := func(first string) string { return filepath.Join(dirOf(name), "r."+first+strings.Repeat("0", 31)) }
		fifo(t, at("1"))
		link(t, at("2"))
		dir(t, at("3"))
		empty(t, at("4"))
		must(t, os.WriteFile(at("5"), bytes.Repeat([]byte("foreign "), 1024), 0o400))
		must(t, os.WriteFile(at("6"), golden(t, "subscriber"), 0o400)) // of another topic, and name
		must(t, os.WriteFile(filepath.Join(dirOf(name), "readme.txt"), []byte("foreign"), 0o600))
		must(t, os.WriteFile(filepath.Join(dirOf(name), "r.short"), []byte("foreign"), 0o600))
		sub := begin(t, "go", "sub", name, "next", 0, 0)
		start(pub, sub)
		pub.Expect("done")
		pub.Wait()
		if r := ended(t, sub); r.next != 1000 || r.lost != 0 {
			t.Errorf("%+v", r)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCutShort: files that their owners cut short are errors to who called
// shm_topic_guard.
func TestCutShort(t *testing.T) {
	t.Run("data under a subscriber", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		name := shmtest.Name(t)
		remove(t, name)
		pub := begin(t, "c", "pub", name, "drop", 0, 1, 1)
		pub.Expect("from 0")
		sub := begin(t, "c", "sub", name, "next", 0, 1)
		start(pub, sub)
		sub.Expect("at 1")
		pub.Stop() // for it would not survive either
		must(t, os.Truncate(filepath.Join(dirOf(name), "data"), 4096))
		until(sub, "SHM_TOPIC_ETRUNCATED")
		sub.Exit()
		pub.Kill()
	})
	t.Run("a subscriber's file under a publisher", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		name := shmtest.Name(t)
		remove(t, name)
		pub := begin(t, "c", "pub", name, "block", 20_000, 1, 2)
		pub.Expect("from 0")
		good := begin(t, "go", "sub", name, "next", 0, 0)
		bad := begin(t, "c", "hold", name, 1)
		pub.Expect("ready")
		until(good, "admitted")
		until(bad, "admitted")
		mine := members(t, name)
		for _, path := range mine {
			b, err := os.ReadFile(path)
			must(t, err)
			if le.Uint64(b[topicdir.OffPID:]) == uint64(bad.PID()) {
				must(t, os.Chmod(path, 0o600))
				must(t, os.Truncate(path, 0))
			}
		}
		pub.Send("go")
		pub.Expect("done")
		pub.Wait()
		if r := ended(t, good); r.next != 20_000 || r.lost != 0 {
			t.Errorf("%+v", r)
		}
		bad.Kill()
	})
}

// TestSameFiles: what C makes is what Go makes, byte for byte, but for what
// names the maker; and for every way of sharing the rights are the same.
func TestSameFiles(t *testing.T) {
	shmtest.CheckLeaks(t)
	for _, sharing := range []topic.Sharing{topic.Private, topic.Group, topic.All, topic.ObserveOnly} {
		t.Run(fmt.Sprint(sharing), func(t *testing.T) {
			names := [2]string{shmtest.Name(t), shmtest.Name(t)}
			var made [2]map[string]string
			for i, language := range []string{"go", "c"} {
				remove(t, names[i])
				p := begin(t, language, "make", names[i], int(sharing), os.Getgid())
				p.Expect("made")
				made[i] = describe(t, names[i])
				p.Send("")
				p.Wait()
			}
			for file := range made[0] {
				if made[0][file] != made[1][file] {
					t.Errorf("%s: go has\n%s\nc has\n%s", file, made[0][file], made[1][file])
				}
			}
			if len(made[0]) != len(made[1]) || len(made[0]) != 6 {
				t.Errorf("go has %d files, c %d", len(made[0]), len(made[1]))
			}
		})
	}
}

func init() {
	shmtest.Handle("make", func(c *shmtest.Child) {
		var sharing, gid int
		if _, err := fmt.Sscan(c.Args[1]+" "+c.Args[2], &sharing, &gid); err != nil {
			c.Fatal(err)
		}
		p, err := topic.Create(c.Args[0], &topic.Options{
			Size: 100, Slots: 64, Subscribers: 5, Held: 3, Policy: topic.Block, Align: 128,
			Patience: 1234567, Sharing: topic.Sharing(sharing), GID: gid, Type: "ünï.Type", TypeHash: [32]byte{7, 8, 9},
		})
		c.Check(err)
		s, err := topic.Subscribe(context.Background(), c.Args[0], nil)
		c.Check(err)
		c.Check(p.Poll())
		for range 3 {
			c.Check(p.Send(context.Background(), []byte("the same")))
		}
		c.Send("made")
		c.Recv()
		c.Check(s.Close())
		c.Check(p.Close())
	})
}

// describe gives the rights and the bytes of a topic's files, without what is
// different each time.
func describe(t *testing.T, name string) map[string]string {
	t.Helper()
	found := map[string]string{}
	st, err := os.Stat(dirOf(name))
	must(t, err)
	found["."] = st.Mode().String()
	entries, err := os.ReadDir(dirOf(name))
	must(t, err)
	for _, e := range entries {
		path := filepath.Join(dirOf(name), e.Name())
		st, err := os.Lstat(path)
		must(t, err)
		b, err := os.ReadFile(path)
		must(t, err)
		if len(b) > 0 {
			clear(b[topicdir.OffInstance:topicdir.OffUID])
			clear(b[topicdir.OffTopic:topicdir.OffReady])
		}
		if e.Name() == "data" {
			hot := topicdir.HeaderSize
			clear(b[hot+topicdir.HotPublisher : hot+topicdir.HotPublisher+16])
			clear(b[hot+topicdir.HotCounters+8*topicdir.CountWakes:][:8])
			clear(b[hot+topicdir.HotCounters+8*topicdir.CountHousekeepings:][:8])
			clear(b[hot+topicdir.HotAlive:][:8])
			clear(b[hot+topicdir.HotSize:][:16]) // the ID in the table
			for s := range 3 {
				clear(b[hot+topicdir.HotSize+5*topicdir.EntrySize+s*topicdir.SlotSize+topicdir.SlotTime:][:8])
			}
		}
		text := fmt.Sprintf("%v, %d bytes, %d blocks", st.Mode(), st.Size(), st.Sys().(*syscall.Stat_t).Blocks)
		for at := 0; at < len(b); at += 8 {
			if v := le.Uint64(b[at:]); v != 0 {
				text += fmt.Sprintf("\n%d: %#x", at, v)
			}
		}
		key := e.Name()
		if len(key) == 34 {
			key = key[:2] + "ID"
		}
		found[key] = text
	}
	return found
}

// TestNames: both refuse what cannot be the name of a topic.
func TestNames(t *testing.T) {
	for _, name := range []string{"", ".hidden", "a/b", "a\nb", "\xff", strings.Repeat("x", 201), "\u0085"} {
		if err := topicdir.CheckName(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
		p := shmtest.Exec(t, peer(t), "look", name)
		p.Expect("SHM_TOPIC_EINVALID")
		p.Exit()
	}
	for _, name := range []string{"a b", "ünï", strings.Repeat("x", 200), "日本", "a.b"} {
		if err := topicdir.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		p := shmtest.Exec(t, peer(t), "look", name)
		p.Expect("SHM_TOPIC_ENOTFOUND")
		p.Exit()
	}
}
