//go:build !race

#include "textflag.h"

// The options of DMB: the inner shareable domain is all that runs one
// operating system.
#define ISHLD $0x9
#define ISHST $0xa
#define ISH   $0xb

// func FullFence()
TEXT ·FullFence(SB), NOSPLIT, $0-0
	DMB	ISH
	RET

// func StoreFence()
TEXT ·StoreFence(SB), NOSPLIT, $0-0
	DMB	ISHST
	RET

// func StoreFenceNT()
TEXT ·StoreFenceNT(SB), NOSPLIT, $0-0
	DMB	ISHST
	RET

// func LoadFence()
TEXT ·LoadFence(SB), NOSPLIT, $0-0
	DMB	ISHLD
	RET
