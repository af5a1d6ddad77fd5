package mem

// The operations on words and their order that the protocols in shared memory
// are written against (spec/topic.md, section 1):
//
//	                  means                                     amd64        arm64
//	StoreRelease32/64 no earlier access moves behind it         MOV          STLR
//	LoadAcquire32/64  no later access moves before it           MOV          LDAR
//	FullFence         nothing moves across                      XCHG         DMB ISH
//	StoreFence        no later store before an earlier one      nothing      DMB ISHST
//	StoreFenceNT      the same, non-temporal stores included    SFENCE       DMB ISHST
//	LoadFence         no later load before an earlier one       nothing      DMB ISHLD
//
// sync/atomic has only stores that are full fences too: on amd64 a store that
// locks the bus costs ten times one that does not. On other machines, and for
// fences under the race detector, everything here is made of sync/atomic, which
// is stronger than asked. Words under the race detector: word_race_unsafe.go.
//
// Where the processor needs nothing the compiler still has to be held back.
// An atomic load does that: in the compiler's intermediate form it takes the
// state of memory and gives a new one, it is never removed, and a plain load
// or store is bound to the state that it was written under. So nothing is
// moved, merged, forwarded or found dead across it, and what it costs is one
// load of a word that is always in the cache. TestCompilerKeepsOrder looks at
// the instructions that come out.
