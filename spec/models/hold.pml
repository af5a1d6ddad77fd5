/*
 * Taking, holding and overwriting under drop oldest, with admission, demotion
 * and admission again: spec/topic.md, sections 6, 6.1, 6.3 and 7.
 *
 * Checked: while a subscriber holds a sample the publisher does not write its
 * slot; the number below head is a sample; an unshown sample is not written
 * over; one Loan makes no more than HOLES holes, N + SUBS*K unless it says less,
 * also for a subscriber that moves its pins as it likes (HOSTILE).
 *
 * Bounds: N slots, SUBS subscribers of K pins each, numbers below MAX; a batch
 * of at most N/2. models_test.go says which were run; by hand N = 4, K = 2, MAX = 8 was
 * (56 million states). Not covered: weak memory (every access
 * here is sequentially consistent; the fences are what makes that true where
 * it matters, see the table in section 1), the seqlock by which an entry's ID
 * and from are read (one step here), entries that pass from one ID to another,
 * truncated files, deaths, wrapping of any counter.
 *
 * Two variants that hold too, because cursor, pins and state are enough; the
 * protocol has both orders nevertheless:
 *   LOOKFIRST   the publisher looks before it stamps busy
 *   STAMPFIRST  the subscriber looks at the stamp before it pins
 *
 * Mutants, each of which must fail:
 *   PINSFIRST   the publisher looks at the pins before the cursor
 *   NOSTATE     the subscriber does not look at its state after the pin
 *   NOLAST      no last look when a subscriber is demoted
 *   LASTSTRICT  new pins do not count in that last look
 *   NOKEEP      admitted again although a pin stands, which is forgotten
 *   NEWCURSOR   a new pin is compared with the cursor of this look
 *   WINDOW      pins below head - N are ignored
 *   HOLESHOWN   head is moved behind holes too
 *   NOSHOW      (with BATCH) a batch may come round to itself
 *   ANYPIN      (with HOSTILE) every new pin counts
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
#ifndef MAX
#define MAX 8
#endif
#define PINS (SUBS*K)
#ifndef HOLES
#define HOLES (N + PINS)
#endif

#define HOLE 100	/* + number */
#define BUSY 200
#define NEVER 255

#define FREE 0
#define ADMITTED 1
#define DEMOTED 2
#define kind(s) ((s) & 3)

/* data */
byte stamp[N] = NEVER;
byte head;
byte state[SUBS];	/* generation << 2 | kind */
byte from[SUBS];

/* r.ID; ask is a flag here that admission takes back */
byte cursor[SUBS];
byte pin[PINS];		/* 0, or 1 + number */
bool ask[SUBS] = true;

/* For the assertions alone. */
bool held[PINS];
byte heldslot[PINS];
byte writing = NEVER;	/* the slot that is being written */
bool done;

/* What the publisher keeps. */
byte next, lent, last, shown;
byte seenc[SUBS];
byte seenp[PINS];
bool entry[SUBS];
bool adm[SUBS];

inline setstate(i, k) { state[i] = ((state[i] >> 2) + 1) << 2 | k }

/* One pin, read in one step, and what it counts for. */
inline lookpin(i, k, taking)
{
	d_step {
		v = pin[i*K + k];
		if
		:: v == seenp[i*K + k]
		:: else ->
			if
#ifdef ANYPIN
			:: false
#else
			:: v != 0 && (!(taking) || v-1 < before || v-1 >= shown) -> v = 0
#endif
#ifdef WINDOW
			:: v != 0 && v-1 + N < shown -> v = 0
#endif
			:: else
			fi;
			seenp[i*K + k] = v
		fi;
#ifdef WINDOW
		if
		:: seenp[i*K + k] != 0 && seenp[i*K + k] - 1 + N < shown -> seenp[i*K + k] = 0
		:: else
		fi;
#endif
		v = 0
	}
}

