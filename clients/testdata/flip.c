/*
 * Flips bits of a topic's files, one at a time, and uses the topic: that must
 * be an error or valid data, never a crash, never a byte out of bounds (the
 * sanitizers and the guard page see to that).
 *
 *     flip data NAME STEP FROM TO ...     an observer and a subscriber read
 *     flip adopt NAME STEP FROM TO ...    a publisher takes over
 *     flip member NAME STEP FROM TO ...   a publisher serves a subscriber,
 *                                         whose own file it is
 *
 * Flipped are every STEP-th bit of the bytes FROM to TO, which mean something,
 * and now and then one of the others.
 */
#include "shm_topic.h"

static shm_topic_sub sub;
static shm_topic_pub pub;
static uint64_t good, errors;

static uint64_t step = 1, ranges[16];
static int bounds;

/* Whether a bit is flipped. */
static int chosen(uint64_t bit)
{
	for (int i = 0; i + 1 < bounds; i += 2) {
		if (bit / 8 >= ranges[i] && bit / 8 < ranges[i + 1])
			return bit % step == 0;
	}
	return bit % (101 * step) == 0;
}

static void fail(const char *what, uint64_t bit)
{
	fprintf(stderr, "%s, at bit %llu\n", what, (unsigned long long)bit);
	_exit(4);
}

static void note(int result, const shm_topic_error *e, uint64_t bit)
{
	if (result == SHM_TOPIC_OK) {
		good++;
	} else {
		errors++;
		if (e->code != result || !e->text[0])
			fail("an error without a text", bit);
	}
}

/* Takes what is there, at most a few rounds of it, and looks at every byte. */
static int drain(uint64_t bit)
{
	static volatile uint8_t sink;
	shm_topic_sample m;
	int result = SHM_TOPIC_OK;
	for (uint64_t n = 0; n < 4 * sub.ring.slots && result == SHM_TOPIC_OK; n++) {
		result = n == 0 ? shm_topic_latest(&sub, &m) : shm_topic_next(&sub, &m, 0);
		if (result == SHM_TOPIC_EEMPTY && n == 0) {
			result = SHM_TOPIC_OK;
			continue;
		}
		if (result != SHM_TOPIC_OK)
			break;
		if (m.size > sub.ring.capacity)
			fail("a sample that is longer than its slot", bit);
		for (size_t i = 0; i < m.size; i++)
			sink = (uint8_t)(sink + ((const uint8_t *)m.data)[i]);
		shm_topic_release(&sub, &m);
	}
	return result == SHM_TOPIC_EEMPTY || result == SHM_TOPIC_EEND ? SHM_TOPIC_OK : result;
}

/* Removes what the subscribers before have left, as a publisher does. */
static int sweep(void *dir, const char *name, ino_t ino)
{
	(void)ino;
	if (strncmp(name, "r.", 2) == 0)
		unlinkat(*(int *)dir, name, 0);
	return SHM_TOPIC_OK;
}

static int data(const char *name, int dir, int fd, const uint8_t *original, uint64_t bits)
{
	for (uint64_t bit = 0; bit < bits; bit++) {
		uint8_t flipped = (uint8_t)(original[bit / 8] ^ 1 << bit % 8);
		if (!chosen(bit))
			continue;
		if (pwrite(fd, &flipped, 1, (off_t)(bit / 8)) != 1)
			fail("pwrite", bit);
		for (int way = 0; way < 3; way++) {
			shm_topic_open_options o;
			int result;
			if (way == 2 && bit % 16)
				continue; /* a subscriber takes longer */
			memset(&o, 0, sizeof o);
			o.from = way == 1 ? SHM_TOPIC_NEWEST : SHM_TOPIC_OLDEST;
			result = way == 2 ? shm_topic_subscribe(&sub, name, &o) : shm_topic_observe(&sub, name, &o);
			if (result == SHM_TOPIC_OK)
				result = drain(bit);
			note(result, &sub.error, bit);
			if (shm_topic_leave(&sub) != SHM_TOPIC_OK)
				fail("leaving", bit);
			if (way == 2)
				shmt_entries(dir, sweep, &dir);
		}
		if (pwrite(fd, &original[bit / 8], 1, (off_t)(bit / 8)) != 1)
			fail("pwrite", bit);
	}
	return 0;
}

static void options(shm_topic_create_options *o, uint64_t slots, uint64_t size, uint32_t subscribers, uint32_t held)
{
	memset(o, 0, sizeof *o);
	o->slots = slots;
	o->size = size;
	o->subscribers = subscribers;
	o->held = held;
	o->policy = SHM_TOPIC_DROP_OLDEST;
}

