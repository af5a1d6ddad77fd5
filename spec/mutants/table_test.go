package mutants

// edit changes the source in one place.
type edit struct{ file, old, new string }

// mutant is one way to break the protocol.
type mutant struct {
	name string
	// of is what it breaks: "NAME FILE FUNCTION" of a SYNC POINT, or the first
	// column of a row of section 9, or nothing of both.
	of    string
	edits []edit
	// order: it breaks the order of accesses alone. A process that is killed
	// does not show that, for what it stored is there; see the explorer.
	order bool
	// harmless says why nothing has to catch it.
	harmless string
}

var mutants = []mutant{
	// Sleeping.
	{name: "sleeper raises no flag", of: "sleep internal/wait/bell.go Arm", edits: []edit{
		{"internal/wait/bell.go", "\tmem.Swap32(b.Flag, 1)\n", ""}}},
	{name: "sleeper does not fence", of: "sleep internal/wait/bell.go Arm", order: true, edits: []edit{
		{"internal/wait/bell.go", "\tmem.FullFence()\n\tif b.FenceFree == nil", "\tif b.FenceFree == nil"}}},
	{name: "waker takes the flag down last", of: "sleep internal/wait/waker.go Wake", edits: []edit{
		{"internal/wait/waker.go", "\tmem.Swap32(w.Flag, 0)\n\tw.Rings++\n\tif w.WakeAll() > 0 {", "\tw.Rings++\n\tn := w.WakeAll()\n\tmem.Swap32(w.Flag, 0)\n\tif n > 0 {"}}},
	{name: "waker does not fence", of: "sleep internal/wait/waker.go Wake", order: true, edits: []edit{
		{"internal/wait/waker.go", "\tif !w.FenceFree {\n\t\tmem.FullFence()\n\t}\n", ""}}},
	{name: "waker does not change the word", of: "sleep internal/wait/waker.go Wake", edits: []edit{
		{"internal/wait/waker.go", "\tmem.Add32(w.Word, 1)\n", ""}}},
	{name: "joiner does not look", of: "join internal/wait/waiter.go join", edits: []edit{
		{"internal/wait/waiter.go", "\tif ok, err := s.look(ready); ok || err != nil {\n\t\treturn nil, err\n\t}\n", ""}}},
	{name: "watcher looks before it arms", of: "join internal/wait/watch.go pass", edits: []edit{
		{"internal/wait/watch.go", "\tif arm {\n\t\tt.fail = t.arm()\n\t}\n\ts.mu.Lock()\n\tdefer s.mu.Unlock()\n", "\tif arm {\n\t\tdefer func() { t.fail = t.arm() }()\n\t}\n\ts.mu.Lock()\n\tdefer s.mu.Unlock()\n"}}},
	{name: "watcher does not look for others", of: "join internal/wait/sleeper.go Sleeper", edits: []edit{
		{"internal/wait/watch.go", "\t\town, found, t.fail = t.lookAround()\n", "\t\tif t.ready != nil {\n\t\t\town = t.ready()\n\t\t\tfound = own\n\t\t}\n"}}},

	// Holding.
	{name: "quick take fences after its look", of: "pin topic/take.go quick", order: true, edits: []edit{
		{"topic/take.go", "\t}\n\th := g.headers.At(c & g.mask)\n\tmem.StoreRelease64(&s.holds[pin], c+1)\n\tmem.StoreFull64(", "\t}\n\th := g.headers.At(c & g.mask)\n\tmem.StoreRelease64(&s.holds[pin], c+1)\n\tmem.StoreRelease64("}}},
	{name: "quick take looks at no stamp", of: "pin topic/take.go quick", edits: []edit{
		{"topic/take.go", "\tif st.kind() != kindSample || st.number() != c || !rightEpoch(st, since, c) ||\n\t\tmem.LoadAcquire64", "\tif st.kind() > 7 || since.kind() > 7 ||\n\t\tmem.LoadAcquire64"}}},
	{name: "quick take looks at no state", of: "pin topic/take.go quick", edits: []edit{
		{"topic/take.go", "\t\tmem.LoadAcquire64(&s.entry.state) != s.state || !s.fill(m, h, c, pin) {", "\t\t!s.fill(m, h, c, pin) {"}}},
	{name: "quick take does not pin", of: "pin topic/take.go quick", edits: []edit{
		{"topic/take.go", "\t}\n\th := g.headers.At(c & g.mask)\n\tmem.StoreRelease64(&s.holds[pin], c+1)\n\tmem.StoreFull64(&s.pins[pin], c+1)", "\t}\n\th := g.headers.At(c & g.mask)\n\tmem.StoreRelease64(&s.holds[pin], c+1)\n\tmem.StoreFull64(&s.pins[pin], 0)"}}},
	{name: "take does not fence", of: "pin topic/take.go take", order: true, edits: []edit{
		{"topic/take.go", "\t\tmem.StoreFull64(&s.pins[pin], c+1) // SYNC", "\t\tmem.StoreRelease64(&s.pins[pin], c+1) // SYNC"}}},
	{name: "take does not pin", of: "pin topic/take.go take", edits: []edit{
		{"topic/take.go", "\t\tmem.StoreFull64(&s.pins[pin], c+1) // SYNC", "\t\tmem.StoreFull64(&s.pins[pin], 0) // SYNC"}}},
	{name: "reservation does not fence", of: "pin topic/take.go reserve", order: true, edits: []edit{
		{"topic/take.go", "\tmem.FullFence()\n\t// SYNC POINT: pin", "\t// SYNC POINT: pin"}}},
	{name: "reservation does not pin", of: "pin topic/take.go reserve", edits: []edit{
		{"topic/take.go", "\t\t\tmem.StoreRelease64(&s.pins[i], c+uint64(n))\n", ""}}},
	{name: "look takes the pins first", of: "pin topic/reader.go look", order: true, edits: []edit{
		{"topic/reader.go", "\t\tif c := mem.LoadAcquire64(r.cursor); c > r.seenCursor {\n\t\t\tr.seenCursor = max(r.seenCursor, min(c, p.shown))\n\t\t}\n\t\tfor i := range r.pins {", "\t\tdefer func() {\n\t\t\tif c := mem.LoadAcquire64(r.cursor); c > r.seenCursor {\n\t\t\t\tr.seenCursor = max(r.seenCursor, min(c, p.shown))\n\t\t\t}\n\t\t}()\n\t\tfor i := range r.pins {"}}},
	{name: "look takes no pins", of: "pin topic/reader.go look", edits: []edit{
		{"topic/reader.go", "\t\t\t\tr.seenPins[i] = v\n\t\t\t\tp.block(v, 1)\n", "\t\t\t\tv = 0\n\t\t\t\tr.seenPins[i] = v\n"}}},
	{name: "publisher does not fence before its look", of: "pin topic/lend.go prepare", order: true,
		harmless: "the second line: the models hold without it",
		edits:    []edit{{"topic/lend.go", "\t\tmem.FullFence()\n\t\tp.lookAll(n)\n", "\t\tp.lookAll(n)\n"}}},
	{name: "publisher does not look", of: "pin topic/lend.go prepare", edits: []edit{
		{"topic/lend.go", "\t\tmem.FullFence()\n\t\tp.lookAll(n)\n", "\t\tmem.FullFence()\n"}}},
	{name: "demotion does not look again", of: "pin topic/lend.go prepare", edits: []edit{
		{"topic/reader.go", "\tmem.FullFence()\n\tif !p.look(r, true) {\n\t\tp.evict(r, truncated)\n\t\treturn\n\t}\n", "\tmem.FullFence()\n"}}},

	// Waiting for room.
	{name: "publisher does not say what it wants", of: "want topic/room.go sleepForRoom", edits: []edit{
		{"topic/room.go", "\tmem.StoreRelease64(p.ring.want, 1+p.target(need))\n", ""}}},
	{name: "publisher does not fence before it sleeps", of: "want topic/room.go sleepForRoom", order: true, edits: []edit{
		{"topic/room.go", "\tmem.StoreRelease64(p.ring.want, 1+p.target(need))\n\tmem.FullFence()\n", "\tmem.StoreRelease64(p.ring.want, 1+p.target(need))\n"}}},
	{name: "subscriber wakes no publisher", of: "want topic/take.go step", edits: []edit{
		{"topic/take.go", "\t\ts.wakePublisher()\n", ""}}},
	{name: "subscriber does not fence", of: "want topic/take.go step", order: true, edits: []edit{
		{"topic/take.go", "\t\tmem.StoreFull64(s.cursor, c)\n", "\t\tmem.StoreRelease64(s.cursor, c)\n"}}},

	// Section 9, row by row.
	{name: "successor begins behind what was lent", of: "publisher between busy and head", edits: []edit{
		{"topic/create.go", "\tp.next, p.last, p.shown = head, head, head\n\tp.busy = p.stamped(head)\n", "\tp.busy = p.stamped(head)\n\tp.next, p.last, p.shown = p.busy, p.busy, head\n"}}},
	{name: "successor counts what was not shown", of: "publisher between busy and head", edits: []edit{
		{"topic/create.go", "\tp.seq = p.sequence(head, before)\n", "\tp.seq = g.counters.published\n"}}},
	{name: "sleeps have no bound", of: "publisher after head, before waking", edits: []edit{
		{"topic/station.go", "\t\tBound: sleepBound,", "\t\tBound: 1000 * time.Hour,"}}},
	{name: "successor wakes nobody", of: "publisher between swap and wake", edits: []edit{
		{"topic/create.go", "\tp.bell.wakeAll(p.ring)\n\tif takeOver", "\tif takeOver"}},
		harmless: "the bound of every sleep, which the row above is about, wakes too"},
	{name: "entry is admitted before it has its id", of: "publisher while it admits", edits: []edit{
		{"topic/reader.go", "\tp.setState(r.index, stateFree)\n\tmem.StoreFence()\n\tmem.Store(&e.id", "\tp.setState(r.index, stateAdmitted)\n\tmem.StoreFence()\n\tmem.Store(&e.id"}}},
	{name: "successor looks at no demoted", of: "publisher while it demotes", edits: []edit{
		{"topic/create.go", "\t\tif !p.look(r, true) {\n", "\t\tif r.admitted && !p.look(r, true) {\n"}}},
	{name: "successor looks at nobody", of: "publisher while it demotes", edits: []edit{
		{"topic/create.go", "\t\tif !p.look(r, true) {\n", "\t\tif false {\n"}}},
	{name: "the dead without entry are left", of: "publisher between freeing an entry and unlinking", edits: []edit{
		{"topic/housekeeping.go", "\t\tif !m.Alive() {\n\t\t\tp.bury(one)\n", "\t\tif !m.Alive() {\n"}}},
	{name: "successor does not look for wishes", of: "publisher while it waits", edits: []edit{
		{"topic/create.go", "\tmem.StoreRelease64(g.end, 0)\n\tmem.StoreRelease64(g.want, 0)\n", "\tmem.StoreRelease64(g.end, 0)\n"}}},
	{name: "successor stores no since", of: "publisher between since and epoch", edits: []edit{
		{"topic/create.go", "\tmem.StoreRelease64(g.since, uint64(makeStamp(p.epoch, head, 0)))\n\tmem.StoreRelease64(g.epoch, p.epoch)\n", "\tif !takeOver {\n\t\tmem.StoreRelease64(g.since, uint64(makeStamp(p.epoch, head, 0)))\n\t}\n\tmem.StoreRelease64(g.epoch, p.epoch)\n"}}},
	{name: "nobody sweeps up half-made topics", of: "publisher in Create", edits: []edit{
		{"internal/topicdir/create.go", "\tsweep(mount)\n", ""}}},
	{name: "the dead are waited for", of: "subscriber anywhere", edits: []edit{
		{"topic/room.go", "&& !r.member.Alive() {\n\t\t\tp.evict(r, p.end(r))\n", "&& false {\n\t\t\tp.evict(r, p.end(r))\n"}, {"topic/housekeeping.go", "\t\tif r.member.Alive() {\n\t\t\tkept", "\t\tif true {\n\t\t\tkept"}}},
	{name: "pins of the dead stay", of: "subscriber anywhere", edits: []edit{
		{"topic/reader.go", "\tp.forget(r)\n\tr.admitted = false\n", "\tr.admitted = false\n"}}},
	{name: "a child that keeps the lock lives for its parent", of: "a parent whose forked child keeps the lock", edits: []edit{
		{"internal/topicdir/lock.go", "\tcase !locked || m.vanished():\n\t\treturn false\n", "\tcase !locked:\n\t\treturn false\n"}, {"internal/topicdir/lock.go", "\tif m.Gone() {\n\t\treturn false\n\t}\n\tl.looked", "\tl.looked"}}},
	{name: "what removers left is left", of: "remover half-way", edits: []edit{
		{"internal/topicdir/remove.go", "range []string{newPrefix, deadPrefix} {", "range []string{newPrefix} {"}}},
	{name: "pruner frees no entry", of: "who prunes, between freeing an entry and unlinking", edits: []edit{
		{"internal/topicdir/prune.go", "\tif err := o.freeEntry(id); err != nil {\n\t\treturn err\n\t}\n", ""}}},
	{name: "what pruners left is left", of: "who prunes a topic, half-way", edits: []edit{
		{"internal/topicdir/remove.go", "range []string{newPrefix, deadPrefix} {", "range []string{newPrefix} {"}}},
	{name: "pruner does not look again", of: "prune internal/topicdir/prune.go pruneTopic", edits: []edit{
		{"internal/topicdir/prune.go", "err != nil || !ok || o.anyLiving() {", "err != nil || !ok {"}}},
	{name: "who joins does not look at the name", of: "prune internal/topicdir/join.go join", edits: []edit{
		{"internal/topicdir/join.go", "\t\t\tif err = p.Named(); err != nil {\n\t\t\t\tm.Leave()\n\t\t\t\treturn nil, err\n\t\t\t}\n", ""}}},

	// The steps of publishing and taking.
	{name: "no busy stamp", edits: []edit{
		{"topic/lend.go", "\tmem.StoreRelease64(&h.stamp, uint64(makeStamp(p.epoch, n, kindBusy)))\n", ""}}},
	{name: "head before stamp", edits: []edit{
		{"topic/lend.go", "\tmem.StoreRelease64(&h.stamp, uint64(makeStamp(p.epoch, n, kindSample)))\n", "\tmem.StoreRelease64(g.head, n+1)\n\tmem.StoreRelease64(&h.stamp, uint64(makeStamp(p.epoch, n, kindSample)))\n"}}},
	{name: "stamp before length", edits: []edit{
		{"topic/lend.go", "\tmem.Store(&h.seq, p.seq)\n", "\tmem.StoreRelease64(&h.stamp, uint64(makeStamp(p.epoch, n, kindSample)))\n\tmem.StoreRelease64(g.head, n+1)\n\tmem.Store(&h.seq, p.seq)\n"}}},
	{name: "a copy is not looked at again", edits: []edit{
		{"topic/take.go", "\tmem.LoadFence()\n\tif stamp(mem.LoadAcquire64(&h.stamp)) != st {\n\t\ts.pass(0, c)\n\t\treturn false, nil\n\t}\n", ""}}},
	{name: "cursor before pin", order: true, edits: []edit{
		{"topic/take.go", "\t}\n\th := g.headers.At(c & g.mask)\n\tmem.StoreRelease64(&s.holds[pin], c+1)\n\tmem.StoreFull64(", "\t}\n\th := g.headers.At(c & g.mask)\n\tmem.StoreRelease64(&s.holds[pin], c+1)\n\tmem.StoreRelease64(s.cursor, c+1)\n\tmem.StoreFull64("}}},
	{name: "length is believed", edits: []edit{
		{"topic/take.go", "\tif n > s.ring.capacity {\n\t\treturn false\n\t}\n", ""}}},
	{name: "file has its name before its header", edits: []edit{
		{"internal/topicdir/create.go", "\tif size > 0 {\n\t\tif err := d.writeHeader(header); err != nil {\n\t\t\td.discard()\n\t\t\treturn nil, fmt.Errorf(\"%s: %w\", name, err)\n\t\t}\n\t}\n\treturn d.publish(name, mode, name == lockFile || strings.HasPrefix(name, publisherFile))\n", "\tfd, err := d.publish(name, mode, name == lockFile || strings.HasPrefix(name, publisherFile))\n\tif err == nil && size > 0 {\n\t\terr = d.writeHeader(header)\n\t}\n\treturn fd, err\n"}},
		harmless: "the directory gets its name when all is in it; a publisher's file is that of its lock"},
	{name: "file has its name before its lock", edits: []edit{
		{"internal/topicdir/draft.go", "\tif err == nil && lock {\n\t\terr = sys.LockByte(d.fd.Int())\n\t}\n", "\tif lock {\n\t\tdefer sys.LockByte(d.fd.Int())\n\t}\n"}}},
}
