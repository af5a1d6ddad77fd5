/*
 * A peer for the tests of shm_net.h.
 *
 *   golden FILE           says what stands in a memory
 *   echo ADDR [RING MAX]  accepts, and echoes each connection to its end
 *   ask ADDR TOTAL PIECE [RING MAX]   sends so much, checks that it comes back
 *   stuck ADDR            connects, says hello and reads to the end
 *   serve ADDR [MS]       accepts one, who has so long for its hello, reads to the end
 *   full ADDR             connects and writes until there is no room
 *   lie ADDR WORD         connects and breaks the protocol
 *   pour ADDR TOTAL       accepts one, writes so much at once
 *   grow ADDR [RING MAX]  connects, sends until its ring has grown, gives that back, and does it again
 *
 * What it says goes to standard output, line by line.
 */
#include "shm_net.h"

#include <stdlib.h>

static void say(const char *format, ...) {
	va_list args;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void need(int code, const shm_net_error *e) {
	if (code != SHM_NET_OK) {
		say("%s: %s", shm_net_name(code), e->text);
		exit(0);
	}
}

/* content is byte i of what is sent. */
static uint8_t content(uint64_t i) { return (uint8_t)(((uint32_t)i * 2654435761u) >> 24); }

static int64_t number(int argc, char **argv, int i) { return i < argc ? strtoll(argv[i], NULL, 10) : 0; }

static shm_net_options options(int argc, char **argv, int i) {
	shm_net_options o;
	memset(&o, 0, sizeof o);
	o.ring = (uint32_t)number(argc, argv, i);
	o.max_ring = number(argc, argv, i + 1);
	return o;
}

/* finish reads to the end and says how that was. */
static void finish(shm_net_conn *c) {
	static uint8_t buf[1 << 16];
	uint64_t total = 0;
	ssize_t n;
	while ((n = shm_net_read(c, buf, sizeof buf, SHM_NET_FOREVER)) > 0)
		total += (uint64_t)n;
	if (n == 0)
		say("end after %llu", (unsigned long long)total);
	else
		say("%s after %llu: %s", shm_net_name((int)n), (unsigned long long)total, c->error.text);
}

static void dump(const char *path) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		exit(1);
	uint8_t *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		exit(1);
	close(fd);
	for (int i = 0; i < 2; i++) {
		shmn_lines *l = (shmn_lines *)(void *)(p + 1024 + 1024 * i);
		say("tail %llu at %llu moves %u to %u offer %u fin %u head %llu answer %llu moved %u shut %u receiver %u sender %u want %llu",
		    (unsigned long long)SHMN_LOAD(&l->tail), (unsigned long long)SHMN_LOAD(&l->at), SHMN_LOAD(&l->moves), SHMN_LOAD(&l->to),
		    SHMN_LOAD(&l->offer), SHMN_LOAD(&l->fin), (unsigned long long)SHMN_LOAD(&l->head), (unsigned long long)SHMN_LOAD(&l->answer),
		    SHMN_LOAD(&l->moved), SHMN_LOAD(&l->shut), SHMN_LOAD(&l->receiver_nap), SHMN_LOAD(&l->sender_nap), (unsigned long long)SHMN_LOAD(&l->want));
	}
	munmap(p, (size_t)st.st_size);
}

static void echo(int argc, char **argv) {
	static uint8_t buf[1 << 16];
	shm_net_options o = options(argc, argv, 3);
	shm_net_listener l;
	shm_net_conn c;
	need(shm_net_listen(&l, argv[2], &o), &l.error);
	say("listening");
	/* Until the test closes our input, which is looked at between clients. */
	for (;;) {
		struct pollfd p[2] = {{0, POLLIN, 0}, {l.fd, POLLIN, 0}};
		if (poll(p, 2, -1) < 0)
			exit(1);
		if (p[0].revents)
			break;
		uint64_t failed = l.failed;
		int code = shm_net_accept(&l, &c, 0);
		for (; l.failed != failed; failed++)
			say("failed: %s", l.error.text);
		if (code == SHM_NET_ETIMEOUT)
			continue;
		need(code, &l.error);
		ssize_t n;
		while ((n = shm_net_read(&c, buf, sizeof buf, SHM_NET_FOREVER)) > 0)
			if (shm_net_write(&c, buf, (size_t)n, SHM_NET_FOREVER) != n)
				break;
		if (n == 0)
			say("served %d, %llu moves, %llu of ours", (int)c.pid, (unsigned long long)c.moves_followed, (unsigned long long)c.moves_made);
		else
			say("%s: %s", shm_net_name(n > 0 ? c.error.code : (int)n), c.error.text);
		shm_net_close(&c);
	}
	shm_net_unlisten(&l);
}

