//go:build race

#include "textflag.h"

// func load64(p *uint64) uint64
TEXT ·load64(SB), NOSPLIT, $0-16
	MOVD	p+0(FP), R0
	LDAR	(R0), R1
	MOVD	R1, ret+8(FP)
	RET

// func load32(p *uint32) uint32
TEXT ·load32(SB), NOSPLIT, $0-12
	MOVD	p+0(FP), R0
	LDARW	(R0), R1
	MOVW	R1, ret+8(FP)
	RET

// func store64(p *uint64, v uint64)
TEXT ·store64(SB), NOSPLIT, $0-16
	MOVD	p+0(FP), R0
	MOVD	v+8(FP), R1
	STLR	R1, (R0)
	RET

// func store32(p *uint32, v uint32)
TEXT ·store32(SB), NOSPLIT, $0-12
	MOVD	p+0(FP), R0
	MOVW	v+8(FP), R1
	STLRW	R1, (R0)
	RET

// func exchange32(p *uint32, v uint32) uint32
TEXT ·exchange32(SB), NOSPLIT, $0-20
	MOVD	p+0(FP), R0
	MOVW	v+8(FP), R1
	DMB	$0xb
again:
	LDAXRW	(R0), R2
	STLXRW	R1, (R0), R3
	CBNZ	R3, again
	DMB	$0xb
	MOVW	R2, ret+16(FP)
	RET

// func plus32(p *uint32, n uint32)
TEXT ·plus32(SB), NOSPLIT, $0-12
	MOVD	p+0(FP), R0
	MOVW	n+8(FP), R1
	DMB	$0xb
again:
	LDAXRW	(R0), R2
	ADDW	R1, R2, R2
	STLXRW	R2, (R0), R3
	CBNZ	R3, again
	DMB	$0xb
	RET
