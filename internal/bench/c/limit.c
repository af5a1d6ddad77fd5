/*
 * The limit, in C: a ring between two processes with nothing but loads and
 * stores, the twin of ring.go. 1,024 slots of 128 bytes, head and tail on
 * lines of their own, cached cursors, 64 bytes copied in, every byte read.
 *
 * It reads lines: "rtt N" and "stream N", and answers each with one line:
 *   rtt:    median, 99th and 99.9th percentile of the round trip in ns
 *   stream: messages per second
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 1024, SLOT = 128, SIZE = 64 };

struct ring {
	_Alignas(128) _Atomic uint64_t head;
	_Alignas(128) _Atomic uint64_t tail;
	_Alignas(128) unsigned char slot[SLOTS][SLOT];
};

struct shared {
	struct ring there, back;
	_Alignas(128) int64_t begun, ended;
};

struct end { /* private */
	struct ring *r;
	uint64_t at, seen;
};

static volatile uint64_t sink;

static void send(struct end *e, const unsigned char *b)
{
	while (e->at - e->seen >= SLOTS)
		e->seen = atomic_load_explicit(&e->r->tail, memory_order_acquire);
	memcpy(e->r->slot[e->at % SLOTS], b, SIZE);
	atomic_store_explicit(&e->r->head, ++e->at, memory_order_release);
}

static void receive(struct end *e)
{
	uint64_t w[SIZE / 8], sum = 0;

	while (e->at == e->seen)
		e->seen = atomic_load_explicit(&e->r->head, memory_order_acquire);
	memcpy(w, e->r->slot[e->at % SLOTS], SIZE);
	for (int i = 0; i < SIZE / 8; i++)
		sum += w[i];
	sink = sum;
	atomic_store_explicit(&e->r->tail, ++e->at, memory_order_release);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int less(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof set, &set);
}

struct order {
	char what;
	long n;
};

/* overhead is what reading the clock takes. */
static int64_t overhead(void)
{
	int64_t d[1001];

	for (int i = 0; i < 1001; i++) {
		int64_t t = now();
		d[i] = now() - t;
	}
	qsort(d, 1001, sizeof *d, less);
	return d[500];
}

int main(int argc, char **argv)
{
	struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int orders[2], ready[2];
	struct order o;
	char line[64], what[16];
	unsigned char message[SIZE];

	if (s == MAP_FAILED || argc != 3 || pipe(orders) || pipe(ready))
		return 1;
	memset(s, 0, sizeof *s);
	memset(message, 7, sizeof message);
	pid_t child = fork();
	if (child < 0)
		return 1;
	if (child == 0) {
		struct end in = { &s->there, 0, 0 }, out = { &s->back, 0, 0 };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(atoi(argv[2]));
		close(orders[1]);
		while (read(orders[0], &o, sizeof o) == sizeof o) {
			if (write(ready[1], "", 1) != 1)
				_exit(1);
			for (long i = 0; i < o.n; i++) {
				receive(&in);
				if (o.what == 'r')
					send(&out, message);
			}
			s->ended = now();
			if (write(ready[1], "", 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	pin(atoi(argv[1]));
	printf("%d %d\n", (int)getpid(), (int)child);
	fflush(stdout);
	struct end out = { &s->there, 0, 0 }, in = { &s->back, 0, 0 };
	int64_t clock = overhead();
	while (fgets(line, sizeof line, stdin)) {
		char c;
		int64_t *d = NULL, begun, last;

		if (sscanf(line, "%15s %ld", what, &o.n) != 2 || o.n < 1)
			return 1;
		o.what = what[0];
		if (o.what == 'r' && (d = calloc(o.n, sizeof *d)) == NULL)
			return 1;
		if (write(orders[1], &o, sizeof o) != sizeof o || read(ready[0], &c, 1) != 1)
			return 1;
		begun = last = now();
		for (long i = 0; i < o.n; i++) {
			send(&out, message);
			if (o.what == 'r') {
				receive(&in);
				int64_t t = now();
				d[i] = t - last - clock;
				last = t;
			}
		}
		if (read(ready[0], &c, 1) != 1)
			return 1;
		if (o.what == 'r') {
			qsort(d, o.n, sizeof *d, less);
			printf("%lld %lld %lld\n", (long long)d[o.n / 2], (long long)d[o.n * 99 / 100], (long long)d[o.n * 999 / 1000]);
		} else {
			printf("%.0f\n", o.n * 1e9 / (s->ended - begun));
		}
		fflush(stdout);
		free(d);
	}
	close(orders[1]);
	return 0;
}