static void ask(int argc, char **argv) {
	uint64_t total = (uint64_t)number(argc, argv, 3), sent = 0, got = 0;
	size_t piece = (size_t)number(argc, argv, 4);
	shm_net_options o = options(argc, argv, 5);
	shm_net_conn c;
	uint8_t *out = malloc(piece), *in = malloc(1 << 16);
	need(shm_net_dial(&c, argv[2], &o, SHM_NET_FOREVER), &c.error);
	for (int ended = 0;;) {
		int busy = 0;
		ssize_t n;
		if (sent < total) {
			size_t k = piece < total - sent ? piece : (size_t)(total - sent);
			for (size_t i = 0; i < k; i++)
				out[i] = content(sent + i);
			n = shm_net_write(&c, out, k, 0);
			if (n < 0 && n != SHM_NET_ETIMEOUT)
				need((int)n, &c.error);
			if (n > 0) {
				sent += (uint64_t)n;
				busy = 1;
			}
		} else if (!ended) {
			ended = 1;
			need(shm_net_close_write(&c), &c.error);
		}
		n = shm_net_read(&c, in, 1 << 16, 0);
		if (n == 0)
			break;
		if (n < 0 && n != SHM_NET_ETIMEOUT)
			need((int)n, &c.error);
		for (ssize_t i = 0; i < n; i++)
			if (in[i] != content(got + (uint64_t)i)) {
				say("byte %llu is wrong", (unsigned long long)(got + (uint64_t)i));
				exit(0);
			}
		if (n > 0) {
			got += (uint64_t)n;
			busy = 1;
		}
		if (!busy)
			need(shm_net_wait(&c, sent < total ? SHM_NET_READ | SHM_NET_WRITE : SHM_NET_READ, SHM_NET_FOREVER), &c.error);
	}
	say("sent %llu, got %llu, %llu moves, %llu of ours", (unsigned long long)sent, (unsigned long long)got, (unsigned long long)c.moves_followed, (unsigned long long)c.moves_made);
	/* What comes now must end at once. */
	if (shm_net_write(&c, "x", 1, 0) != SHM_NET_EPIPE)
		say("could write after the end");
	shm_net_close(&c);
	shm_net_close(&c);
	if (shm_net_read(&c, in, 1, 0) != SHM_NET_ECLOSED)
		say("could read after the end");
	free(out);
	free(in);
}

/* grow has its ring grow and shrink twice, and checks what comes back. */
static void grow(int argc, char **argv) {
	static uint8_t out[1 << 16], in[1 << 16];
	shm_net_options o = options(argc, argv, 3);
	shm_net_conn c;
	uint64_t sent = 0, got = 0;
	need(shm_net_dial(&c, argv[2], &o, SHM_NET_FOREVER), &c.error);
	uint64_t first = c.out.mask + 1;
	for (int round = 0; round < 2; round++) {
		for (uint64_t end = sent + (16 << 20); got < end;) {
			size_t k = end - sent < sizeof out ? (size_t)(end - sent) : sizeof out;
			for (size_t i = 0; i < k; i++)
				out[i] = content(sent + i);
			ssize_t n = k == 0 ? 0 : shm_net_write(&c, out, k, 0);
			if (n < 0 && n != SHM_NET_ETIMEOUT)
				need((int)n, &c.error);
			sent += n > 0 ? (uint64_t)n : 0;
			n = shm_net_read(&c, in, sizeof in, k == 0 ? SHM_NET_FOREVER : 1000000);
			if (n < 0 && n != SHM_NET_ETIMEOUT)
				need((int)n, &c.error);
			for (ssize_t i = 0; i < n; i++)
				if (in[i] != content(got++)) {
					say("byte %llu is wrong", (unsigned long long)got - 1);
					exit(0);
				}
		}
		say("grown to %llu", (unsigned long long)c.out.mask + 1);
		/* All came back, so all was taken; that is shown when the other side
		 * has nothing else to read. */
		int code;
		while ((code = shm_net_shrink(&c)) == 0) {
			struct timespec t = {0, 1000000};
			nanosleep(&t, NULL);
		}
		need(code == 1 ? SHM_NET_OK : code, &c.error);
		say("shrunk to %llu, %s", (unsigned long long)c.out.mask + 1, c.out.mask + 1 == first && c.out.ring == NULL ? "the first one" : "another one");
	}
	need(shm_net_close_write(&c), &c.error);
	finish(&c);
	shm_net_close(&c);
}

