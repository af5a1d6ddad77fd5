//go:build !race

#include "textflag.h"

// func StoreFenceNT()
TEXT ·StoreFenceNT(SB), NOSPLIT, $0-0
	SFENCE
	RET
