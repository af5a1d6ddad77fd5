/*
 * Naps of a connection: spec/shmnet.md, section 5. One side has a reader and a
 * writer, which both may sleep, and one socket; the peer sends bytes and gives
 * room, and rings. Deadlines may end the waiting of either, a third goroutine
 * may look at the socket, and the peer may be killed between any two steps.
 *
 * Who sleeps looks at the socket first, and then waits for something new to
 * come on it, once for whatever came since (edge-triggered). Who finds what it
 * waits for then leaves the bell there, for the first look of the next sleep.
 *
 * Nothing here has a bound: whoever sleeps on although there is something for
 * it, when nothing else can happen, is an invalid end.
 *
 * Bounds: TIMES things for each of both, one deadline, one look, one death;
 * NODEADLINE and NOLOOK leave one out.
 * Not covered: memory weaker than sequential consistency (the full fences on
 * both sides are there for that); the number of naps going round 2^32.
 *
 * Mutants, each of which must fail:
 *   LOOKFIRST   who sleeps looks before it says so
 *   NOLOCK      it looks after that, but not again under the lock
 *   NOCOUNT     it sleeps although somebody has read the socket since it said so
 *   NOWAKE      who read the socket does not wake the other one
 *   RINGFIRST   the peer looks at the nap before it shows what it did
 *   ONENAP      naps have no numbers
 *   NOEND       who read the end of the socket keeps it to itself
 *   ALLSTALE    the first look takes every bell for one that was left
 *   STILLSTALE  who looks at the socket and reads it does not note that nothing
 *               is left there
 *   NOFIRST     who sleeps does not look at the socket first
 */
#ifndef TIMES
#define TIMES 2
#endif
#define NOBODY 2

byte made[2];		/* bytes for the reader, 0; room for the writer, 1 */
byte nap[2], rung[2];
byte bells;
bool edge;		/* something came since a sleeper asked */
bool stale;		/* a bell was left */
bool ended;		/* the socket, at the peer's side */
bool hungup;		/* as this side knows */
bool stop[2];		/* a deadline has passed */
bool lock, kicked;
byte listener = NOBODY;
bool waiting[2], woken[2];
bool anew[2];		/* the socket was read since the nap began */

#define READY(x) (made[x] >= wanted || hungup || stop[x])

inline acquire() { atomic { !lock -> lock = true } }
inline release() { lock = false }

inline wake(who)
{
	if
	:: waiting[who] -> waiting[who] = false; woken[who] = true
	:: else
	fi
}

inline give(what)
{
#ifdef RINGFIRST
	seen = nap[what];
	made[what]++;
#else
	made[what]++;
	seen = nap[what];
#endif
	if
	:: seen != 0 && seen != rung[what] ->
		rung[what] = seen;
		atomic { edge = listener != NOBODY; if :: bells < 2 -> bells++ :: else fi }
	:: else
	fi;
	seen = 0
}

active proctype Peer()
{
	byte seen;
	do
	:: made[0] < TIMES -> give(0)
	:: made[1] < TIMES -> give(1)
	:: made[0] == TIMES && made[1] == TIMES -> break
#ifdef KILLED
	:: atomic { ended = true; edge = listener != NOBODY }; break
#endif
	od
}

proctype Role(byte x)
{
	byte wanted, number;
	bool last;
	do
	:: wanted == TIMES -> break
	:: else ->
		wanted++;
		do
		:: READY(x) -> break
		:: else ->
			anew[x] = false;
#ifndef ONENAP
			number++;
#else
			number = 1;
#endif
#ifndef LOOKFIRST
			nap[x] = number;
#endif
#ifdef NOLOCK
			if
			:: READY(x) -> nap[x] = 0; break
			:: else
			fi;
#endif
			acquire();
			if
#ifndef NOLOCK
			:: READY(x) -> release()
#ifndef NOCOUNT
			:: !READY(x) && anew[x] -> release()
#endif
			:: else ->
#else
			:: true ->
#endif
#ifdef LOOKFIRST
				nap[x] = number;
#endif
				if
				:: listener == NOBODY ->
					atomic { listener = x; release() };
					edge = false;
#ifdef NOFIRST
					goto asleep;
#endif
					if
#ifdef ALLSTALE
					:: atomic { stale && bells > 0 -> bells = 0; stale = false }
#else
					:: atomic { stale && bells == 1 -> bells = 0; stale = false }
					:: atomic { stale && bells > 1 -> bells = 0; stale = false; goto heard }
#endif
					:: atomic { stale && bells == 0 -> stale = false }
					:: !stale
					fi;
					if
					:: atomic { bells > 0 -> bells = 0; goto heard }
					:: atomic { bells == 0 && ended -> last = true; goto heard }
					:: atomic { bells == 0 && !ended -> skip }
					fi;
asleep:					if
					:: edge -> edge = false
					:: kicked -> goto heard
					fi;
					if
					:: READY(x) -> stale = true
					:: else ->
						if
						:: atomic { bells > 0 -> bells = 0 }
						:: atomic { bells == 0 && ended -> last = true }
						:: atomic { bells == 0 && !ended -> goto asleep }
						fi
					fi;
heard:
					atomic {
						!lock -> lock = true;
						listener = NOBODY;
						edge = false;
						anew[0] = true; anew[1] = true;
						kicked = false
					};
					if
					:: last -> hungup = true
					:: else
					fi;
#ifdef NOEND
					if
					:: last
					:: else -> wake(1 - x)
					fi;
#else
#ifndef NOWAKE
					wake(1 - x);
#endif
#endif
					release()
				:: else ->
					waiting[x] = true;
					release();
					woken[x];
					woken[x] = false
				fi
			fi;
			nap[x] = 0
		od;
		if
		:: stop[x] || hungup -> break
		:: else
		fi
	od
}

/* A deadline of one of them, at any time or never. */
proctype Deadline(byte x)
{
	acquire();
	stop[x] = true;
	if
	:: listener == x -> kicked = true
	:: else
	fi;
	wake(x);
	release()
}

/* Somebody who is awake looks at the socket. */
proctype Look()
{
	acquire();
	if
	:: listener == NOBODY ->
		atomic {
			anew[0] = true; anew[1] = true;
#ifndef STILLSTALE
			stale = false;
#endif
			if
			:: bells > 0 -> bells = 0
			:: bells == 0 && ended -> hungup = true
			:: else
			fi
		}
	:: else
	fi;
	release()
}

init
{
	atomic {
		run Role(0);
		run Role(1);
#ifndef NODEADLINE
		if
		:: true
		:: run Deadline(0)
		:: run Deadline(1)
		fi;
#endif
#ifndef NOLOOK
		if
		:: true
		:: run Look()
		fi
#endif
	}
}
