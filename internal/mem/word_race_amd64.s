//go:build race

#include "textflag.h"

// func load64(p *uint64) uint64
TEXT ·load64(SB), NOSPLIT, $0-16
	MOVQ	p+0(FP), AX
	MOVQ	(AX), AX
	MOVQ	AX, ret+8(FP)
	RET

// func load32(p *uint32) uint32
TEXT ·load32(SB), NOSPLIT, $0-12
	MOVQ	p+0(FP), AX
	MOVL	(AX), AX
	MOVL	AX, ret+8(FP)
	RET

// func store64(p *uint64, v uint64)
TEXT ·store64(SB), NOSPLIT, $0-16
	MOVQ	p+0(FP), AX
	MOVQ	v+8(FP), BX
	MOVQ	BX, (AX)
	RET

// func store32(p *uint32, v uint32)
TEXT ·store32(SB), NOSPLIT, $0-12
	MOVQ	p+0(FP), AX
	MOVL	v+8(FP), BX
	MOVL	BX, (AX)
	RET

// func exchange32(p *uint32, v uint32) uint32
TEXT ·exchange32(SB), NOSPLIT, $0-20
	MOVQ	p+0(FP), AX
	MOVL	v+8(FP), BX
	XCHGL	BX, (AX)
	MOVL	BX, ret+16(FP)
	RET

// func plus32(p *uint32, n uint32)
TEXT ·plus32(SB), NOSPLIT, $0-12
	MOVQ	p+0(FP), AX
	MOVL	n+8(FP), BX
	LOCK
	ADDL	BX, (AX)
	RET