/* lie breaks the protocol as a sender, or as a receiver. */
static void lie(shm_net_conn *c, const char *word) {
	shmn_lines *out = c->out.lines, *in = c->in.lines;
	if (strcmp(word, "tail") == 0)
		SHMN_STORE(&out->tail, (uint64_t)1 << 40);
	else if (strcmp(word, "moves") == 0)
		SHMN_STORE(&out->moves, 7);
	else if (strcmp(word, "to") == 0) {
		SHMN_STORE(&out->to, 3);
		SHMN_STORE(&out->moves, 1);
	} else if (strcmp(word, "head") == 0) {
		/* It is looked at when the other side finds no room. */
		static const uint8_t much[1 << 16];
		SHMN_STORE(&in->head, (uint64_t)1 << 40);
		shm_net_write(c, much, sizeof much, SHM_NET_FOREVER);
	}
	for (int i = 0; i < 2; i++)
		shmn_ring(c);
}

int main(int argc, char **argv) {
	static uint8_t piece[1 << 16];
	shm_net_conn c;
	shm_net_listener l;
	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "golden") == 0) {
		dump(argv[2]);
	} else if (strcmp(argv[1], "echo") == 0) {
		echo(argc, argv);
	} else if (strcmp(argv[1], "ask") == 0) {
		ask(argc, argv);
	} else if (strcmp(argv[1], "pour") == 0 && argc > 3) {
		size_t total = (size_t)number(argc, argv, 3);
		uint8_t *much = malloc(total);
		for (size_t i = 0; i < total; i++)
			much[i] = content(i);
		need(shm_net_listen(&l, argv[2], NULL), &l.error);
		say("listening");
		need(shm_net_accept(&l, &c, SHM_NET_FOREVER), &l.error);
		ssize_t n = shm_net_write(&c, much, total, SHM_NET_FOREVER);
		say("wrote %lld, %llu moves: %s", (long long)n, (unsigned long long)c.moves_made, c.error.text);
		shm_net_close(&c);
		shm_net_unlisten(&l);
		free(much);
	} else if (strcmp(argv[1], "grow") == 0) {
		grow(argc, argv);
	} else if (strcmp(argv[1], "stuck") == 0) {
		need(shm_net_dial(&c, argv[2], NULL, SHM_NET_FOREVER), &c.error);
		if (shm_net_read(&c, piece, 1, 20000000) != SHM_NET_ETIMEOUT)
			say("read something, or waited for ever");
		if (shm_net_write(&c, "hello", 5, SHM_NET_FOREVER) != 5)
			say("could not write");
		say("connected to %d", (int)c.pid);
		finish(&c);
		shm_net_close(&c);
	} else if (strcmp(argv[1], "serve") == 0) {
		shm_net_options o;
		memset(&o, 0, sizeof o);
		o.handshake = number(argc, argv, 3) * 1000000;
		need(shm_net_listen(&l, argv[2], &o), &l.error);
		say("listening");
		need(shm_net_accept(&l, &c, SHM_NET_FOREVER), &l.error);
		say("accepted %d", (int)c.pid);
		finish(&c);
		shm_net_close(&c);
		shm_net_unlisten(&l);
	} else if (strcmp(argv[1], "full") == 0) {
		need(shm_net_dial(&c, argv[2], NULL, SHM_NET_FOREVER), &c.error);
		ssize_t n;
		uint64_t total = 0;
		while ((n = shm_net_write(&c, piece, sizeof piece, 20000000)) > 0)
			total += (uint64_t)n;
		say("%s after %llu", shm_net_name((int)n), (unsigned long long)total);
		while ((n = shm_net_write(&c, piece, sizeof piece, SHM_NET_FOREVER)) > 0)
			;
		say("%s: %s", shm_net_name((int)n), c.error.text);
		shm_net_close(&c);
	} else if (strcmp(argv[1], "lie") == 0 && argc > 3) {
		/* With rings that do not grow, so that the other side has to look. */
		shm_net_options o;
		memset(&o, 0, sizeof o);
		o.max_ring = -1;
		need(shm_net_dial(&c, argv[2], &o, SHM_NET_FOREVER), &c.error);
		lie(&c, argv[3]);
		say("lied");
		finish(&c);
		shm_net_close(&c);
	} else {
		return 2;
	}
	return 0;
}
