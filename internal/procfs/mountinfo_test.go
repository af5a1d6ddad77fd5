package procfs

import (
	"fmt"
	"strings"
	"testing"
)

// escapeMount writes s as the kernel does in this file.
func escapeMount(s string) string {
	return strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(s)
}

// formatMount writes m as the kernel does.
func formatMount(m *Mount) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d %d:%d %s %s %s", m.ID, m.ParentID, m.Dev.Major, m.Dev.Minor,
		escapeMount(m.Root), escapeMount(m.MountPoint), escapeMount(m.Options))
	for _, f := range m.Optional {
		if f == "-" { // never the kernel's, but the parser takes it escaped
			f = `\055`
		} else {
			f = escapeMount(f)
		}
		b.WriteString(" " + f)
	}
	fmt.Fprintf(&b, " - %s %s %s\n", escapeMount(m.FSType), escapeMount(m.Source), escapeMount(m.SuperOptions))
	return b.String()
}

func TestParseMountinfo(t *testing.T) {
	ms := parseFixture(t, "mountinfo", ParseMountinfo)
	m := ms.Find("/dev/shm/object")
	diff(t, &Mount{
		ID: 30, ParentID: 25, Dev: Dev{0, 27}, Root: "/", MountPoint: "/dev/shm", Options: "rw,relatime",
		FSType: "tmpfs", Source: "tmpfs", SuperOptions: "rw,size=24682416k",
	}, m)
	if size, ok := m.SuperOption("size"); !ok || size != "24682416k" || m.ReadOnly() || !m.HasOption("relatime") || m.HasOption("size") {
		t.Error("options are wrong")
	}

	in := `36 35 98:0 /a\040b /mnt/x\011y\134z\012 ro,noatime shared:1 master:2 propagate_from:3 - fuse.some\040type  rw,opt=has spaces,x=\043` + "\n" +
		"37 36 0:4 net:[4026532281] /run/netns/a rw unbindable - nsfs nsfs rw\n" +
		"38 36 0:5 /x//deleted /y rw master:7 - tmpfs none \n"
	ms, err := ParseMountinfo(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, Mount{
		ID: 36, ParentID: 35, Dev: Dev{98, 0}, Root: "/a b", MountPoint: "/mnt/x\ty\\z\n", Options: "ro,noatime",
		Optional: []string{"shared:1", "master:2", "propagate_from:3"},
		FSType:   "fuse.some type", Source: "", SuperOptions: "rw,opt=has spaces,x=#",
	}, ms[0])
	if !ms[0].ReadOnly() {
		t.Error("ro is read-only")
	}
	for i, want := range []string{"shared,slave", "unbindable", "slave"} {
		if got := ms[i].Propagation(); got != want {
			t.Errorf("propagation %q, want %q", got, want)
		}
	}
	ms[0].Optional = []string{"shared:1"}
	if ms[0].Propagation() != "shared" || (&Mount{}).Propagation() != "private" {
		t.Error("propagation is wrong")
	}
}

func TestMountsFind(t *testing.T) {
	ms := Mounts{
		{ID: 27, ParentID: 1, MountPoint: "/"},
		{ID: 24, ParentID: 27, MountPoint: "/dev"},
		{ID: 25, ParentID: 24, MountPoint: "/dev/shm"},
		{ID: 30, ParentID: 25, MountPoint: "/dev/shm"}, // stacked on the one before
		{ID: 40, ParentID: 27, MountPoint: "/a/b"},     // hidden by the next
		{ID: 41, ParentID: 27, MountPoint: "/a"},
		{ID: 42, ParentID: 41, MountPoint: "/a/c"},
	}
	for name, want := range map[string]int{
		"/": 27, "/x": 27, "": 27, "/dev": 24, "/device": 27, "/dev/shmem": 24, "/dev/shm": 30, "/dev/shm/x/y": 30,
		"/dev/../a": 41, "/a/b": 41, "/a/b/x": 41, "/a/c": 42, "/a//c/../c/x": 42,
	} {
		if m := ms.Find(name); m == nil || m.ID != want {
			t.Errorf("Find(%q) = %+v, want %d", name, m, want)
		}
	}
	// Inside chroot(2) the root itself may be no mount.
	if m := ms[1:].Find("/x"); m != nil {
		t.Errorf("found %+v", m)
	}
	if m := ms[1:].Find("/dev/shm/x"); m == nil || m.ID != 30 {
		t.Errorf("found %+v", m)
	}
	// Nonsense ends too.
	loop := Mounts{{ID: 1, ParentID: 2, MountPoint: "/"}, {ID: 2, ParentID: 1, MountPoint: "/"}, {ID: 3, ParentID: 3, MountPoint: "/"}, {ID: 3, ParentID: 3, MountPoint: "/"}}
	if m := loop.Find("/"); m == nil || m.ID != 3 {
		t.Errorf("found %+v", m)
	}
}

func TestMountinfoErrors(t *testing.T) {
	const good = "36 35 98:0 / /mnt rw - ext4 /dev/x rw\n"
	for _, c := range []struct{ line, want string }{
		{"", "a mount id"},
		{"36 x", "a mount id"},
		{"36 35 98", "MAJOR:MINOR"},
		{"36 35 98:0", "a root directory"},
		{"36 35 98:0 /", "a mount point"},
		{"36 35 98:0 / mnt rw - ext4 x rw", "a mount point"},
		{"36 35 98:0 / /mnt rw", "a field -"},
		{"36 35 98:0 / /mnt rw shared:1", "a field -"},
		{"36 35 98:0 / /mnt rw  - ext4 x rw", "an optional field"},
		{"36 35 98:0 / /mnt rw -", "a file system type"},
		{"36 35 98:0 / /mnt rw - ext4", "a source"},
	} {
		_, err := ParseMountinfo(strings.NewReader(good + c.line + "\n"))
		wantParseError(t, err, "mountinfo", 2, c.want)
	}
}
