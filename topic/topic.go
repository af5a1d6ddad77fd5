// Package topic is publish and subscribe through shared memory: one
// publisher, any number of subscribers in any number of processes, zero
// copies. A sample is written in the place where all subscribers read it;
// publishing costs the same however many they are.
//
// # Guarantees
//
//   - A subscriber never gets a sample that is not whole, whoever is killed
//     at whatever moment.
//   - A sample that a subscriber holds does not change until it releases it.
//   - Under Block an admitted subscriber gets every sample, once and in
//     order. Under DropOldest the publisher never waits, and who lost samples
//     is told how many.
//   - What subscribers write cannot harm the publisher or other subscribers:
//     they map the samples read-only.
//   - A killed publisher ends nothing: the next one goes on where it ended.
//
// # Limits
//
//   - A subscriber that is not admitted yet (Admitted), and every observer,
//     gets copies in place of the samples themselves; the API is the same.
//   - Samples are exposed to their publisher: it can change them while they
//     are held, or cut the memory short, which is a SIGBUS.
//   - Under Block every admitted subscriber can hold up the publisher, until
//     Options.Patience ends. Places are not counted by user.
//   - A publisher that lost its lock by a mistake, without dying, can still
//     finish the one sample that it had begun; then it is ErrFenced.
//   - A subscriber that is behind may pin some samples ahead of what it was
//     given, all subscribers together an eighth of the ring at most: the
//     publisher passes over their slots.
//
// # Deaths
//
//	who is killed                what is left                        who repairs it
//	publisher, before Publish    a slot that nobody was shown        the next publisher uses it
//	publisher, after Publish     sleepers that were not woken        every sleep ends within 100 ms; the next wakes all
//	publisher, in Create         a directory without a name          the next Create, or shm prune
//	publisher, else              a topic without a publisher         the next Create takes it over: numbers go on
//	subscriber, anywhere         its file, with cursor and pins      the publisher sees that its lock is gone
//	who removes a topic          a directory under another name      the next Remove or Create, or shm prune
//
// spec/topic.md, section 9, has every row, and docs/proof.md tells how
// each is tried. The bytes and the protocol are written down there, too.
package topic

import (
	"errors"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

// Causes on which callers branch, beside those of package shm and io.EOF.
var (
	// ErrEmpty: no sample is there now.
	ErrEmpty = errors.New("no sample yet")

	// ErrFull: under Block, a subscriber still wants what stands there.
	ErrFull = errors.New("no room yet")

	// ErrHeld: the subscriber holds as many samples as it may.
	ErrHeld = errors.New("too many samples are held")

	// ErrBusy: the topic has a publisher that lives, or a loan is out.
	ErrBusy = shm.ErrBusy

	// ErrFenced: another publisher has taken the topic over.
	ErrFenced = sys.ErrFenced

	// ErrOwnerDied: the publisher was killed, and no successor came in time.
	ErrOwnerDied = sys.ErrOwnerDied

	// ErrRemoved: the topic's name was removed, or stands for another topic.
	ErrRemoved = shm.ErrRemoved

	// ErrType: the topic holds another type, or is made otherwise, than asked
	// for.
	ErrType = shm.ErrType

	// ErrCorrupt: the memory holds what no publisher writes.
	ErrCorrupt = sys.ErrCorrupt

	// ErrTruncated: somebody who may write a file of the topic has cut it
	// short.
	ErrTruncated = shm.ErrTruncated

	// ErrVersion: the topic has a layout that this version does not know.
	ErrVersion = sys.ErrVersion
)

// opError is the error of an operation on a topic. One of a lower floor gives
// its cause and its hint.
func opError(op, name string, err error) *shm.Error {
	e := &shm.Error{Op: op, Kind: "topic", Name: topicdir.Address(name), Err: err}
	if inner, ok := err.(*shm.Error); ok && inner.Kind == "topic" {
		e.Err, e.Hint = inner.Err, inner.Hint
	}
	return e
}
