package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/internal/procfs"
)

// jsonObject is an object as every --json shows it. The form only grows:
// numbers are numbers, times RFC 3339, and what is not known or does not
// apply is left out.
type jsonObject struct {
	Kind     inspect.Kind  `json:"kind"`
	Address  string        `json:"address,omitempty"`
	Name     string        `json:"name,omitempty"`
	Names    []string      `json:"names,omitempty"`   // where there are several
	Key      string        `json:"key,omitempty"`     // 0x and eight digits, as ipcs shows it
	OldKey   string        `json:"old_key,omitempty"` // before the removal
	ID       *int          `json:"id,omitempty"`
	Size     int64         `json:"size"`
	Used     *int64        `json:"used,omitempty"`
	Swapped  *int64        `json:"swapped,omitempty"`
	AtLeast  bool          `json:"at_least,omitempty"` // size and used may be more
	Mode     string        `json:"mode,omitempty"`     // octal
	ACL      bool          `json:"acl,omitempty"`
	UID      *uint32       `json:"uid,omitempty"`
	Owner    string        `json:"owner,omitempty"`
	GID      *uint32       `json:"gid,omitempty"`
	Group    string        `json:"group,omitempty"`
	CUID     *uint32       `json:"cuid,omitempty"`
	CGID     *uint32       `json:"cgid,omitempty"`
	NAttach  *uint64       `json:"nattch,omitempty"`
	Holders  []jsonHolder  `json:"holders"`
	Unseen   uint64        `json:"unseen,omitempty"` // attachments of processes that could not be seen
	Creator  *jsonCreator  `json:"creator,omitempty"`
	LPID     int           `json:"lpid,omitempty"`
	Created  *time.Time    `json:"created,omitempty"`
	Modified *time.Time    `json:"modified,omitempty"`
	LastUsed *time.Time    `json:"last_used,omitempty"`
	State    inspect.State `json:"state"`
	Reason   string        `json:"reason,omitempty"` // why it is an orphan or is not
	Removed  bool          `json:"removed,omitempty"`
	Foreign  bool          `json:"foreign,omitempty"` // of another namespace
	Locked   bool          `json:"locked,omitempty"`
	Huge     int64         `json:"huge,omitempty"` // size of its huge pages
	Seals    []string      `json:"seals,omitempty"`
	Links    *uint64       `json:"links,omitempty"`
	Inode    uint64        `json:"inode,omitempty"`
	Value    *uint32       `json:"value,omitempty"` // of a semaphore
	Waiters  *uint32       `json:"waiters,omitempty"`
	Via      string        `json:"via,omitempty"`     // a path to the bytes where there is no name
	Partial  bool          `json:"partial,omitempty"` // processes may be missing from holders
	Reasons  []string      `json:"reasons,omitempty"` // why
}

type jsonHolder struct {
	PID      int    `json:"pid"`
	Command  string `json:"command"`
	Cmdline  string `json:"cmdline,omitempty"` // of info alone
	UID      uint32 `json:"uid"`
	Owner    string `json:"owner,omitempty"`
	Maps     int    `json:"maps"`
	FDs      []int  `json:"fds,omitempty"`
	Writable bool   `json:"writable"`
	InnerPID int    `json:"inner_pid,omitempty"` // in its own pid namespace
}

type jsonCreator struct {
	PID     int          `json:"pid,omitempty"`
	Life    inspect.Life `json:"life"`
	Command string       `json:"command,omitempty"`
	Reused  bool         `json:"reused,omitempty"` // the number is another's by now
}

// toJSON gives the object in that form.
func toJSON(o *inspect.Object, u *users) *jsonObject {
	j := &jsonObject{
		Kind: o.Kind, Address: o.Address, Name: jsonText(o.Name), Size: o.Size, AtLeast: o.AtLeast,
		Holders: []jsonHolder{}, Unseen: o.Unseen,
		Created: jsonTime(o.Created), Modified: jsonTime(o.Modified), LastUsed: jsonTime(o.LastUsed),
		State: o.State(), Removed: o.Removed, Foreign: o.Foreign, Locked: o.Locked, Huge: o.Huge,
		Inode: o.Inode, Via: o.Via,
		Partial: o.Partial(), Reasons: reasonTexts(o.Reasons),
	}
	if len(o.Names) > 1 {
		for _, n := range o.Names {
			j.Names = append(j.Names, jsonText(n))
		}
	}
	if o.Used >= 0 {
		j.Used = &o.Used
	}
	if !o.AtLeast {
		j.Mode, j.ACL = fmt.Sprintf("%04o", uint32(o.Mode.Perm())), o.ACL
		j.UID, j.Owner, j.GID, j.Group = &o.UID, u.name(o.UID), &o.GID, u.group(o.GID)
	}
	switch o.Kind {
	case inspect.KindSysV:
		j.Inode = 0
		j.Key = fmt.Sprintf("0x%08x", uint32(o.Key))
		if k := keyOf(o); k != uint32(o.Key) {
			j.OldKey = fmt.Sprintf("0x%08x", k)
		}
		id := int(o.ID)
		j.ID = &id
		if o.Swapped >= 0 {
			j.Swapped = &o.Swapped
		}
		if !o.Foreign {
			j.CUID, j.CGID, j.NAttach, j.LPID = &o.CUID, &o.CGID, &o.NAttach, o.LPID
			j.Creator = &jsonCreator{o.Creator.PID, o.Creator.Life, o.Creator.Command, o.Creator.Reused}
		}
	case inspect.KindPOSIX, inspect.KindSemaphore, inspect.KindOther:
		j.Links = &o.Links
	}
	if judged(o) {
		_, j.Reason = o.Orphaned()
	}
	if o.HasSeals {
		j.Seals = []string{}
		if o.Seals != 0 {
			j.Seals = strings.Split(o.Seals.String(), "|")
		}
	}
	if o.Semaphore != nil {
		j.Value, j.Waiters = &o.Semaphore.Value, &o.Semaphore.Waiters
	}
	for _, h := range o.Holders {
		j.Holders = append(j.Holders, jsonHolder{PID: h.PID, Command: h.Command, UID: h.UID, Owner: u.name(h.UID), Maps: h.Maps, FDs: h.FDs, Writable: h.Writable, InnerPID: h.InnerPID})
	}
	return j
}

// withCmdlines adds the processes' arguments, for whoever asks about one
// object. They may be long and tell more than a list should.
func (j *jsonObject) withCmdlines(o *inspect.Object) *jsonObject {
	for i, h := range o.Holders {
		j.Holders[i].Cmdline = shorten(h.Cmdline, cmdlineMax)
	}
	return j
}

// cmdlineMax is how many characters of a command line are shown.
const cmdlineMax = 200

func jsonTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.Local()
	return &t
}

// jsonText gives a name as it is, which JSON escapes, unless it is no text.
func jsonText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return procfs.Printable(s)
}

func reasonTexts(reasons []inspect.Reason) []string {
	var texts []string
	for _, r := range reasons {
		texts = append(texts, r.String())
	}
	return texts
}

// writeJSON writes one document, indented for people when indent is set,
// else in one line.
func writeJSON(w io.Writer, v any, indent bool) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if indent {
		e.SetIndent("", "  ")
	}
	return e.Encode(v)
}
