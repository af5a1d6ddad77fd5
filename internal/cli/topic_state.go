package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/topic"
)

// topicView is a topic as ls and info show it: two looks at it, a moment
// apart, so that it has a rate.
type topicView struct {
	*topicdir.Info
	err  error         // why not everything was seen
	rate float64       // samples a second
	flow float64       // bytes a second
	over time.Duration // between the two looks; 0 if there was one
}

// lookAt looks at topics twice, interval apart; once, if that is 0, or if
// nobody publishes.
func lookAt(ctx context.Context, env *Env, names []string, interval time.Duration) ([]*topicView, error) {
	opts := &topicdir.OpenOptions{Dir: env.dir()}
	views := make([]*topicView, len(names))
	times := make([]time.Time, len(names))
	again := false
	for i, name := range names {
		v := new(topicView)
		v.Info, v.err = topicdir.Inspect(name, opts)
		views[i], times[i] = v, time.Now()
		again = again || v.Alive && v.err == nil
	}
	if !again || interval <= 0 {
		return views, nil
	}
	if err := sleepFor(ctx, interval); err != nil {
		return nil, err
	}
	for i, v := range views {
		if !v.Alive || v.err != nil {
			continue
		}
		later, err := topicdir.Inspect(v.Name, opts)
		if err != nil || later.TopicID != v.TopicID {
			continue // it is gone, or another
		}
		v.over = time.Since(times[i])
		v.rate = grown(v.Counters[topicdir.CountPublished], later.Counters[topicdir.CountPublished], v.over)
		v.flow = grown(v.Counters[topicdir.CountBytes], later.Counters[topicdir.CountBytes], v.over)
		v.Info = later
	}
	return views, nil
}

// grown is by how much a counter grew in a second.
func grown(was, is uint64, over time.Duration) float64 {
	if is < was || over <= 0 {
		return 0
	}
	return float64(is-was) / over.Seconds()
}

// topicState says in a word how a topic is.
func topicState(info *topicdir.Info, err error) string {
	switch {
	case info.Alive:
		return "live"
	case errors.Is(err, fs.ErrPermission):
		return "closed" // to this user
	case err != nil:
		return "damaged"
	case info.End != 0:
		return "ended"
	}
	return "dead"
}

// lag is how many numbers were published that a subscriber has not taken.
func lag(info *topicdir.Info, m *topicdir.MemberInfo) uint64 {
	if m.Cursor >= info.Head {
		return 0
	}
	return info.Head - m.Cursor
}

// memberState says in a word how a subscriber stands.
func memberState(m *topicdir.MemberInfo) string {
	switch {
	case !m.Alive:
		return "dead"
	case m.State == topicdir.StateAdmitted:
		return "admitted"
	case m.State == topicdir.StateDemoted:
		return "demoted"
	}
	return "asking"
}

// commandOf is the name of a process, empty where it is not known here.
func commandOf(m *topicdir.Maker) string {
	own, err := procfs.Default.Namespace(procfs.Self, "pid")
	if err != nil || own.Inode != m.PIDNamespace || m.Gone() {
		return ""
	}
	comm, err := procfs.Default.Comm(m.PID)
	if err != nil {
		return ""
	}
	return comm
}

// processCell names a process for a table.
func processCell(m *topicdir.Maker) string {
	if command := commandOf(m); command != "" {
		return fmt.Sprintf("%d %s", m.PID, command)
	}
	return fmt.Sprint(m.PID)
}

func patienceText(d time.Duration) string {
	if d < 0 {
		return "for ever"
	}
	return d.String()
}

// policyText is a policy with its patience.
func policyText(c *topicdir.Config) string {
	if topic.Policy(c.Policy) == topic.Block {
		return "block, waiting for one subscriber " + patienceText(c.Patience)
	}
	return "drop the oldest"
}

// rateText gives samples a second in few characters.
func rateText(r float64) string {
	switch {
	case r >= 1e6:
		return fmt.Sprintf("%.1fM/s", r/1e6)
	case r >= 1e4:
		return fmt.Sprintf("%.1fk/s", r/1e3)
	case r >= 100:
		return fmt.Sprintf("%.0f/s", r)
	}
	return fmt.Sprintf("%.1f/s", r)
}

// flowText gives bytes a second.
func flowText(r float64) string {
	if r < 1024 {
		return fmt.Sprintf("%.0f B/s", r)
	}
	return humanSize(int64(r)) + "B/s"
}

