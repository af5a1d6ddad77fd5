package bench

import "time"

// Transports.
const (
	limit  = "limit"   // a ring with nothing but loads and stores
	limitC = "limit_c" // its twin in C
	futex  = "futex"   // two words and futex(2), no data
	buffer = "buffer"  // memory that another processor has just written
	topics = "topic"
	topicC = "topic_c" // between two programs in C

	segment    = "segment" // memory and two semaphores, as textbooks have it
	pipe       = "pipe"
	unix       = "unix"       // a Unix stream socket
	unixpacket = "unixpacket" // a Unix socket that keeps messages apart
	tcp        = "tcp"        // over the loopback interface
	shmnets    = "shmnet"     // connections over shared memory

	// What is spoken over one of the connections above, which is Spec.Over.
	httpGET   = "http" // net/http: a GET, and a response with a body
	grpcUnary = "grpc" // gRPC: a unary call that is echoed
)

// Patterns.
const (
	latency    = "latency"    // there and back again
	throughput = "throughput" // one way, as fast as it goes
	paced      = "paced"      // one way, a million samples a second
	wakeup     = "wakeup"     // one way, after a time of idleness
)

// Ways of waiting.
const (
	spin     = "spin"
	sleep    = "sleep"
	adaptive = "adaptive"
)

// Spec is one cell: what is sent how. The names are those of the JSON output.
type Spec struct {
	Transport   string        `json:"transport"`
	Over        string        `json:"over,omitempty"`   // of http and grpc: the transport below
	Policy      string        `json:"policy,omitempty"` // of a topic: block or drop
	Pattern     string        `json:"pattern"`
	Wait        string        `json:"wait,omitempty"`
	Size        int           `json:"size"`
	Request     int           `json:"request,omitempty"` // bytes there, where only the way back has size
	Subscribers int           `json:"subscribers"`       // or whoever else receives, each a process
	Batch       int           `json:"batch"`
	Read        string        `json:"read"` // all, touch
	Slots       int           `json:"slots,omitempty"`
	Idle        time.Duration `json:"idle_ns,omitempty"`
	Conns       int           `json:"connections,omitempty"` // at once, where more than one
	Callers     int           `json:"callers,omitempty"`     // at once, on one connection
	InPlace     bool          `json:"in_place,omitempty"`    // of a connection: written and read where it stands

	Free bool `json:"free,omitempty"` // the kernel places the processes, on whatever processor

	guest bool // see beside
}

// group is cells that are measured in turns, within the same second, so that
// they can be compared.
type group struct {
	title string
	cells []Spec
	goals []goal
}

// members is how many processes a cell is measured between.
func (s *Spec) members() int {
	if s.Subscribers > 1 && s.Pattern != paced {
		return 1 + s.Subscribers
	}
	return 2
}

// connections is how many there are.
func (s *Spec) connections() int { return max(s.Conns, 1) }

// callers is how many call at once, each waiting for its own answer.
func (s *Spec) callers() int { return max(s.Conns, s.Callers, 1) }

// request is how many bytes go there in a round trip.
func (s *Spec) request() int {
	if s.Request > 0 {
		return s.Request
	}
	return s.Size
}

// goal compares two cells of a group by their index.
type goal struct {
	ours, theirs int
	what         string  // what theirs is called
	ratio        float64 // ours divided by theirs in the main measure
	least        bool    // the ratio is to be reached; else it must not be exceeded
	absolute     float64 // in place of theirs: a number to be reached
}
