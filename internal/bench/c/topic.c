/*
 * A topic between two processes in C, through the header that other programs
 * use: what topic.go does in Go.
 *
 *     topic CPU CPU DIRECTORY NAME
 *
 * It makes the topics NAME-there and NAME-back, and reads and answers the same
 * lines as limit.c.
 */
#include "shm_topic.h"

#include <sys/prctl.h>

enum { SIZE = 64, SLOTS = 1024 };

struct order {
	char what;
	long n;
};

static shm_topic_pub out;
static shm_topic_sub in;
static uint64_t sink;

static void die(const char *what, const shm_topic_error *e)
{
	fprintf(stderr, "%s: %s: %s\n", what, shm_topic_name(e->code), e->text);
	exit(1);
}

static void create(const char *dir, const char *name)
{
	shm_topic_create_options o;

	memset(&o, 0, sizeof o);
	o.dir = dir;
	o.size = SIZE;
	o.slots = SLOTS;
	o.subscribers = 1;
	o.policy = SHM_TOPIC_BLOCK;
	o.patience = -1;
	o.exclusive = 1;
	if (shm_topic_create(&out, name, &o) != SHM_TOPIC_OK)
		die(name, &out.error);
}

static void subscribe(const char *dir, const char *name)
{
	shm_topic_open_options o;

	memset(&o, 0, sizeof o);
	o.dir = dir;
	o.wait = SHM_TOPIC_SPIN;
	if (shm_topic_subscribe(&in, name, &o) != SHM_TOPIC_OK)
		die(name, &in.error);
}

static void admit(void)
{
	if (shm_topic_poll(&out) != SHM_TOPIC_OK)
		die("poll", &out.error);
}

static void admitted(void)
{
	if (shm_topic_wait_admitted(&in, 60 * INT64_C(1000000000)) != SHM_TOPIC_OK)
		die("admission", &in.error);
}

static void send_one(const unsigned char *b)
{
	if (shm_topic_send(&out, b, SIZE, SHM_TOPIC_FOREVER) != SHM_TOPIC_OK)
		die("send", &out.error);
}

static void receive_one(void)
{
	shm_topic_sample m;
	uint64_t w[SIZE / 8];

	if (shm_topic_next(&in, &m, SHM_TOPIC_FOREVER) != SHM_TOPIC_OK)
		die("next", &in.error);
	memcpy(w, m.data, SIZE);
	for (int i = 0; i < SIZE / 8; i++)
		sink += w[i];
	shm_topic_release(&in, &m);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
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

static void put(int fd, const void *b, size_t n)
{
	if (write(fd, b, n) != (ssize_t)n)
		exit(1);
}

static void get(int fd, void *b, size_t n)
{
	if (read(fd, b, n) != (ssize_t)n)
		exit(1);
}

/* answer is the other process. */
static void answer(int cpu, const char *dir, const char *there, const char *back, int orders, int ready)
{
	unsigned char message[SIZE];
	struct order o;
	int64_t ended;

	memset(message, 7, sizeof message);
	create(dir, back);
	put(ready, "", 1);
	get(orders, &o, sizeof o); /* there is the other topic, and its publisher subscribed here */
	subscribe(dir, there);
	pin(cpu); /* now that it is settled that there are processors to spin on */
	admit();
	put(ready, "", 1);
	admitted();
	put(ready, "", 1);
	while (read(orders, &o, sizeof o) == sizeof o) {
		put(ready, "", 1);
		for (long i = 0; i < o.n; i++) {
			receive_one();
			if (o.what == 'r')
				send_one(message);
		}
		ended = now();
		put(ready, &ended, sizeof ended);
	}
	shm_topic_leave(&in);
	shm_topic_end(&out);
	shm_topic_remove(dir, back, NULL);
}

int main(int argc, char **argv)
{
	char there[256], back[256], line[64], what[16], c;
	unsigned char message[SIZE];
	int orders[2], ready[2];
	struct order o;
	int64_t clock;
	pid_t child;

	if (argc != 5 || pipe(orders) || pipe(ready))
		return 1;
	snprintf(there, sizeof there, "%s-there", argv[4]);
	snprintf(back, sizeof back, "%s-back", argv[4]);
	memset(message, 7, sizeof message);
	memset(&o, 0, sizeof o);
	/* Before there is any lock, which a child would share. */
	child = fork();
	if (child < 0)
		return 1;
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(orders[1]);
		close(ready[0]);
		answer(atoi(argv[2]), argv[3], there, back, orders[0], ready[1]);
		return 0;
	}
	close(orders[0]);
	close(ready[1]);
	create(argv[3], there);
	get(ready[0], &c, 1);
	subscribe(argv[3], back);
	pin(atoi(argv[1]));
	put(orders[1], &o, sizeof o);
	get(ready[0], &c, 1);
	admit();
	admitted();
	get(ready[0], &c, 1);
	printf("%d %d\n", (int)getpid(), (int)child);
	fflush(stdout);
	clock = overhead();
	while (fgets(line, sizeof line, stdin)) {
		int64_t *d = NULL, begun, last, ended;

		if (sscanf(line, "%15s %ld", what, &o.n) != 2 || o.n < 1)
			return 1;
		o.what = what[0];
		if (o.what == 'r' && (d = calloc((size_t)o.n, sizeof *d)) == NULL)
			return 1;
		put(orders[1], &o, sizeof o);
		get(ready[0], &c, 1);
		begun = last = now();
		for (long i = 0; i < o.n; i++) {
			send_one(message);
			if (o.what == 'r') {
				receive_one();
				int64_t t = now();
				d[i] = t - last - clock;
				last = t;
			}
		}
		get(ready[0], &ended, sizeof ended);
		if (o.what == 'r') {
			qsort(d, (size_t)o.n, sizeof *d, less);
			printf("%lld %lld %lld\n", (long long)d[o.n / 2], (long long)d[o.n * 99 / 100], (long long)d[o.n * 999 / 1000]);
		} else {
			printf("%.0f\n", (double)o.n * 1e9 / (double)(ended - begun));
		}
		fflush(stdout);
		free(d);
	}
	close(orders[1]);
	shm_topic_leave(&in);
	shm_topic_end(&out);
	shm_topic_remove(argv[3], there, NULL);
	while (read(ready[0], &c, 1) > 0) /* until the child has ended */
		;
	return 0;
}
