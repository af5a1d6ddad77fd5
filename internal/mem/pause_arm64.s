#include "textflag.h"

// func Pause()
//
// YIELD is nothing on most cores. ISB takes about as long as PAUSE does on
// amd64.
TEXT ·Pause(SB), NOSPLIT, $0-0
	ISB	$15
	RET
