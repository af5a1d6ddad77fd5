/*
 * Taking over from a publisher that is dead, or that has lost its lock and
 * does not know it (a zombie): spec/topic.md, sections 3, 6, 6.4 and 7. Block;
 * one subscriber, admitted all the time.
 *
 * Checked. Killed (the default): the subscriber gets every number that was
 * shown, as a sample or a hole, once and in order; what it holds is whole and
 * stays so. ZOMBIE: both publishers run; whatever the subscriber accepts is
 * whole, except in the slot of the one loan that the zombie had when epoch
 * changed, which is the only one that it still writes.
 *
 * Bounds: N = 3, K = 1, numbers below MAX, one take-over. Not covered: weak
 * memory; a third publisher; drop oldest (hold.pml); a head that the zombie
 * sets back, which subscribers take for corruption.
 *
 * Mutants, each of which must fail:
 *   NOPINS      the successor does not look at pins
 *   ATHEAD      the successor supposes that cursors are where head is
 *   TWOWORDS    since without its epoch: the subscriber reads epoch, since, epoch
 *   NOEPOCH     (with ZOMBIE) stamps are believed whatever their epoch
 *   STALE       (with ZOMBIE) the subscriber remembers since and asks again only when an epoch is new to it
 *   NOFENCE     (with ZOMBIE) a publisher never looks at epoch
 *   BELOWHEAD   (with ZOMBIE) head is not read again after epoch, and pins
 *               from there on do not count
 */
#define N 3
#ifndef MAX
#define MAX 6
#endif
#define E 30			/* epoch * E + number */
#define HOLE 90			/* + that */
#define BUSY 200

byte stamp[N];
byte one[N], two[N];		/* the two halves of the payload: epoch * E + number */
byte head;
byte epoch = 1;
byte since = E;			/* 1 * E + 0 */
byte cursor, pin;

bool killed;
bool held;
byte heldslot;
bool tainted[N];		/* written by who is fenced */

inline setpin(p)
{
	d_step { seenp = pin;
#ifdef BELOWHEAD
		if :: seenp != 0 && seenp - 1 >= shown -> seenp = 0 :: else fi
#endif
	}
}

inline look()
{
	atomic {
		if
		:: cursor > seenc && cursor <= shown -> seenc = cursor
		:: cursor > shown && shown > seenc -> seenc = shown
		:: else
		fi
	};
	setpin(0)
}

#define SKIP (seenp != 0 && (seenp - 1) % N == next % N)
#define FENCED (me == 1 && epoch != 1)
#define taint(s) if :: FENCED -> tainted[s] = true; assert(tainted[0] + tainted[1] + tainted[2] <= 1) :: else fi

inline publish(me)
{
	do
	:: next >= MAX -> break
	:: else ->
#ifndef NOFENCE
		if :: epoch != me -> break :: else fi;
#endif
		/* Room for next, or for the number behind the slot that is held. */
		do
		:: next + SKIP >= N && next + SKIP - N >= seenc && seenc < shown -> look()
		:: else -> break
		od;
		s = next % N;
		stamp[s] = BUSY;
		if
		:: seenp != 0 && (seenp - 1) % N == s -> look()
		:: else
		fi;
		if
		:: seenp != 0 && (seenp - 1) % N == s -> stamp[s] = HOLE + me*E + next; next++
		:: else ->
			atomic { assert(FENCED || !(held && heldslot == s && !tainted[s])); one[s] = me*E + next; taint(s) };
			atomic { two[s] = me*E + next; taint(s) };
#ifndef NOFENCE
			if :: epoch != me -> break :: else fi;
#endif
			stamp[s] = me*E + next;
			next++;
			shown = next;
			head = next
		fi
	od
}

active proctype first()
{
	byte next, shown, seenc, seenp, s;

	{ publish(1) } unless { killed }
}

active proctype second()
{
	byte next, shown, seenc, seenp, s;

#ifndef ZOMBIE
	killed = true;
#endif
	shown = head;
#ifdef TWOWORDS
	epoch = 2;
	since = 2*E + shown;
#else
	since = 2*E + shown;
	epoch = 2;
#endif
#ifndef BELOWHEAD
	next = head;
	if
	:: next > shown -> shown = next; since = 2*E + shown
	:: else
	fi;
#endif
	next = shown;
#ifdef ATHEAD
	seenc = shown;
#else
	look();
#endif
#ifdef NOPINS
	seenp = 0;
#endif
	publish(2)
}

active proctype subscriber()
{
	byte c, st, x, n, known, knowns;
	bool right;

	end: do
	:: c >= MAX -> break
	:: c < MAX && head > c ->
		pin = 1 + c;
		st = stamp[c % N];
#ifdef TWOWORDS
		/* The low half of what stands there, and the epoch beside it. */
		do
		:: known = epoch;
			n = since % E;
			if :: known == epoch -> break :: else fi
		od;
		x = known;
#else
#ifdef STALE
		if
		:: (st % HOLE) / E == knowns
		:: else -> atomic { x = since; knowns = x / E; known = x % E }
		fi;
		atomic { x = knowns; n = known };
#else
		atomic { x = since; n = x % E; x = x / E };
#endif
#endif
		atomic {
#ifdef NOEPOCH
			right = true;
#else
#ifdef STALE
			right = ((st % HOLE) / E == x) || c < n;
#else
			right = (((st % HOLE) / E == x) == (c >= n));
#endif
#endif
			if
			:: st < HOLE && st % E == c && st >= E && right -> held = true; heldslot = c % N
			:: else
			fi
		};
		if
		:: held ->
			cursor = c + 1;
			atomic { x = one[c % N]; assert(x == st || tainted[c % N]) };
			atomic { x = two[c % N]; assert(x == st || tainted[c % N]) };
			held = false;
			pin = 0;
			c++
		:: else ->
			pin = 0;
			if
			:: st >= HOLE && st < BUSY && (st - HOLE) % E == c && right -> c++
			:: else ->
#ifndef ZOMBIE
				assert(false);
#endif
				c++
			fi;
			cursor = c
		fi;
		atomic { st = 0; x = 0; n = 0; right = false }
	od
}