static int adopt(const char *name, int fd, const uint8_t *original, uint64_t bits)
{
	shm_topic_create_options o;
	shm_topic_ring ring;
	shm_topic_header h;
	shm_topic_error e;
	memcpy((void *)&h, original, sizeof h);
	if (shmt_check_config(&e, &h, NULL, &ring) != SHM_TOPIC_OK)
		fail(e.text, 0);
	options(&o, ring.slots, ring.capacity, ring.subscribers, ring.held);
	o.patience = ring.patience;
	for (uint64_t bit = 0; bit < bits; bit++) {
		uint8_t flipped = (uint8_t)(original[bit / 8] ^ 1 << bit % 8);
		int result;
		if (!chosen(bit))
			continue;
		if (pwrite(fd, original, bits / 8, 0) != (ssize_t)(bits / 8) || pwrite(fd, &flipped, 1, (off_t)(bit / 8)) != 1)
			fail("pwrite", bit);
		result = shm_topic_create(&pub, name, &o);
		for (int n = 0; n < 6 && result == SHM_TOPIC_OK; n++)
			result = shm_topic_send(&pub, "flipped", 7, 0);
		note(result, &pub.error, bit);
		shm_topic_abandon(&pub);
	}
	if (pwrite(fd, original, bits / 8, 0) != (ssize_t)(bits / 8))
		fail("pwrite", 0);
	return 0;
}

static int member(const char *name)
{
	shm_topic_create_options o;
	uint8_t before;
	options(&o, 8, 16, 2, 2);
	for (uint64_t bit = 0;; bit++) {
		uint64_t at = bit / 8;
		int result, header = at < SHM_TOPIC_HEADER_SIZE;
		if (at >= shmt_member_size(2))
			break;
		if (!chosen(bit))
			continue;
		if (header || !pub.open) {
			/* The header is looked at when the file is opened. */
			shm_topic_abandon(&pub);
			if (shm_topic_leave(&sub) != SHM_TOPIC_OK || shm_topic_create(&pub, name, &o) != SHM_TOPIC_OK || shm_topic_subscribe(&sub, name, NULL) != SHM_TOPIC_OK)
				fail(pub.error.text, bit);
		}
		if (pread(sub.own_fd, &before, 1, (off_t)at) != 1)
			fail("pread", bit);
		before ^= (uint8_t)(1 << bit % 8);
		if (pwrite(sub.own_fd, &before, 1, (off_t)at) != 1)
			fail("pwrite", bit);
		result = shm_topic_poll(&pub);
		for (int n = 0; n < 20 && result == SHM_TOPIC_OK; n++)
			result = shm_topic_send(&pub, "flipped", 7, 0);
		if (result != SHM_TOPIC_OK)
			fail(pub.error.text, bit); /* no subscriber can harm the publisher */
		before ^= (uint8_t)(1 << bit % 8);
		if (pwrite(sub.own_fd, &before, 1, (off_t)at) != 1)
			fail("pwrite", bit);
		good++;
	}
	if (shm_topic_leave(&sub) != SHM_TOPIC_OK || shm_topic_end(&pub) != SHM_TOPIC_OK)
		fail("the end", 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	char path[512];
	struct stat st;
	uint8_t *original = NULL;
	int fd, dir;
	if (argc < 4)
		return 2;
	step = strtoull(argv[3], NULL, 10);
	for (int i = 4; i < argc && bounds < 16; i++)
		ranges[bounds++] = strtoull(argv[i], NULL, 10);
	if (strcmp(verb, "member") == 0) {
		member(argv[2]);
	} else {
		snprintf(path, sizeof path, "/dev/shm/%s.topic", argv[2]);
		dir = open(path, O_RDONLY | O_DIRECTORY);
		fd = dir < 0 ? -1 : openat(dir, "data", O_RDWR);
		if (fd < 0 || fstat(fd, &st) != 0 || !(original = (uint8_t *)malloc((size_t)st.st_size)) || pread(fd, original, (size_t)st.st_size, 0) != st.st_size)
			fail("reading data", 0);
		if (strcmp(verb, "data") == 0)
			data(argv[2], dir, fd, original, 8 * (uint64_t)st.st_size);
		else
			adopt(argv[2], fd, original, 8 * (uint64_t)st.st_size);
		free(original);
	}
	printf("flipped: %llu good, %llu errors\n", (unsigned long long)good, (unsigned long long)errors);
	return 0;
}