inline lookcursor(i)
{
	d_step {
		if
		:: cursor[i] > seenc[i] ->
			if
			:: cursor[i] <= shown -> seenc[i] = cursor[i]
			:: else -> if :: shown > seenc[i] -> seenc[i] = shown :: else fi
			fi
		:: else
		fi
	}
}

inline look(i, taking)
{
	before = seenc[i];
#ifdef PINSFIRST
	k = 0;
	do :: k < K -> lookpin(i, k, taking); k++ :: else -> break od;
	lookcursor(i);
#else
	lookcursor(i);
#ifdef NEWCURSOR
	before = seenc[i];
#endif
	k = 0;
	do :: k < K -> lookpin(i, k, taking); k++ :: else -> break od;
#endif
	atomic { k = 0; before = 0 }
}

/* Whether a pin of subscriber i, or of any, blocks slot s: into hit. */
inline blocks(i)
{
	atomic {
		hit = false; k = 0;
		do
		:: k < K ->
			if :: seenp[i*K + k] != 0 && (seenp[i*K + k] - 1) % N == s -> hit = true :: else fi;
			k++
		:: else -> break
		od;
		k = 0
	}
}

inline blocked()
{
	atomic {
		hit = false; k = 0;
		do
		:: k < PINS ->
			if :: seenp[k] != 0 && (seenp[k] - 1) % N == s -> hit = true :: else fi;
			k++
		:: else -> break
		od;
		k = 0
	}
}

inline moveHead()
{
	atomic {
		shown = last;
		head = last;
		assert(head == 0 || stamp[(head-1) % N] == head-1)
	}
}

/* Admission, at any time, in any order, or not. */
inline housekeep()
{
	i = 0;
	do
	:: i < SUBS ->
		if
		:: !adm[i] && ask[i] ->
			if
			:: entry[i] ->
				look(i, false);
				d_step {
					hit = false; k = 0;
					do
					:: k < K -> if :: seenp[i*K + k] != 0 -> hit = true :: else fi;
#ifdef NOKEEP
						seenp[i*K + k] = 0;
#endif
						k++
					:: else -> break
					od;
					k = 0;
#ifdef NOKEEP
					hit = false
#endif
				}
			:: else -> lookcursor(i); hit = false
			fi;
			if
			:: !hit ->
				/* ID and from stand between two states. */
				setstate(i, FREE);
				d_step {
					ask[i] = false;
					if :: lent > N && lent - N > seenc[i] -> seenc[i] = lent - N :: else fi;
					from[i] = seenc[i];
					entry[i] = true;
					adm[i] = true;
					setstate(i, ADMITTED)
				}
			:: else -> hit = false
			fi
		:: true
		fi;
		i++
	:: else -> i = 0; break
	od
}

proctype publisher()
{
	byte i, k, s, v, before, holes;
	bool hit, near;

	do
	:: next >= MAX -> break
	:: else ->
		housekeep();
		s = next % N;
#ifndef NOSHOW
		if :: last > shown && next - shown >= N/2 -> moveHead() :: else fi;
#endif
#ifndef LOOKFIRST
		atomic {
			/* No sample that is stamped and not shown goes. */
			assert(!(last > shown && stamp[s] < HOLE && stamp[s] >= shown));
			stamp[s] = BUSY;
			if :: lent < next + 1 -> lent = next + 1 :: else fi
		}
#endif
		i = 0;
		do
		:: i < SUBS ->
			if
			:: entry[i] ->
				blocks(i);
				near = adm[i] && next >= N && next - N >= seenc[i];
				if
				:: near || hit ->
					hit = false;
					look(i, adm[i]);
					if
					:: near && seenc[i] <= next - N && seenc[i] < shown ->
						setstate(i, DEMOTED);
						adm[i] = false;
#ifndef NOLAST
#ifdef LASTSTRICT
						look(i, false)
#else
						look(i, true)
#endif
#endif
					:: else
					fi
				:: else
				fi;
				near = false
			:: else
			fi;
			i++
		:: else -> i = 0; break
		od;
#ifdef LOOKFIRST
		atomic {
			stamp[s] = BUSY;
			if :: lent < next + 1 -> lent = next + 1 :: else fi
		}
#endif
		blocked();
		if
		:: hit ->
			atomic {
				hit = false;
				stamp[s] = HOLE + next;
				next++;
				holes++;
				assert(holes <= HOLES)
			};
#ifdef HOLESHOWN
			last = next;
			moveHead()
#endif
		:: else ->
			d_step {
				holes = 0;
				k = 0;
				do :: k < PINS -> assert(!(held[k] && heldslot[k] == s)); k++ :: else -> break od;
				k = 0;
				writing = s
			};
			if
			:: atomic { stamp[s] = next; writing = NEVER; next++; last = next };
#ifdef BATCH
				if :: moveHead() :: true fi
#else
				moveHead()
#endif
#ifndef NODISCARD
			:: d_step { writing = NEVER }	/* discarded: the number is lent again */
#endif
			fi
		fi
	od;
	done = true
}

