/*
 * Block: the publisher waits for cursors, sleeps on one of them, and is woken
 * by the step that passes want: spec/topic.md, sections 6, 6.2 and 7.
 *
 * Checked: every subscriber gets every sample, in order; what it holds is not
 * written; holes are made only in front of a slot that is used, no more than
 * SUBS*K in a row; and nobody waits for ever, although no sleep has a bound here:
 * a state in which somebody cannot go on is an invalid end.
 *
 * Bounds: N slots (3 as well as 4: then want is not beyond what is needed), SUBS
 * subscribers with K pins each, 2 in all, admitted from the start; SAMPLES
 * samples. A subscriber holds what it likes, takes more while it has a free pin,
 * and releases in any order. Not covered: weak memory (accesses are sequentially
 * consistent; cursor, fence, want and want, fence, cursor need the full
 * fences), patience, death and demotion (hold.pml), the bound of 100 ms.
 *
 * Mutants, each of which must fail:
 *   ONEBYONE    holes are made without a look at what lies behind them
 *   PASTHEAD    the same, and who has cursor = head is waited for as well:
 *               then all stand still for ever
 *   NOVALUE     the publisher sleeps without telling the kernel the value that it has read
 *   WANTFIRST   the subscriber looks at want before it stores its cursor
 *   PINSFIRST   the publisher looks at the pins before the cursor
 */
#ifndef N
#define N 4
#endif
#ifndef SUBS
#define SUBS 1
#endif
#ifndef K
#define K 2
#endif
#ifndef SAMPLES
#define SAMPLES 6
#endif
#define PINS (SUBS*K)
#define QUARTER (N/4)
#ifdef PASTHEAD
#define ONEBYONE
#endif
#define HOLE 100
#define BUSY 200
#define NEVER 255

byte stamp[N] = NEVER;
byte seq[N];
byte head, want;
byte cursor[SUBS];
byte pin[PINS];

bool held[PINS];
byte heldslot[PINS];
byte writing = NEVER;
byte asleep;		/* 1 + whose cursor the publisher sleeps on */

byte seenc[SUBS];
byte seenp[PINS];
byte next, shown, floor;

inline lookcursor(i) { d_step { if :: cursor[i] > seenc[i] -> seenc[i] = cursor[i] :: else fi } }

inline look(i)
{
#ifdef PINSFIRST
	k = 0;
	do :: k < K -> seenp[i*K + k] = pin[i*K + k]; k++ :: else -> break od;
	lookcursor(i);
#else
	lookcursor(i);
	k = 0;
	do :: k < K -> seenp[i*K + k] = pin[i*K + k]; k++ :: else -> break od;
#endif
	k = 0
}

/* A pin blocks slot x. There are two pins in all. */
#define BLOCKED(x) ((seenp[0] != 0 && (seenp[0] - 1) % N == (x)) || (seenp[1] != 0 && (seenp[1] - 1) % N == (x)))

inline setfloor()
{
	atomic {
		floor = seenc[0];
		if :: seenc[SUBS-1] < floor -> floor = seenc[SUBS-1] :: else fi
	}
}

/* Is there room for next? need is 0, or where all cursors must be. */
inline room()
{
	atomic {
		need = 0; q = next;
		do
		:: true ->
			if
#ifdef PASTHEAD
			:: q >= N && q - N >= floor -> need = q - N + 1; break
#else
			:: q >= N && q - N >= floor && floor < shown ->
				if :: q - N + 1 < shown -> need = q - N + 1 :: else -> need = shown fi;
				break
#endif
			:: else
			fi;
#ifdef ONEBYONE
			break;
#endif
			if
			:: BLOCKED(q % N) -> q++
			:: else -> break
			fi
		od;
		q = 0
	}
}

proctype publisher()
{
	byte i, k, q, need, sent, c, target, holes;

	do
	:: sent == SAMPLES -> break
	:: else ->
		room();
		do
		:: need == 0 -> break
		:: else ->
			i = 0;
			do :: i < SUBS -> look(i); i++ :: else -> i = 0; break od;
			setfloor();
			room();
			if
			:: need == 0 -> want = 0; break
			:: else ->
				/* the one that is furthest behind */
				atomic {
					i = 0;
					if :: SUBS > 1 && seenc[SUBS-1] < seenc[0] -> i = SUBS-1 :: else fi;
					target = need + QUARTER;
					if :: target > shown -> target = shown :: else fi
				};
				want = 1 + target;
				c = cursor[i];
				if
				:: c >= need
				:: else ->
#ifdef NOVALUE
					asleep = 1 + i;
#else
					atomic { if :: cursor[i] == c -> asleep = 1 + i :: else fi };
#endif
					asleep == 0
				fi;
				atomic { i = 0; c = 0; target = 0 }
			fi
		od;
		stamp[next % N] = BUSY;
		if
		:: next >= N && next - N >= floor || BLOCKED(next % N) ->
			do
			:: i < SUBS ->
				look(i);
				i++
			:: else -> i = 0; break
			od;
			setfloor()
		:: else
		fi;
		if
		:: BLOCKED(next % N) ->
			atomic {
				stamp[next % N] = HOLE + next;
				next++;
#ifndef PASTHEAD
				holes++;
				assert(holes <= PINS)
#endif
			}
		:: else ->
			atomic {
				holes = 0;
				do :: k < PINS -> assert(!(held[k] && heldslot[k] == next % N)); k++ :: else -> k = 0; break od;
				writing = next % N
			};
			atomic { stamp[next % N] = next; seq[next % N] = sent; writing = NEVER; next++; sent++ };
			atomic { shown = next; head = next }
		fi
	od
}

proctype subscriber(byte me)
{
	byte c, was, st, got, x;

	do
	:: got == SAMPLES -> break
	:: got < SAMPLES && head > c && (!held[me*K] || !held[me*K + K-1]) ->
		atomic {
			if
			:: !held[me*K] -> x = me*K
			:: K > 1 && !held[me*K + K-1] -> x = me*K + K-1
			fi
		};
		pin[x] = 1 + c;
		atomic {
			st = stamp[c % N];
			was = c;
			if
			:: st == c ->
				held[x] = true;
				heldslot[x] = c % N;
				assert(writing != c % N);
				assert(seq[c % N] == got);
				got++
			:: st == HOLE + c
			:: else ->
				/* Only where holes went round the ring. */
				if :: head > N && head - N + 1 > c + 1 -> c = head - N :: else fi
			fi
		};
		if
		:: held[x] && st == was
		:: else -> pin[x] = 0
		fi;
		c++;
#ifdef WANTFIRST
		st = want;
		cursor[me] = c;
#else
		cursor[me] = c;
		st = want;
#endif
		if
		:: st != 0 && was < st - 1 && st - 1 <= c ->
			atomic { if :: asleep == 1 + me -> asleep = 0 :: else fi }
		:: else
		fi;
		atomic { st = 0; was = 0; x = 0 }
	:: held[me*K] -> d_step { held[me*K] = false }; pin[me*K] = 0
	:: K > 1 && held[me*K + K-1] -> d_step { held[me*K + K-1] = false }; pin[me*K + K-1] = 0
	od
}

init { atomic { byte j; do :: j < SUBS -> run subscriber(j); j++ :: else -> break od; run publisher() } }