// jsonTopic is a topic as every --json shows it; as with objects, the form
// only grows.
type jsonTopic struct {
	Kind           string           `json:"kind"`
	Address        string           `json:"address"`
	Name           string           `json:"name"`
	Path           string           `json:"path"`
	State          string           `json:"state"` // live, ended, dead, closed, damaged
	Error          string           `json:"error,omitempty"`
	Publisher      *jsonPublisher   `json:"publisher,omitempty"`
	Rate           *float64         `json:"rate,omitempty"`
	BytesPerSecond *float64         `json:"bytes_per_s,omitempty"`
	Policy         string           `json:"policy,omitempty"`
	PatienceNs     *int64           `json:"patience_ns,omitempty"`
	Slots          int64            `json:"slots,omitempty"`
	SlotSize       int64            `json:"slot_size,omitempty"`
	MaxSubscribers int              `json:"max_subscribers,omitempty"`
	MaxHeld        int              `json:"max_held,omitempty"`
	Type           string           `json:"type,omitempty"`
	Sharing        string           `json:"sharing,omitempty"`
	Size           int64            `json:"size,omitempty"` // of the samples' file
	Used           int64            `json:"used"`           // memory of all its files
	Mode           string           `json:"mode,omitempty"`
	UID            *uint32          `json:"uid,omitempty"`
	Owner          string           `json:"owner,omitempty"`
	GID            *uint32          `json:"gid,omitempty"`
	Group          string           `json:"group,omitempty"`
	Created        *time.Time       `json:"created,omitempty"`
	Heard          *time.Time       `json:"heard,omitempty"` // the publisher's last sign of life
	Head           *uint64          `json:"head,omitempty"`
	Epoch          *uint64          `json:"epoch,omitempty"`
	Published      *uint64          `json:"published,omitempty"`
	Bytes          *uint64          `json:"bytes,omitempty"`
	Holes          *uint64          `json:"holes,omitempty"`
	Demoted        *uint64          `json:"demoted,omitempty"`
	Evicted        *uint64          `json:"evicted,omitempty"`
	Wakes          *uint64          `json:"wakes,omitempty"`
	Waits          *uint64          `json:"waits,omitempty"`
	Subscribers    []jsonSubscriber `json:"subscribers"`
	Refused        []jsonRefused    `json:"refused,omitempty"`
}

type jsonPublisher struct {
	PID     int        `json:"pid"`
	Command string     `json:"command,omitempty"`
	Alive   bool       `json:"alive"`
	UID     uint32     `json:"uid"`
	Owner   string     `json:"owner,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
}

type jsonSubscriber struct {
	PID      int        `json:"pid"`
	Command  string     `json:"command,omitempty"`
	Alive    bool       `json:"alive"`
	UID      uint32     `json:"uid"`
	Owner    string     `json:"owner,omitempty"`
	Since    *time.Time `json:"since,omitempty"`
	State    string     `json:"state"` // admitted, demoted, asking, dead
	Admitted bool       `json:"admitted"`
	From     *uint64    `json:"from,omitempty"`
	Cursor   uint64     `json:"cursor"`
	Lag      uint64     `json:"lag"`
	Lost     uint64     `json:"lost"`
	Taken    uint64     `json:"taken"`
	Copied   uint64     `json:"copied"`
	Held     int        `json:"held"`
	Sleeps   uint64     `json:"sleeps"`
}

type jsonRefused struct {
	File  string `json:"file"`
	UID   uint32 `json:"uid"`
	Error string `json:"error"`
}

func (v *topicView) json(u *users) *jsonTopic {
	j := &jsonTopic{
		Kind: "topic", Address: topicScheme + v.Name, Name: v.Name, Path: v.Path, State: topicState(v.Info, v.err),
		Used: v.Size, Subscribers: []jsonSubscriber{},
	}
	if v.Mode != 0 {
		j.Mode = fmt.Sprintf("%04o", v.Mode)
		j.UID, j.Owner, j.GID, j.Group = &v.UID, u.name(v.UID), &v.GID, u.group(v.GID)
	}
	if p := v.Publisher; p != nil {
		j.Publisher = &jsonPublisher{PID: p.PID, Command: commandOf(p), Alive: v.Alive, UID: p.UID, Owner: u.name(p.UID), Since: jsonTime(p.Made)}
	}
	if v.err != nil {
		j.Error = causeText(v.err)
		return j
	}
	c := &v.Config
	j.Policy, j.Slots, j.SlotSize = topic.Policy(c.Policy).String(), c.Slots, c.Capacity
	if topic.Policy(c.Policy) == topic.Block {
		patience := int64(c.Patience)
		j.PatienceNs = &patience
	}
	j.MaxSubscribers, j.MaxHeld, j.Type = c.Subscribers, c.Held, jsonText(c.TypeName)
	j.Sharing, j.Size, j.Created = v.Sharing.String(), v.Layout.Size, jsonTime(v.Maker.Made)
	j.Heard = jsonTime(v.Heard)
	j.Head, j.Epoch = &v.Head, &v.Epoch
	n := &v.Counters
	j.Published, j.Bytes, j.Holes = &n[topicdir.CountPublished], &n[topicdir.CountBytes], &n[topicdir.CountHoles]
	j.Demoted, j.Evicted = &n[topicdir.CountDemoted], &n[topicdir.CountEvicted]
	j.Wakes, j.Waits = &n[topicdir.CountWakes], &n[topicdir.CountWaits]
	if v.over > 0 {
		j.Rate, j.BytesPerSecond = &v.rate, &v.flow
	}
	for i := range v.Members {
		m := &v.Members[i]
		s := jsonSubscriber{
			PID: m.Maker.PID, Command: commandOf(&m.Maker), Alive: m.Alive, UID: m.UID, Owner: u.name(m.UID), Since: jsonTime(m.Maker.Made),
			State: memberState(m), Admitted: m.Alive && m.State == topicdir.StateAdmitted,
			Cursor: m.Cursor, Lag: lag(v.Info, m), Lost: m.Lost, Taken: m.Taken, Copied: m.Copied, Held: len(m.Pins), Sleeps: m.Sleeps,
		}
		if m.State != topicdir.StateNone {
			s.From = &m.From
		}
		j.Subscribers = append(j.Subscribers, s)
	}
	for i := range v.Refused {
		r := &v.Refused[i]
		j.Refused = append(j.Refused, jsonRefused{jsonText(r.Name), r.UID, fmt.Sprint(r.Err)})
	}
	return j
}

// causeText is an error without operation and name.
func causeText(err error) string {
	var e *shm.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}