inline hold(x)
{
	held[x] = true;
	heldslot[x] = c % N;
	assert(writing != c % N)
}

proctype subscriber(byte me)
{
	byte c, h, st, own, asked, x;
	bool ok;

	do
	:: done -> break
	:: true ->
		h = head;
		if
		:: c < h ->
			/* ID, from and state again: one step here. */
			atomic {
				own = state[me];
				ok = kind(own) == ADMITTED && c >= from[me]
			};
			if
			:: !ok ->
				/* Once for every state in which it is found demoted. */
				if
				:: kind(own) == DEMOTED && own != asked -> asked = own; ask[me] = true
				:: else
				fi;
				/* A copy, or not; the copy itself is in takeover.pml. */
				st = stamp[c % N];
				h = head
			:: else ->
				if
				:: !held[me*K] -> x = me*K
				:: K > 1 && !held[me*K + K-1] -> x = me*K + K-1
				:: else -> x = PINS
				fi;
				if
				:: x == PINS -> goto allheld
				:: else
				fi;
#ifdef STAMPFIRST
				st = stamp[c % N];
				pin[x] = c + 1;
#else
				pin[x] = c + 1;
#ifdef NOSTATE
				atomic {
					st = stamp[c % N];
					if :: st == c -> hold(x) :: else fi
				};
#else
				st = stamp[c % N];
#endif
#endif
#ifndef NOSTATE
				atomic {
					if :: st == c && state[me] == own -> hold(x) :: else fi
				};
#endif
				if
				:: held[x]
				:: else -> pin[x] = 0; h = head
				fi
			fi;
			/* c+1 for a sample and a hole, else overwritten. */
			atomic {
				if
				:: st == c || st == HOLE + c -> c++
				:: else ->
					c++;
					if :: h > N && h - N + 1 > c -> c = h - N + 1 :: else fi
				fi;
				cursor[me] = c;
				st = 0; own = 0; ok = false; x = 0; h = 0
			}
		:: else
		fi;
allheld:	skip; atomic { h = 0; ok = false; own = 0; x = 0; st = 0 }
	:: held[me*K] -> d_step { held[me*K] = false }; pin[me*K] = 0
	:: K > 1 && held[me*K + K-1] -> d_step { held[me*K + K-1] = false }; pin[me*K + K-1] = 0
	od
}

/* Its pins say what they like; it holds nothing. */
proctype liar(byte me)
{
	do
	:: done -> break
	:: !done && kind(state[me]) == DEMOTED && !ask[me] -> ask[me] = true
	:: !done -> pin[me*K] = 1 + next % MAX
	:: !done -> pin[me*K + K-1] = 2 + next
	:: !done && cursor[me] < head -> cursor[me] = head
	od
}

init
{
	atomic {
		byte j = 0;
		do
		:: j < SUBS ->
#ifdef HOSTILE
			run liar(j);
#else
			run subscriber(j);
#endif
			j++
		:: else -> break
		od;
		run publisher()
	}
}
