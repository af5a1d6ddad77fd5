/*
 * Sleeping and waking: spec/topic.md, section 8. Two sleepers, which may give
 * up at any moment; a publisher that may be killed between any two of its
 * steps; a successor that goes on.
 *
 * No sleep has a bound here: whoever sleeps on although there is a sample for
 * it, when nothing else can happen, is an invalid end. So this shows what the
 * bound of 100 ms is not needed for; it is for hostile hands on the bell and for
 * the time in which there is no publisher.
 *
 * FENCEFREE: the publisher has no fence; its stores of head wait in a store
 * buffer (as on amd64) until it is drained, at any time, by the publisher's
 * locked instructions, or by the sleeper's membarrier.
 *
 * Bounds: SAMPLES samples, two sleepers that give up once each at most, one kill.
 * Not covered: weaker memory than that store buffer; several threads behind
 * one sleeper; the wake counter going round 2^32 between load and sleep.
 *
 * Mutants, each of which must fail:
 *   WORDLATE    the sleeper loads wake after its look
 *   HEADWORD    the sleep is on head, not on wake
 *   LOOKFIRST   the sleeper looks before it sets sleepers
 *   WAKEFIRST   wake grows after the waking
 *   ZEROLATE    sleepers = 0 after the waking
 *   TAKEBACK    a sleeper that gives up stores 0 to sleepers
 *   NOWAKEALL   taking over wakes nobody
 *   NOBARRIER   (with FENCEFREE) no membarrier
 */
#ifndef SAMPLES
#define SAMPLES 3
#endif

byte head;
byte pending;		/* stores of head that wait in the buffer, each one more */
byte word;
bool flag;
bool asleep[2];
byte published;		/* what the publishers have stored, buffered or not */
bool dead;

inline drain() { atomic { head = head + pending; pending = 0 } }

inline wakeall() { atomic { asleep[0] = false; asleep[1] = false } }

inline wake()
{
	if
	:: flag ->
#ifndef ZEROLATE
		flag = false;
#endif
#ifdef WAKEFIRST
		wakeall();
		drain(); word++;
#else
		atomic { drain(); word++ };
		wakeall();
#endif
#ifdef ZEROLATE
		flag = false
#endif
	:: else
	fi
}

inline publish()
{
#ifdef FENCEFREE
	atomic { pending++; published++ }
#else
	atomic { head++; published++ }
#endif
	;
	wake()
}

/* The buffer drains by itself; also that of who was killed. */
active proctype buffer()
{
	end: do
	:: atomic { pending > 0 -> head++; pending-- }
	od
}

active proctype publisher()
{
	{
		do
		:: published < SAMPLES -> publish()
		:: else -> break
		od
	} unless { dead };
	if
	:: dead -> skip
	:: else -> goto out
	fi;
	/* The successor; there is one publisher at a time. */
	pending == 0;
#ifndef NOWAKEALL
	word++;
	wakeall();
#endif
	do
	:: published < SAMPLES -> publish()
	:: else -> break
	od;
out:	skip
}

active proctype killer()
{
	if :: dead = true :: skip fi
}

active [2] proctype sleeper()
{
	byte me = _pid - 3, seen, w;
	bool gaveup, quit;

	do
	:: seen == SAMPLES -> break
	:: head > seen -> seen = head
	:: head == seen && seen < SAMPLES ->
#ifdef LOOKFIRST
		if :: head > seen -> goto again :: else fi;
#endif
#ifndef WORDLATE
		w = word;
#endif
		flag = true;
#ifdef FENCEFREE
#ifndef NOBARRIER
		drain();
#endif
#endif
#ifndef LOOKFIRST
		if :: head > seen -> goto again :: else fi;
#endif
#ifdef WORDLATE
		w = word;
#endif
#ifdef HEADWORD
		atomic { if :: head == seen -> asleep[me] = true :: else fi };
#else
		atomic { if :: word == w -> asleep[me] = true :: else fi };
#endif
		if
		:: !asleep[me]
		:: !gaveup ->
			/* Its context is over. It may come again, or not. */
			asleep[me] = false;
			gaveup = true;
#ifdef TAKEBACK
			flag = false;
#endif
			if :: quit = true :: skip fi
		fi;
		if :: quit -> break :: else fi;
again:		w = 0
	od
}
