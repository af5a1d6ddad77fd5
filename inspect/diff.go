package inspect

import "slices"

// instance tells objects apart over time: what makes one, and when that was
// where it is known, for an inode number may be given again.
type instance struct {
	kind    Kind
	foreign bool
	at      place
	file    identity
}

func (o *Object) instance() instance {
	i := instance{foreign: o.Foreign, file: identity{o.Dev, o.Inode}}
	if o.Kind == KindSysV {
		i.kind, i.file, i.at = KindSysV, identity{}, place{o.IPCNamespace, o.ID}
	}
	return i
}

// Diff gives what happened between two snapshots: what went, what changed,
// what came, each in the order of the snapshots.
func Diff(before, after *Snapshot) []Event {
	old := make(map[instance]*Object, len(before.Objects))
	for i := range before.Objects {
		old[before.Objects[i].instance()] = &before.Objects[i]
	}
	kept := make(map[instance]bool, len(after.Objects))
	var changed, added []Event
	for i := range after.Objects {
		o := &after.Objects[i]
		b := old[o.instance()]
		if b == nil || another(b, o) {
			added = append(added, Event{Type: Added, Time: after.Time, Object: *o, Partial: after.Partial})
			continue
		}
		kept[o.instance()] = true
		if fields := changes(b, o); len(fields) > 0 {
			changed = append(changed, Event{Type: Changed, Time: after.Time, Object: *o, Before: b, Fields: fields, Partial: after.Partial})
		}
	}
	var events []Event
	for i := range before.Objects {
		if o := &before.Objects[i]; !kept[o.instance()] {
			events = append(events, Event{Type: Removed, Time: after.Time, Object: *o, Partial: after.Partial})
		}
	}
	return slices.Concat(events, changed, added)
}

// another reports whether b's inode number was given to a new file.
func another(b, o *Object) bool {
	return o.Kind != KindSysV && !b.Created.IsZero() && !o.Created.IsZero() && !b.Created.Equal(o.Created)
}

// changes names the fields that differ, in the order of Object.
func changes(a, b *Object) []string {
	var fields []string
	note := func(name string, same bool) {
		if !same {
			fields = append(fields, name)
		}
	}
	note("Kind", a.Kind == b.Kind)
	note("Names", slices.Equal(a.Names, b.Names))
	note("Size", a.Size == b.Size)
	note("Used", a.Used == b.Used)
	note("Mode", a.Mode == b.Mode && a.ACL == b.ACL)
	note("UID", a.UID == b.UID)
	note("GID", a.GID == b.GID)
	note("NAttach", a.NAttach == b.NAttach)
	note("Creator", a.Creator == b.Creator)
	note("Holders", slices.EqualFunc(a.Holders, b.Holders, sameHolder))
	note("Removed", a.Removed == b.Removed)
	note("Seals", a.Seals == b.Seals && a.HasSeals == b.HasSeals)
	note("Locked", a.Locked == b.Locked)
	note("Semaphore", a.Semaphore == b.Semaphore || a.Semaphore != nil && b.Semaphore != nil && *a.Semaphore == *b.Semaphore)
	return fields
}

func sameHolder(a, b Holder) bool {
	return a.PID == b.PID && a.Start == b.Start && a.Maps == b.Maps && a.Writable == b.Writable && slices.Equal(a.FDs, b.FDs)
}
