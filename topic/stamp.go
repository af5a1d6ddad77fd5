package topic

// A stamp says in one word what a slot holds: the epoch of the publisher (12
// bits), the number (50 bits) and the kind (2 bits). It is the word by which
// publisher and subscribers agree; see spec/topic.md, section 3.
type stamp uint64

const (
	kindNever  = 0 // the slot was never used
	kindSample = 1
	kindHole   = 2 // the number was passed over or taken back
	kindBusy   = 3 // the payload is being written

	numberBits = 50
	epochBits  = 12

	// maxNumber bounds how many samples a topic can have: at a million a
	// second, 35 years.
	maxNumber = 1<<numberBits - 1
)

func makeStamp(epoch, number uint64, kind stamp) stamp {
	return stamp(epoch<<(numberBits+2)|number<<2) | kind
}

func (s stamp) kind() stamp    { return s & 3 }
func (s stamp) number() uint64 { return uint64(s) >> 2 & maxNumber }
func (s stamp) epoch() uint64  { return uint64(s) >> (numberBits + 2) }
