/*
 * How fast it goes: one process publishes, another takes, each sample touched
 * on both sides.
 *
 *     cc -std=c11 -O2 -o bench bench.c
 *     ./bench pub NAME SIZE COUNT block|drop SLOTS    waits for one subscriber
 *                                                     and for a line
 *     ./bench sub NAME                                until the topic ends
 *
 * Both say on standard output when they are ready, and how many samples a
 * second it was, by the first and the last.
 */
#include "shm_topic.h"

static void say(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static int fail(const char *what, const shm_topic_error *e)
{
	fprintf(stderr, "%s: %s: %s\n", what, shm_topic_name(e->code), e->text);
	return 1;
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int publish(const char *name, size_t size, uint64_t count, int block, uint64_t slots)
{
	static shm_topic_pub p;
	shm_topic_create_options o;
	shm_topic_stats st;
	shm_topic_loan l;
	char line[16];
	double begun;
	memset(&o, 0, sizeof o);
	memset(&st, 0, sizeof st);
	o.size = size;
	o.slots = slots;
	o.subscribers = 1;
	o.held = 2;
	o.policy = block ? SHM_TOPIC_BLOCK : SHM_TOPIC_DROP_OLDEST;
	if (shm_topic_create(&p, name, &o) != SHM_TOPIC_OK)
		return fail("create", &p.error);
	say("created");
	while (st.admitted == 0) {
		struct timespec nap = {0, 1000000};
		nanosleep(&nap, NULL);
		if (shm_topic_poll(&p) != SHM_TOPIC_OK)
			return fail("poll", &p.error);
		shm_topic_stats_of(&p, &st);
	}
	say("ready");
	if (!fgets(line, sizeof line, stdin))
		return 1;
	begun = seconds();
	for (uint64_t i = 0; i < count; i++) {
		if (shm_topic_lend(&p, size, SHM_TOPIC_FOREVER, &l) != SHM_TOPIC_OK)
			return fail("lend", &p.error);
		memcpy(l.data, &i, size < sizeof i ? size : sizeof i);
		if (shm_topic_publish(&p, &l) != SHM_TOPIC_OK)
			return fail("publish", &p.error);
	}
	say("%.0f a second", (double)count / (seconds() - begun));
	return shm_topic_end(&p) == SHM_TOPIC_OK ? 0 : fail("end", &p.error);
}

static int subscribe(const char *name)
{
	static shm_topic_sub s;
	shm_topic_sample m;
	uint64_t taken = 0, lost = 0, first = 0, sum = 0;
	double begun = 0;
	int result;
	if (shm_topic_subscribe(&s, name, NULL) != SHM_TOPIC_OK)
		return fail("subscribe", &s.error);
	if (shm_topic_wait_admitted(&s, 60 * INT64_C(1000000000)) != SHM_TOPIC_OK)
		return fail("admission", &s.error);
	say("admitted");
	while ((result = shm_topic_next(&s, &m, SHM_TOPIC_FOREVER)) == SHM_TOPIC_OK) {
		if (taken++ == 0)
			begun = seconds();
		memcpy(&first, m.data, m.size < sizeof first ? m.size : sizeof first);
		sum += first;
		lost += m.missed;
		shm_topic_release(&s, &m);
	}
	if (result != SHM_TOPIC_EEND)
		return fail("next", &s.error);
	say("%.0f a second, %llu lost, %llu", (double)taken / (seconds() - begun), (unsigned long long)lost, (unsigned long long)sum);
	return shm_topic_leave(&s) == SHM_TOPIC_OK ? 0 : fail("leave", &s.error);
}

int main(int argc, char **argv)
{
	if (argc == 7 && strcmp(argv[1], "pub") == 0)
		return publish(argv[2], (size_t)strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10), strcmp(argv[5], "block") == 0, strtoull(argv[6], NULL, 10));
	if (argc == 3 && strcmp(argv[1], "sub") == 0)
		return subscribe(argv[2]);
	fprintf(stderr, "usage: bench pub NAME SIZE COUNT block|drop SLOTS\n       bench sub NAME\n");
	return 2;
}
