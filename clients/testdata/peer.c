/*
 * A peer in C for the tests: publisher, subscriber or observer of a topic
 * whose sample i is known (fill). It says on standard output what it does, a
 * line each time, and why it fails on standard error.
 *
 *     peer pub NAME POLICY COUNT BATCH WAIT   COUNT 0: without end; begins when
 *                                             WAIT subscribers are admitted, it
 *                                             has said so, and a line came
 *     peer sub NAME FROM HOLD REPORT
 *     peer observe NAME FROM REPORT
 *     peer hold NAME K                     holds up to K samples until a line comes
 *     peer look NAME                       the newest sample, and how the topic is made
 *     peer adopt NAME                      goes on with the golden topic
 *     peer make NAME SHARING GID           until a line comes
 *     peer remove NAME
 */
#include "shm_topic.h"

__attribute__((noreturn)) static void die(const char *what, int code, const shm_topic_error *e)
{
	fprintf(stderr, "%s: %s: %s\n", what, shm_topic_name(code), e ? e->text : "");
	printf("%s\n", shm_topic_name(code));
	fflush(stdout);
	_exit(3);
}

static void say(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static size_t size_of(uint64_t i) { return 8 + (size_t)(i * 7 % 249); }

static void fill(uint8_t *b, size_t n, uint64_t i)
{
	memcpy(b, &i, 8);
	for (size_t k = 8; k < n; k++)
		b[k] = (uint8_t)(i * 31 + k);
}

/* The i that a sample was filled with. */
static uint64_t check(const void *data, size_t size)
{
	const uint8_t *b = (const uint8_t *)data;
	uint64_t i = 0;
	if (size >= 8)
		memcpy(&i, b, 8);
	if (size < 8 || size != size_of(i)) {
		fprintf(stderr, "torn: %zu bytes that say they are sample %llu\n", size, (unsigned long long)i);
		_exit(4);
	}
	for (size_t k = 8; k < size; k++) {
		if (b[k] != (uint8_t)(i * 31 + k)) {
			fprintf(stderr, "torn: byte %zu of sample %llu\n", k, (unsigned long long)i);
			_exit(4);
		}
	}
	return i;
}

static void options(shm_topic_create_options *o, const char *policy)
{
	memset(o, 0, sizeof *o);
	o->size = 256;
	o->slots = 32;
	o->subscribers = 4;
	o->held = 4;
	o->policy = strcmp(policy, "block") == 0 ? SHM_TOPIC_BLOCK : SHM_TOPIC_DROP_OLDEST;
}

static int publish(const char *name, const char *policy, uint64_t count, uint64_t batch, uint32_t wait)
{
	static shm_topic_pub p;
	shm_topic_create_options o;
	shm_topic_stats st;
	uint64_t i, last, queued = 0;
	int result;
	options(&o, policy);
	if ((result = shm_topic_create(&p, name, &o)) != SHM_TOPIC_OK)
		die("create", result, &p.error);
	shm_topic_stats_of(&p, &st);
	i = st.published;
	last = i + count;
	say("from %llu", (unsigned long long)i);
	while (st.admitted < wait) {
		shmt_nap(SHMT_MS);
		if ((result = shm_topic_poll(&p)) != SHM_TOPIC_OK)
			die("poll", result, &p.error);
		shm_topic_stats_of(&p, &st);
	}
	if (wait) {
		char line[16];
		say("ready");
		if (!fgets(line, sizeof line, stdin))
			return 4;
	}
	for (; count == 0 || i < last; i++) {
		shm_topic_loan l;
		result = shm_topic_lend(&p, size_of(i), SHM_TOPIC_FOREVER, &l);
		if (result != SHM_TOPIC_OK)
			die("lend", result, &p.error);
		fill((uint8_t *)l.data, l.size, i);
		l.word = i;
		l.flags = (uint32_t)i;
		if (++queued < batch) {
			result = shm_topic_queue(&p, &l);
		} else {
			queued = 0;
			result = shm_topic_publish(&p, &l);
		}
		if (result != SHM_TOPIC_OK)
			die("publish", result, &p.error);
	}
	shm_topic_stats_of(&p, &st);
	fprintf(stderr, "published %llu, holes %llu, demoted %llu, evicted %llu, wakes %llu, waits %llu, admitted %u\n",
		(unsigned long long)st.published, (unsigned long long)st.holes, (unsigned long long)st.demoted,
		(unsigned long long)st.evicted, (unsigned long long)st.wakes, (unsigned long long)st.waits, st.admitted);
	if ((result = shm_topic_end(&p)) != SHM_TOPIC_OK)
		die("end", result, &p.error);
	say("done");
	return 0;
}

static int from_of(const char *text)
{
	return strcmp(text, "oldest") == 0 ? SHM_TOPIC_OLDEST : strcmp(text, "newest") == 0 ? SHM_TOPIC_NEWEST : SHM_TOPIC_NEXT;
}

static int receive(const char *name, const char *from, uint64_t hold, uint64_t report, int observe)
{
	static shm_topic_sub s;
	shm_topic_open_options o;
	shm_topic_sample held[SHM_TOPIC_MAX_HELD + 1], m;
	uint64_t taken = 0, lost = 0, next = 0, promised = 0, copied = 0;
	size_t n = 0;
	int result;
	memset(&o, 0, sizeof o);
	o.from = from_of(from);
	result = observe ? shm_topic_observe(&s, name, &o) : shm_topic_subscribe(&s, name, &o);
	if (result != SHM_TOPIC_OK)
		die("subscribe", result, &s.error);
	if (observe) {
		say("observing");
	} else {
		if ((result = shm_topic_wait_admitted(&s, 60 * SHMT_SECOND)) != SHM_TOPIC_OK)
			die("admission", result, &s.error);
		shm_topic_admitted(&s, &promised);
		say("admitted from %llu", (unsigned long long)promised);
	}
	while ((result = shm_topic_next(&s, &m, SHM_TOPIC_FOREVER)) == SHM_TOPIC_OK) {
		uint64_t i = check(m.data, m.size);
		if (i != m.seq || m.word != i || m.flags != (uint32_t)i) {
			fprintf(stderr, "sample %llu has sequence %llu, word %llu\n", (unsigned long long)i, (unsigned long long)m.seq, (unsigned long long)m.word);
			return 4;
		}
		if (taken > 0 && m.seq != next + m.missed) {
			fprintf(stderr, "after %llu came %llu, with %llu missed\n", (unsigned long long)next, (unsigned long long)m.seq, (unsigned long long)m.missed);
			return 4;
		}
		if (!observe && s.block && m.missed > 0 && m.number >= promised) {
			fprintf(stderr, "lost %llu before %llu, admitted from %llu\n", (unsigned long long)m.missed, (unsigned long long)m.number, (unsigned long long)promised);
			return 4;
		}
		next = m.seq + 1;
		lost += m.missed;
		copied += m.place < 0;
		if (++taken % (report ? report : UINT64_MAX) == 0)
			say("at %llu", (unsigned long long)taken);
		held[n++] = m;
		while (n > hold) {
			if (check(held[0].data, held[0].size) != held[0].seq) {
				fprintf(stderr, "sample %llu changed while it was held\n", (unsigned long long)held[0].seq);
				return 4;
			}
			shm_topic_release(&s, &held[0]);
			memmove(held, held + 1, --n * sizeof held[0]);
		}
	}
	if (result != SHM_TOPIC_EEND)
		die("next", result, &s.error);
	while (n > 0)
		shm_topic_release(&s, &held[--n]);
	if ((result = shm_topic_leave(&s)) != SHM_TOPIC_OK)
		die("leave", result, &s.error);
	fprintf(stderr, "copied %llu\n", (unsigned long long)copied);
	say("took %llu, lost %llu, next %llu", (unsigned long long)taken, (unsigned long long)lost, (unsigned long long)next);
	return 0;
}

static int hold(const char *name, size_t k)
{
	static shm_topic_sub s;
	shm_topic_sample held[SHM_TOPIC_MAX_HELD];
	char line[16];
	size_t n;
	int result;
	if ((result = shm_topic_subscribe(&s, name, NULL)) != SHM_TOPIC_OK)
		die("subscribe", result, &s.error);
	if ((result = shm_topic_wait_admitted(&s, 60 * SHMT_SECOND)) != SHM_TOPIC_OK)
		die("admission", result, &s.error);
	say("admitted");
	/* As many in place as can be had: under drop oldest we are soon lapped. */
	for (n = 0; n < k;) {
		if ((result = shm_topic_next(&s, &held[n], SHM_TOPIC_FOREVER)) != SHM_TOPIC_OK)
			die("next", result, &s.error);
		if (held[n].place >= 0) {
			n++;
			continue;
		}
		shm_topic_release(&s, &held[n]);
		if (n > 0)
			k = n;
	}
	say("holding from %llu", (unsigned long long)held[0].seq);
	if (!fgets(line, sizeof line, stdin))
		return 4;
	for (n = 0; n < k; n++) {
		if (check(held[n].data, held[n].size) != held[n].seq) {
			fprintf(stderr, "sample %llu changed while it was held\n", (unsigned long long)held[n].seq);
			return 4;
		}
	}
	say("unchanged");
	if (!fgets(line, sizeof line, stdin))
		return 4;
	for (n = 0; n < k; n++)
		shm_topic_release(&s, &held[n]);
	if ((result = shm_topic_leave(&s)) != SHM_TOPIC_OK)
		die("leave", result, &s.error);
	say("left");
	return 0;
}

static int look(const char *name)
{
	static shm_topic_sub s;
	shm_topic_sample m;
	int result = shm_topic_observe(&s, name, NULL);
	if (result != SHM_TOPIC_OK)
		die("observe", result, &s.error);
	say("%llu slots of %llu bytes, aligned to %llu, %u subscribers hold %u, policy %u, patience %lld, type \"%s\", features %#llx",
		(unsigned long long)s.ring.slots, (unsigned long long)s.ring.capacity, (unsigned long long)s.ring.align,
		s.ring.subscribers, s.ring.held, s.ring.policy, (long long)s.ring.patience, s.ring.type, (unsigned long long)s.ring.features);
	result = shm_topic_latest(&s, &m);
	if (result == SHM_TOPIC_OK) {
		say("sample %llu, number %llu: \"%.*s\", word %llu, flags %u", (unsigned long long)m.seq, (unsigned long long)m.number,
			(int)m.size, (const char *)m.data, (unsigned long long)m.word, m.flags);
		shm_topic_release(&s, &m);
	} else {
		say("%s", shm_topic_name(result));
	}
	return shm_topic_leave(&s);
}

/* A topic that is made as the test does in Go, to be compared. */
static int make(const char *name, uint32_t sharing, gid_t gid)
{
	static const uint8_t hash[32] = {7, 8, 9};
	static shm_topic_pub p;
	static shm_topic_sub s;
	shm_topic_create_options o;
	char line[16];
	int result;
	memset(&o, 0, sizeof o);
	o.size = 100;
	o.slots = 64;
	o.subscribers = 5;
	o.held = 3;
	o.policy = SHM_TOPIC_BLOCK;
	o.align = 128;
	o.patience = 1234567;
	o.sharing = sharing;
	o.gid = gid;
	o.type = "ünï.Type";
	o.type_hash = hash;
	if ((result = shm_topic_create(&p, name, &o)) != SHM_TOPIC_OK)
		die("create", result, &p.error);
	if ((result = shm_topic_subscribe(&s, name, NULL)) != SHM_TOPIC_OK)
		die("subscribe", result, &s.error);
	if ((result = shm_topic_poll(&p)) != SHM_TOPIC_OK)
		die("poll", result, &p.error);
	for (int i = 0; i < 3; i++) {
		if ((result = shm_topic_send(&p, "the same", 8, 0)) != SHM_TOPIC_OK)
			die("send", result, &p.error);
	}
	say("made");
	if (!fgets(line, sizeof line, stdin))
		return 4;
	return shm_topic_leave(&s) + shm_topic_end(&p);
}

/* Goes on with the topic of spec/testdata/topic-v1-ring.bin. */
static int adopt(const char *name)
{
	static shm_topic_pub p;
	shm_topic_create_options o;
	shm_topic_stats st;
	int result;
	memset(&o, 0, sizeof o);
	o.slots = 4;
	o.size = 16;
	o.subscribers = 1;
	o.held = 2;
	if ((result = shm_topic_create(&p, name, &o)) != SHM_TOPIC_OK)
		die("create", result, &p.error);
	shm_topic_stats_of(&p, &st);
	say("published %llu", (unsigned long long)st.published);
	if ((result = shm_topic_send(&p, "adopted", 7, 0)) != SHM_TOPIC_OK)
		die("send", result, &p.error);
	look(name);
	return shm_topic_end(&p);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "", *name = argc > 2 ? argv[2] : "";
	const char *a = argc > 3 ? argv[3] : "", *b = argc > 4 ? argv[4] : "0", *c = argc > 5 ? argv[5] : "0", *d = argc > 6 ? argv[6] : "0";
	shm_topic_error e;
	int result;
	shm_topic_guard();
	if (strcmp(verb, "pub") == 0)
		return publish(name, a, strtoull(b, NULL, 10), strtoull(c, NULL, 10), (uint32_t)strtoull(d, NULL, 10));
	if (strcmp(verb, "sub") == 0)
		return receive(name, a, strtoull(b, NULL, 10), strtoull(c, NULL, 10), 0);
	if (strcmp(verb, "observe") == 0)
		return receive(name, a, 0, strtoull(b, NULL, 10), 1);
	if (strcmp(verb, "hold") == 0)
		return hold(name, (size_t)strtoull(a, NULL, 10));
	if (strcmp(verb, "look") == 0)
		return look(name);
	if (strcmp(verb, "adopt") == 0)
		return adopt(name);
	if (strcmp(verb, "make") == 0)
		return make(name, (uint32_t)strtoul(a, NULL, 10), (gid_t)strtoul(b, NULL, 10));
	if (strcmp(verb, "remove") == 0) {
		if ((result = shm_topic_remove(NULL, name, &e)) != SHM_TOPIC_OK)
			die("remove", result, &e);
		say("removed");
		return 0;
	}
	fprintf(stderr, "usage: peer pub|sub|observe|hold|look|adopt|make|remove NAME ...\n");
	return 2;
}
