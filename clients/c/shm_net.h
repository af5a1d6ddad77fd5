/*
 * shm_net.h - connections over shared memory, for C and C++.
 *
 * A stream of bytes between two processes of one machine, as over a Unix
 * socket. The socket is still there, for addresses, permissions and waking
 * each other up; the bytes go through memory. The bytes and the protocol are
 * those of spec/shmnet.md (version 1); a peer in Go cannot tell that this one
 * is in C. This file is all there is: no library, nothing to link, nothing but
 * libc.
 *
 *     #define _GNU_SOURCE            // or include this file before all others
 *     #include "shm_net.h"
 *
 *     shm_net_conn c;                                // a client
 *     if (shm_net_dial(&c, "/run/service.sock", NULL, SHM_NET_FOREVER) != SHM_NET_OK)
 *         fprintf(stderr, "%s\n", c.error.text);
 *     shm_net_write(&c, "hello", 5, SHM_NET_FOREVER);
 *     shm_net_close_write(&c);
 *     while ((n = shm_net_read(&c, buf, sizeof buf, SHM_NET_FOREVER)) > 0)
 *         use(buf, n);
 *     shm_net_close(&c);
 *
 *     shm_net_listener l;                            // a server
 *     if (shm_net_listen(&l, "/run/service.sock", NULL) != SHM_NET_OK)
 *         fprintf(stderr, "%s\n", l.error.text);
 *     while (shm_net_accept(&l, &c, SHM_NET_FOREVER) == SHM_NET_OK)
 *         serve(&c);
 *     shm_net_unlisten(&l);
 *
 * An address is the path of a socket, or @ and an abstract name.
 *
 * Guarantees
 *
 *   - Whatever the peer writes or sends, nothing outside the ring is touched:
 *     every word of its is loaded once, checked against cursors that are kept
 *     privately, then used. The memory is sealed, so nobody can cut it short.
 *     A peer that breaks the protocol gets its connection closed, and
 *     `error.text` says how.
 *   - What was written before shm_net_close or shm_net_close_write is read to
 *     its end. The death of the peer is the end (0) when it had closed its
 *     side before, else SHM_NET_ERESET.
 *   - No system call is made while the other side is awake.
 *   - The memory has no name. What a killed listener leaves is its socket
 *     file, which the next one replaces.
 *   - Nothing here starts a thread, installs a signal handler, reads the
 *     environment or prints. SIGPIPE is never raised.
 *
 * Results. Functions return SHM_NET_OK, 0, or a negative SHM_NET_E...;
 * shm_net_name gives its name, and the handle's `error` the text. Read and
 * write return how many bytes. A handle that could not be opened needs no
 * closing.
 *
 * Times to wait are in nanoseconds: 0 does not wait, SHM_NET_FOREVER (any
 * negative number) does without end. A signal handler that runs meanwhile ends
 * the wait: SHM_NET_EINTR.
 *
 * Threads. A handle is used by one thread at a time; shm_net_wait waits for
 * both directions at once. Different handles are independent. fork: a child
 * has none of the memory (MADV_DONTFORK); the descriptors are close-on-exec,
 * and a child that does not exec keeps the socket open, so that the peer does
 * not learn of our end. Shut it down (shm_net_close) before you exit.
 *
 * Limits
 *
 *   - Linux, 64 bits, little-endian: amd64 and arm64 (kernels from 5.4 on).
 *   - Rings grow by themselves, in both directions, up to options.max_ring. A
 *     ring that has grown is given back by shm_net_shrink, for nothing here
 *     runs while a connection is idle.
 *   - There is no fall-back to the plain socket.
 *   - Handshakes make progress in shm_net_accept alone: of many clients at
 *     once, so that who connects and says nothing holds nobody up.
 *   - Written means that the bytes are in the memory.
 *   - The limit of a memory control group is not looked at.
 */
#ifndef SHM_NET_H
#define SHM_NET_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#if !defined(F_GET_SEALS) || !defined(MFD_ALLOW_SEALING)
#error "shm_net.h: define _GNU_SOURCE before the first #include, or include shm_net.h first"
#endif
#if !defined(__linux__) || !defined(__LP64__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "shm_net.h: connections are for 64-bit little-endian Linux"
#endif

#ifdef __cplusplus
typedef uint32_t shm_net_u32;
typedef uint64_t shm_net_u64;
#define SHMN_LOAD(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define SHMN_STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define SHMN_FULL_FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define SHMN_ASSERT(condition, text) static_assert(condition, text)
extern "C" {
#else
#include <stdatomic.h>
typedef _Atomic uint32_t shm_net_u32;
typedef _Atomic uint64_t shm_net_u64;
#define SHMN_LOAD(p) atomic_load_explicit((p), memory_order_acquire)
#define SHMN_STORE(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define SHMN_FULL_FENCE() atomic_thread_fence(memory_order_seq_cst)
#define SHMN_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define SHMN_COLD __attribute__((cold, noinline, unused))
#define SHMN_API static inline __attribute__((unused))

/* -------------------------------------------------------------- results */

enum {
	SHM_NET_OK = 0,
	SHM_NET_ETIMEOUT = -1,    /* the time was over, or there was nothing to do without waiting */
	SHM_NET_EINTR = -2,       /* a signal handler ran */
	SHM_NET_ERESET = -3,      /* the peer was killed, or broke the connection off */
	SHM_NET_EPIPE = -4,       /* the peer takes no more, or this side has ended */
	SHM_NET_ECORRUPT = -5,    /* the peer broke the protocol; the connection is closed */
	SHM_NET_EVERSION = -6,    /* it speaks other versions */
	SHM_NET_EPROTOCOL = -7,   /* who answered does not speak the protocol at all */
	SHM_NET_EREFUSED = -8,    /* the server refuses; the text says why */
	SHM_NET_EPERMISSION = -9, /* the peer's user is not wanted, or ours is not allowed */
	SHM_NET_ENOTFOUND = -10,  /* nobody listens there */
	SHM_NET_EBUSY = -11,      /* somebody listens there, or the file is no socket */
	SHM_NET_EINVALID = -12,   /* an argument is wrong */
	SHM_NET_ECLOSED = -13,    /* the handle is closed */
	SHM_NET_ESYSTEM = -14     /* a system call failed: error.number */
};

#define SHM_NET_FOREVER INT64_C(-1)

typedef struct {
	int code;   /* SHM_NET_E... */
	int number; /* errno, 0 where there is none */
	char text[256];
} shm_net_error;

/* shm_net_name gives the name of a result. */
SHMN_API const char *shm_net_name(int code) {
	static const char *const names[] = {
		"SHM_NET_OK", "SHM_NET_ETIMEOUT", "SHM_NET_EINTR", "SHM_NET_ERESET", "SHM_NET_EPIPE",
		"SHM_NET_ECORRUPT", "SHM_NET_EVERSION", "SHM_NET_EPROTOCOL", "SHM_NET_EREFUSED",
		"SHM_NET_EPERMISSION", "SHM_NET_ENOTFOUND", "SHM_NET_EBUSY", "SHM_NET_EINVALID",
		"SHM_NET_ECLOSED", "SHM_NET_ESYSTEM",
	};
	int i = -code;
	return i >= 0 && i < (int)(sizeof names / sizeof names[0]) ? names[i] : "SHM_NET_?";
}

/* ------------------------------------------------------------ the layout */

/* shmn_lines are the lines of one direction: spec/shmnet.md, section 2. */
typedef struct {
	/* of the sender */
	shm_net_u64 tail;
	shm_net_u64 at;
	shm_net_u32 moves;
	shm_net_u32 to;
	shm_net_u32 offer;
	shm_net_u32 fin;
	uint8_t pad0[96];
	/* of the receiver */
	shm_net_u64 head;
	shm_net_u64 answer;
	shm_net_u32 moved;
	uint8_t pad1[108];
	/* of the receiver */
	shm_net_u32 receiver_nap;
	shm_net_u32 shut;
	uint8_t pad2[120];
	/* of the sender */
	shm_net_u32 sender_nap;
	uint32_t pad3;
	shm_net_u64 want;
	uint8_t pad4[624];
} shmn_lines;

SHMN_ASSERT(offsetof(shmn_lines, fin) == 28, "layout");
SHMN_ASSERT(offsetof(shmn_lines, head) == 128, "layout");
SHMN_ASSERT(offsetof(shmn_lines, moved) == 144, "layout");
SHMN_ASSERT(offsetof(shmn_lines, receiver_nap) == 256, "layout");
SHMN_ASSERT(offsetof(shmn_lines, sender_nap) == 384, "layout");
SHMN_ASSERT(offsetof(shmn_lines, want) == 392, "layout");
SHMN_ASSERT(sizeof(shmn_lines) == 1024, "layout");

enum {
	SHMN_CONTROL = 4096,
	SHMN_HELLO = 64,
	SHMN_TEXT = 1024,
	SHMN_RING_LEAST = 4096,
	SHMN_RING_MOST = 1 << 30,
	SHMN_PIECE = 32 << 10, /* what is copied before it is shown */
	SHMN_GROW_AFTER = 4,   /* how often a ring was full before a greater one is offered */
	SHMN_GROW_BY = 4,      /* and how much greater that is */
	SHMN_PENDING = 64      /* handshakes under way at once; one more ends the oldest */
};

static const char shmn_hello_magic[8] = {'s', 'h', 'm', 'n', 'e', 't', '\r', '\n'};
static const char shmn_memory_magic[8] = {'s', 'h', 'm', 'n', 'e', 't', 'm', '\n'};

/* ------------------------------------------------------------ the handles */

/* shm_net_options are wishes. NULL, and a field that is 0, mean the default. */
typedef struct {
	uint32_t ring;     /* bytes of each direction's ring, rounded up to a power of two; 16 KiB */
	int64_t max_ring;  /* the greatest ring that is accepted, at the beginning (by a listener) or later, and that is offered; 1 MiB, -1 none later */
	int64_t handshake; /* how long a handshake may take, in ns; 5 s */
	mode_t mode;       /* of a listener's socket file; 0600 */
	const uid_t *uids; /* the users who may be at the other end; NULL: all who can connect */
	size_t uid_count;
} shm_net_options;

/* shm_net_conn is a connection. What stands behind pid, uid and gid is
 * private. */
typedef struct {
	shm_net_error error;
	pid_t pid; /* the peer, as the kernel says: of a server who began to listen */
	uid_t uid;
	gid_t gid;

	int fd;
	uint8_t *memory;
	size_t memory_size;
	char name[128]; /* of memory that is made */
	int hung_up;    /* the socket has come to its end */
	int broken;     /* SHM_NET_ECORRUPT, when the peer lied */
	int can_spin;
	unsigned budget; /* of spinning */
	int64_t takes;   /* the greatest ring that is accepted later */
	int gift;        /* an offer that was not answered: a descriptor; -1 none; -2 one that could not be delivered */
	int heaped;      /* more than one came at a time */

	struct {
		shmn_lines *lines;
		uint8_t *data, *base;
		uint64_t mask, base_mask;
		uint64_t head, tail, told;
		uint32_t rung, nap, moved, answered, hint, next_at;
		uint8_t *ring; /* mapped, if not the first ring */
		size_t ring_size;
		uint8_t *next; /* accepted and not moved to yet */
		size_t next_size;
		int ended; /* by us */
	} in;
	struct {
		shmn_lines *lines;
		uint8_t *data, *base;
		uint64_t mask, base_mask;
		uint64_t tail, head;
		uint32_t rung, nap, offers, moves, full;
		int64_t most;  /* the greatest ring that is offered; 0 none */
		uint8_t *ring; /* mapped, if not the first ring */
		size_t ring_size;
		uint8_t *pending; /* offered and not moved to yet */
		size_t pending_size;
		time_t look_s; /* when the socket was looked at last */
		long look_ns;
		int ended;
	} out;

	uint64_t naps, bells, moves_followed, moves_made; /* counted */
} shm_net_conn;

/* shmn_pending is a client that has not finished its hello. */
typedef struct {
	int fd;
	int have; /* bytes of the hello */
	int64_t until;
	uint8_t hello[SHMN_HELLO];
} shmn_pending;

/* shm_net_listener listens. failed counts handshakes that failed; error has
 * the text of the last one. fd is for poll(2): it is readable when
 * shm_net_accept has something to do. The rest is private. */
typedef struct {
	shm_net_error error;
	uint64_t failed;
	int fd;

	int socket;
	shm_net_options options;
	char path[108]; /* empty for an abstract name */
	char name[128];
	dev_t dev;
	ino_t ino;
	int pending_count;
	shmn_pending pending[SHMN_PENDING]; /* oldest first */
} shm_net_listener;

/* ------------------------------------------------------------- small parts */

SHMN_COLD static int shmn_fail(shm_net_error *e, int code, int number, const char *format, ...) {
	va_list args;
	va_start(args, format);
	int n = vsnprintf(e->text, sizeof e->text, format, args);
	va_end(args);
	e->code = code;
	e->number = number;
	if (number != 0 && n >= 0 && (size_t)n < sizeof e->text) {
		snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", strerror(number));
	}
	return code;
}

static inline int64_t shmn_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* shmn_until makes a point of time of a time to wait; -1 is never. */
static inline int64_t shmn_until(int64_t wait) {
	if (wait < 0)
		return -1;
	int64_t now = wait == 0 ? 0 : shmn_now();
	return wait > INT64_MAX - now ? -1 : now + wait;
}

static inline void shmn_put32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void shmn_put64(uint8_t *p, uint64_t v) { memcpy(p, &v, 8); }
static inline uint32_t shmn_get32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t shmn_get64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }

static inline void shmn_pause(void) {
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#endif
}

static inline int shmn_is_ring(uint64_t n) {
	return n >= SHMN_RING_LEAST && n <= SHMN_RING_MOST && (n & (n - 1)) == 0;
}

/* shmn_poll waits for a descriptor until a point of time. 0: it may be ready. */
static int shmn_poll(int fd, short events, int64_t until) {
	struct pollfd p = {fd, events, 0};
	struct timespec t, *tp = NULL;
	if (until >= 0) {
		int64_t left = until == 0 ? 0 : until - shmn_now();
		if (left < 0)
			left = 0;
		t.tv_sec = (time_t)(left / 1000000000);
		t.tv_nsec = (long)(left % 1000000000);
		tp = &t;
	}
	int n = ppoll(&p, 1, tp, NULL);
	if (n > 0)
		return SHM_NET_OK;
	if (n == 0)
		return SHM_NET_ETIMEOUT;
	return errno == EINTR ? SHM_NET_EINTR : SHM_NET_ESYSTEM;
}

static void shmn_unmap(uint8_t *p, size_t size) {
	if (p != NULL)
		munmap(p, size);
}

static uint8_t *shmn_map(int fd, size_t size) {
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_DONTFORK);
	return (uint8_t *)p;
}

/* shmn_memory makes memory: reserved, then sealed. It gives the descriptor,
 * or -1. */
static int shmn_memory(const char *name, uint64_t size) {
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	if (fallocate(fd, 0, 0, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0)
		return fd;
	int e = errno;
	close(fd);
	errno = e;
	return -1;
}

/* shmn_check gives what is wrong with memory that arrived, or NULL. *size is
 * what it must have, or, where that is 0, what it has. */
static const char *shmn_check(int fd, uint64_t *size) {
	struct stat st;
	struct statfs fs;
	const int need = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	const int never = F_SEAL_WRITE | 0x10 /* F_SEAL_FUTURE_WRITE */;
	int seals = fcntl(fd, F_GET_SEALS);
	int flags = fcntl(fd, F_GETFL);
	if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0 || flags < 0)
		return "it cannot be looked at";
	if (!S_ISREG(st.st_mode) || seals < 0)
		return "it is no memfd";
	if ((seals & need) != need)
		return "a seal is missing: SHRINK, GROW and SEAL are demanded";
	if (seals & never)
		return "it is sealed against writing";
	if ((flags & O_ACCMODE) != O_RDWR)
		return "it is not open for reading and writing";
	if ((uint32_t)fs.f_type == 0x958458f6u)
		return "it is of huge pages";
	if (st.st_size <= 0 || (*size != 0 && (uint64_t)st.st_size != *size))
		return "it has not the size that was said";
	*size = (uint64_t)st.st_size;
	return NULL;
}

/* shmn_receive reads at most n bytes and takes one descriptor that comes
 * along: *right is that, -1 without one, -2 where one was lost or more than one
 * came. It never waits. Where right is NULL, the kernel closes what comes. */
static ssize_t shmn_receive(int fd, void *p, size_t n, int *right) {
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = {p, n};
	struct msghdr m;
	memset(&m, 0, sizeof m);
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	if (right != NULL) {
		*right = -1;
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof control.bytes;
	}
	ssize_t got;
	do
		got = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0 || right == NULL)
		return got;
	int count = 0;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h != NULL; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		size_t len = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < len; i++, count++) {
			int one;
			memcpy(&one, CMSG_DATA(h) + i * sizeof one, sizeof one);
			if (count == 0)
				*right = one;
			else
				close(one);
		}
	}
	if (count > 1 || (m.msg_flags & MSG_CTRUNC)) {
		if (*right >= 0)
			close(*right);
		*right = -2;
	}
	return got;
}

/* shmn_send sends what it can of n bytes, and with them a descriptor if fd >=
 * 0. It never waits. */
static ssize_t shmn_send(int to, const uint8_t *p, size_t n, int fd) {
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {(void *)(uintptr_t)p, n};
	struct msghdr m;
	memset(&m, 0, sizeof m);
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	if (fd >= 0) {
		memset(&control, 0, sizeof control);
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof control.bytes;
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(h), &fd, sizeof fd);
	}
	ssize_t sent;
	do
		sent = sendmsg(to, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

/* ---------------------------------------------------------------- the bell */

/* shmn_ring sends a bell, and notes if there is nobody any more. */
static void shmn_ring(shm_net_conn *c) {
	static const char zero = 0;
	ssize_t n;
	c->bells++;
	do
		n = send(c->fd, &zero, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		c->hung_up = 1;
}

/* shmn_look reads the socket once, without waiting. */
static void shmn_look(shm_net_conn *c) {
	uint8_t buf[64];
	int right = -1;
	ssize_t n = shmn_receive(c->fd, buf, sizeof buf, c->takes > 0 ? &right : NULL);
	if (right != -1) {
		if (c->gift == -1) {
			c->gift = right;
		} else {
			if (right >= 0)
				close(right);
			c->heaped = 1;
		}
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
		c->hung_up = 1;
}

/* shmn_corrupt ends a connection whose peer breaks the protocol. */
SHMN_COLD static int shmn_corrupt(shm_net_conn *c, const char *what, uint64_t a, uint64_t b) {
	c->broken = SHM_NET_ECORRUPT;
	shutdown(c->fd, SHUT_RDWR);
	return shmn_fail(&c->error, SHM_NET_ECORRUPT, 0, "the peer breaks the protocol: %s (%llu, %llu)", what, (unsigned long long)a, (unsigned long long)b);
}

/* ------------------------------------------------------------ the receiver */

/* shmn_extend checks a new end of what is there, and believes it. */
static int shmn_extend(shm_net_conn *c, uint64_t tail) {
	uint64_t n = tail - c->in.head;
	if (n > c->in.mask + 1 || n < c->in.tail - c->in.head)
		return shmn_corrupt(c, "it says that so many bytes are there, in a ring of so many", n, c->in.mask + 1);
	c->in.tail = tail;
	return SHM_NET_OK;
}

/* shmn_refill looks how much was sent, when all that is known is taken, and
 * follows the sender to another ring.
 *
 * SYNC POINT: bytes, and move. */
static int shmn_refill(shm_net_conn *c) {
	shmn_lines *l = c->in.lines;
	/* One look can meet three moves: to the ring that was accepted, and to the
	 * first one before and after that. */
	for (int moved = 0; moved <= 3; moved++) {
		uint64_t tail = SHMN_LOAD(&l->tail);
		uint32_t moves = SHMN_LOAD(&l->moves);
		if (moves == c->in.moved)
			return shmn_extend(c, tail);
		/* The bytes before the move are in this ring. */
		uint64_t at = SHMN_LOAD(&l->at);
		uint32_t to = SHMN_LOAD(&l->to);
		if (moves != c->in.moved + 1)
			return shmn_corrupt(c, "it says that it moved so often, and so many moves were followed", moves, c->in.moved);
		int code = shmn_extend(c, at);
		if (code != SHM_NET_OK || c->in.head != at)
			return code;
		uint8_t *old = c->in.ring;
		size_t old_size = c->in.ring_size;
		if (to == 0) {
			c->in.ring = NULL;
			c->in.ring_size = 0;
			c->in.data = c->in.base;
			c->in.mask = c->in.base_mask;
		} else if (c->in.next != NULL && to == c->in.next_at) {
			c->in.data = c->in.ring = c->in.next;
			c->in.ring_size = c->in.next_size;
			c->in.mask = c->in.next_size - 1;
			c->in.next = NULL;
		} else {
			return shmn_corrupt(c, "it says that it moved to a ring that was not accepted", to, c->in.next_at);
		}
		c->in.moved = moves;
		c->moves_followed++;
		SHMN_STORE(&l->moved, moves);
		shmn_unmap(old, old_size);
	}
	return shmn_corrupt(c, "it moves without end", c->in.moved, 0);
}

/* shmn_wake_sender rings a sleeping sender for something else than room. */
static void shmn_wake_sender(shm_net_conn *c) {
	SHMN_FULL_FENCE();
	uint32_t nap = SHMN_LOAD(&c->in.lines->sender_nap);
	if (nap != 0 && nap != c->in.rung) {
		c->in.rung = nap;
		shmn_ring(c);
	}
}

/* shmn_accept_ring answers an offer. */
static int shmn_accept_ring(shm_net_conn *c) {
	int fd = c->gift;
	c->gift = -1;
	if (c->in.next != NULL || c->heaped) {
		if (fd >= 0)
			close(fd);
		return shmn_corrupt(c, "it offers memory before it used what it offered before", 0, 0);
	}
	uint64_t word = (uint64_t)++c->in.answered << 1, size = 0;
	if (fd >= 0) {
		if (shmn_check(fd, &size) == NULL && shmn_is_ring(size) && (int64_t)size <= c->takes)
			c->in.next = shmn_map(fd, size);
		close(fd);
	}
	if (c->in.next != NULL) {
		c->in.next_size = size;
		c->in.next_at = c->in.answered;
		word |= 1;
	}
	SHMN_STORE(&c->in.lines->answer, word);
	shmn_wake_sender(c);
	return SHM_NET_OK;
}

/* shmn_offers looks for offers, and answers one. */
static int shmn_offers(shm_net_conn *c) {
	if (c->takes > 0) {
		uint32_t n = SHMN_LOAD(&c->in.lines->offer);
		if (n != c->in.hint) {
			c->in.hint = n;
			if (n != c->in.answered && c->gift == -1)
				shmn_look(c);
		}
	}
	return c->gift == -1 ? SHM_NET_OK : shmn_accept_ring(c);
}

/* shmn_tell shows how much was taken.
 *
 * SYNC POINT: room, and nap. */
static void shmn_tell(shm_net_conn *c) {
	shmn_lines *l = c->in.lines;
	SHMN_STORE(&l->head, c->in.head);
	c->in.told = c->in.head;
	SHMN_FULL_FENCE();
	uint32_t nap = SHMN_LOAD(&l->sender_nap);
	if (nap == 0 || nap == c->in.rung)
		return;
	uint64_t want = SHMN_LOAD(&l->want);
	if ((int64_t)(c->in.head - want) < 0)
		return;
	c->in.rung = nap;
	shmn_ring(c);
}

static void shmn_take(shm_net_conn *c, uint64_t n) {
	c->in.head += n;
	if (c->in.head == c->in.tail || c->in.head - c->in.told >= (c->in.mask + 1) / 8)
		shmn_tell(c);
}

static int shmn_can_read(shm_net_conn *c) {
	shmn_lines *l = c->in.lines;
	return SHMN_LOAD(&l->tail) != c->in.tail || SHMN_LOAD(&l->moves) != c->in.moved || SHMN_LOAD(&l->fin) != 0 ||
		c->in.tail != c->in.head || c->gift != -1 || c->in.ended;
}

/* -------------------------------------------------------------- the sender */

static inline uint64_t shmn_free(const shm_net_conn *c) { return c->out.mask + 1 - (c->out.tail - c->out.head); }

/* shmn_refresh looks at how much was taken.
 *
 * SYNC POINT: room. */
static int shmn_refresh(shm_net_conn *c) {
	uint64_t head = SHMN_LOAD(&c->out.lines->head);
	if (head - c->out.head > c->out.tail - c->out.head)
		return shmn_corrupt(c, "it says that it took up to so many bytes, of so many", head, c->out.tail);
	c->out.head = head;
	return SHM_NET_OK;
}

/* shmn_wanted is the head at which a sender without room goes on: with a
 * quarter of the ring free, so that it is not woken for each byte. */
static inline uint64_t shmn_wanted(const shm_net_conn *c) {
	uint64_t size = c->out.mask + 1;
	return c->out.tail - size + size / 4;
}

/* shmn_answered: the receiver has answered the last offer. */
static inline int shmn_answered(const shm_net_conn *c) {
	return c->out.pending != NULL && (uint32_t)(SHMN_LOAD(&c->out.lines->answer) >> 1) == c->out.offers;
}

static int shmn_can_write(shm_net_conn *c) {
	return (int64_t)(SHMN_LOAD(&c->out.lines->head) - shmn_wanted(c)) >= 0 || SHMN_LOAD(&c->out.lines->shut) != 0 || c->out.ended || shmn_answered(c);
}

/* shmn_wake_receiver rings a sleeping receiver, whatever it shall see. */
static void shmn_wake_receiver(shm_net_conn *c) {
	SHMN_FULL_FENCE();
	uint32_t nap = SHMN_LOAD(&c->out.lines->receiver_nap);
	if (nap != 0 && nap != c->out.rung) {
		c->out.rung = nap;
		shmn_ring(c);
	}
}

/* shmn_move goes on in another ring, or, where that is NULL, in the first one.
 *
 * SYNC POINT: move. */
static void shmn_move(shm_net_conn *c, uint8_t *ring, size_t size, uint32_t generation) {
	shmn_lines *l = c->out.lines;
	uint8_t *old = c->out.ring;
	size_t old_size = c->out.ring_size;
	SHMN_STORE(&l->at, c->out.tail);
	SHMN_STORE(&l->to, generation);
	SHMN_STORE(&l->moves, ++c->out.moves);
	c->out.ring = ring;
	c->out.ring_size = size;
	c->out.data = ring != NULL ? ring : c->out.base;
	c->out.mask = ring != NULL ? size - 1 : c->out.base_mask;
	c->out.full = 0;
	c->moves_made++;
	shmn_unmap(old, old_size);
}

/* shmn_settle looks for the answer to an offer, and moves to a ring that was
 * accepted. */
static int shmn_settle(shm_net_conn *c) {
	if (c->out.pending == NULL)
		return SHM_NET_OK;
	uint64_t answer = SHMN_LOAD(&c->out.lines->answer);
	uint32_t moved = SHMN_LOAD(&c->out.lines->moved);
	uint8_t *ring = c->out.pending;
	if (answer >> 1 > c->out.offers)
		return shmn_corrupt(c, "it answers so many offers, of so many", answer >> 1, c->out.offers);
	if (answer >> 1 < c->out.offers)
		return SHM_NET_OK;
	if ((answer & 1) != 0 && moved != c->out.moves)
		return shmn_corrupt(c, "it says that it followed so many moves, of so many", moved, c->out.moves);
	c->out.pending = NULL;
	if ((answer & 1) == 0) {
		shmn_unmap(ring, c->out.pending_size);
		c->out.most = 0; /* never again */
	} else {
		shmn_move(c, ring, c->out.pending_size, c->out.offers);
	}
	return SHM_NET_OK;
}

/* shmn_grow offers a greater ring, if the time has come: there is no room, and
 * n bytes are left to send. One that cannot be had is no error, the ring that
 * is there does. */
static void shmn_grow(shm_net_conn *c, size_t n) {
	uint64_t size = c->out.mask + 1, most = (uint64_t)c->out.most;
	c->out.full++;
	if (c->out.pending != NULL || size >= most || (c->out.full < SHMN_GROW_AFTER && n <= size) ||
	    SHMN_LOAD(&c->out.lines->moved) != c->out.moves)
		return;
	do
		size *= SHMN_GROW_BY;
	while (size < n && size < most);
	if (size > most)
		size = most;
	int fd = shmn_memory(c->name, size);
	uint8_t *ring = fd < 0 ? NULL : shmn_map(fd, size);
	if (ring == NULL) {
		c->out.most = (int64_t)(size / SHMN_GROW_BY); /* a smaller one, the next time */
	} else if (shmn_send(c->fd, (const uint8_t *)"m", 1, fd) == 1) {
		c->out.pending = ring;
		c->out.pending_size = size;
		c->out.full = 0;
		SHMN_STORE(&c->out.lines->offer, ++c->out.offers);
		shmn_wake_receiver(c);
	} else {
		shmn_unmap(ring, size); /* no room on the socket now; the next time */
	}
	if (fd >= 0)
		close(fd);
}

/* shmn_show shows what was put. A receiver that sleeps is rung, which also
 * tells whether it is still there; one that is awake makes no sound, so the
 * socket is looked at every few milliseconds.
 *
 * SYNC POINT: bytes, and nap. */
static void shmn_show(shm_net_conn *c) {
	shmn_lines *l = c->out.lines;
	SHMN_STORE(&l->tail, c->out.tail);
	SHMN_FULL_FENCE();
	uint32_t nap = SHMN_LOAD(&l->receiver_nap);
	if (nap != 0 && nap != c->out.rung) {
		c->out.rung = nap;
		shmn_ring(c);
		return;
	}
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	if (t.tv_sec != c->out.look_s || t.tv_nsec != c->out.look_ns) {
		c->out.look_s = t.tv_sec;
		c->out.look_ns = t.tv_nsec;
		shmn_look(c);
	}
}

/* ---------------------------------------------------------------- waiting */

enum { SHM_NET_READ = 1, SHM_NET_WRITE = 2 };

static int shmn_ready(shm_net_conn *c, int what) {
	return ((what & SHM_NET_READ) && shmn_can_read(c)) || ((what & SHM_NET_WRITE) && shmn_can_write(c));
}

/* shmn_spin looks for a while, as long as that pays. */
static int shmn_spin(shm_net_conn *c, int what) {
	if (!c->can_spin)
		return 0;
	for (unsigned i = 0; i < c->budget; i++) {
		if (shmn_ready(c, what)) {
			c->budget = c->budget * 2 > 4096 ? 4096 : c->budget * 2;
			return 1;
		}
		shmn_pause();
	}
	c->budget = c->budget / 2 < 16 ? 16 : c->budget / 2;
	return 0;
}

/* shmn_sleep sleeps until there may be something to do.
 *
 * SYNC POINT: nap. */
static int shmn_sleep(shm_net_conn *c, int what, int64_t until) {
	if (c->hung_up || c->broken)
		return SHM_NET_OK;
	if (until == 0) {
		shmn_look(c);
		return c->hung_up || shmn_ready(c, what) ? SHM_NET_OK : SHM_NET_ETIMEOUT;
	}
	if (shmn_spin(c, what))
		return SHM_NET_OK;
	if (what & SHM_NET_READ) {
		if (++c->in.nap == 0)
			c->in.nap = 1;
		SHMN_STORE(&c->in.lines->receiver_nap, c->in.nap);
	}
	if (what & SHM_NET_WRITE) {
		if (++c->out.nap == 0)
			c->out.nap = 1;
		SHMN_STORE(&c->out.lines->want, shmn_wanted(c));
		SHMN_STORE(&c->out.lines->sender_nap, c->out.nap);
	}
	SHMN_FULL_FENCE();
	int code = SHM_NET_OK;
	if (!shmn_ready(c, what)) {
		c->naps++;
		code = shmn_poll(c->fd, POLLIN, until);
		if (code == SHM_NET_OK)
			shmn_look(c);
	}
	if (what & SHM_NET_READ)
		SHMN_STORE(&c->in.lines->receiver_nap, 0);
	if (what & SHM_NET_WRITE)
		SHMN_STORE(&c->out.lines->sender_nap, 0);
	if (code == SHM_NET_ESYSTEM)
		shmn_fail(&c->error, code, errno, "poll");
	return code;
}

/* shmn_usable refuses handles that are closed or broken. */
static int shmn_usable(shm_net_conn *c) {
	if (c->fd < 0)
		return SHM_NET_ECLOSED;
	return c->broken;
}

/* shm_net_read takes at least one byte and at most n. 0: the peer has ended
 * its side, and all was taken. */
SHMN_API ssize_t shm_net_read(shm_net_conn *c, void *p, size_t n, int64_t wait) {
	int code = shmn_usable(c);
	if (code != SHM_NET_OK)
		return code;
	if (n == 0)
		return shmn_fail(&c->error, SHM_NET_EINVALID, 0, "read into no bytes");
	int64_t until = shmn_until(wait);
	for (;;) {
		if (c->in.ended)
			return 0;
		/* What is seen of tail after the end of the socket is final. */
		int last = c->hung_up;
		if (c->in.tail == c->in.head) {
			if (c->in.head != c->in.told)
				shmn_tell(c);
			if ((code = shmn_refill(c)) != SHM_NET_OK || (code = shmn_offers(c)) != SHM_NET_OK)
				return code;
		}
		if (c->in.tail == c->in.head && SHMN_LOAD(&c->in.lines->fin) != 0) {
			/* Fin comes after the last tail. */
			if ((code = shmn_refill(c)) != SHM_NET_OK)
				return code;
			if (c->in.tail == c->in.head)
				return 0;
		}
		uint64_t there = c->in.tail - c->in.head;
		if (there > 0) {
			uint64_t at = c->in.head & c->in.mask, first = c->in.mask + 1 - at;
			uint64_t k = n < there ? n : there;
			if (k > first) {
				memcpy(p, c->in.data + at, first);
				memcpy((uint8_t *)p + first, c->in.data, k - first);
			} else {
				memcpy(p, c->in.data + at, k);
			}
			shmn_take(c, k);
			return (ssize_t)k;
		}
		if (last)
			return shmn_fail(&c->error, SHM_NET_ERESET, 0, "the peer was killed, or broke the connection off");
		if ((code = shmn_sleep(c, SHM_NET_READ, until)) != SHM_NET_OK)
			return code;
		if (c->broken)
			return c->broken;
	}
}

/* shm_net_write sends all n bytes and gives n, or fewer where the time was
 * over or something went wrong after those, which the next call tells; an
 * error where it was none. */
SHMN_API ssize_t shm_net_write(shm_net_conn *c, const void *p, size_t n, int64_t wait) {
	int code = shmn_usable(c);
	if (code != SHM_NET_OK)
		return code;
	int64_t until = shmn_until(wait);
	size_t done = 0;
	for (;;) {
		if (c->out.ended || SHMN_LOAD(&c->out.lines->shut) != 0) {
			code = shmn_fail(&c->error, SHM_NET_EPIPE, 0, c->out.ended ? "this side has ended" : "the peer takes no more");
			break;
		}
		if (c->hung_up) {
			code = shmn_fail(&c->error, SHM_NET_ERESET, 0, "the peer was killed, or broke the connection off");
			break;
		}
		if (done == n)
			return (ssize_t)done;
		if (shmn_free(c) < n - done && ((code = shmn_settle(c)) != SHM_NET_OK || (code = shmn_refresh(c)) != SHM_NET_OK))
			break;
		uint64_t k = shmn_free(c);
		if (k == 0) {
			shmn_grow(c, n - done);
			if ((code = shmn_sleep(c, SHM_NET_WRITE, until)) != SHM_NET_OK)
				break;
			continue;
		}
		k = k < n - done ? k : n - done;
		if (k > SHMN_PIECE)
			k = SHMN_PIECE;
		uint64_t at = c->out.tail & c->out.mask, first = c->out.mask + 1 - at;
		const uint8_t *from = (const uint8_t *)p + done;
		if (k > first) {
			memcpy(c->out.data + at, from, first);
			memcpy(c->out.data, from + first, k - first);
		} else {
			memcpy(c->out.data + at, from, k);
		}
		c->out.tail += k;
		done += k;
		shmn_show(c);
	}
	return done > 0 ? (ssize_t)done : code;
}

/* shm_net_shrink gives back a ring that has grown, if everything that was sent
 * was taken: 1 when the connection sends through its first ring again, else 0,
 * or an error. Call it when nothing was sent for a while. */
SHMN_API int shm_net_shrink(shm_net_conn *c) {
	int code = shmn_usable(c);
	if (code != SHM_NET_OK || (code = shmn_settle(c)) != SHM_NET_OK || (code = shmn_refresh(c)) != SHM_NET_OK)
		return code;
	if (c->out.ring == NULL)
		return 1;
	if (c->out.pending != NULL || c->out.head != c->out.tail || SHMN_LOAD(&c->out.lines->moved) != c->out.moves)
		return 0;
	shmn_move(c, NULL, 0, 0);
	shmn_wake_receiver(c);
	return 1;
}

/* shm_net_wait waits until a read (SHM_NET_READ) or a write (SHM_NET_WRITE),
 * or either, has something to do or to say. */
SHMN_API int shm_net_wait(shm_net_conn *c, int what, int64_t wait) {
	int code = shmn_usable(c);
	if (code != SHM_NET_OK)
		return code;
	int64_t until = shmn_until(wait);
	for (;;) {
		if (c->hung_up || c->broken || shmn_ready(c, what))
			return SHM_NET_OK;
		if ((code = shmn_sleep(c, what, until)) != SHM_NET_OK)
			return code;
	}
}

/* ---------------------------------------------------------------- the end */

/* shm_net_close_write says that nothing comes any more: when all is taken, the
 * peer reads the end. */
SHMN_API int shm_net_close_write(shm_net_conn *c) {
	int code = shmn_usable(c);
	if (code != SHM_NET_OK)
		return code;
	c->out.ended = 1;
	SHMN_STORE(&c->out.lines->fin, 1);
	SHMN_FULL_FENCE();
	if (SHMN_LOAD(&c->out.lines->receiver_nap) != 0)
		shmn_ring(c);
	return SHM_NET_OK;
}

/* shm_net_close_read says that no more is taken: the peer's write fails. */
SHMN_API int shm_net_close_read(shm_net_conn *c) {
	int code = shmn_usable(c);
	if (code != SHM_NET_OK)
		return code;
	c->in.ended = 1;
	SHMN_STORE(&c->in.lines->shut, 1);
	SHMN_FULL_FENCE();
	if (SHMN_LOAD(&c->in.lines->sender_nap) != 0)
		shmn_ring(c);
	return SHM_NET_OK;
}

/* shm_net_close ends the connection. What was written stays readable for the
 * peer. It may be called again. */
SHMN_API void shm_net_close(shm_net_conn *c) {
	if (c->fd < 0)
		return;
	if (!c->broken) {
		SHMN_STORE(&c->out.lines->fin, 1);
		SHMN_STORE(&c->in.lines->shut, 1);
	}
	/* The end of the socket is the bell, also where a child has it too. */
	shutdown(c->fd, SHUT_RDWR);
	close(c->fd);
	c->fd = -1;
	if (c->gift >= 0)
		close(c->gift);
	c->gift = -1;
	shmn_unmap(c->in.ring, c->in.ring_size);
	shmn_unmap(c->in.next, c->in.next_size);
	shmn_unmap(c->out.ring, c->out.ring_size);
	shmn_unmap(c->out.pending, c->out.pending_size);
	shmn_unmap(c->memory, c->memory_size);
	c->in.ring = c->in.next = c->out.ring = c->out.pending = c->memory = NULL;
}

/* ---------------------------------------------------------- the handshake */

/* shmn_address makes a socket address. */
static int shmn_address(shm_net_error *e, const char *address, struct sockaddr_un *a, socklen_t *len) {
	size_t n = strlen(address);
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	if (n == 0 || strcmp(address, "@") == 0)
		return shmn_fail(e, SHM_NET_EINVALID, 0, "the address is empty: it is a path, or @ and a name");
	if (n >= sizeof a->sun_path)
		return shmn_fail(e, SHM_NET_EINVALID, ENAMETOOLONG, "the address has %zu bytes, a socket's has at most %zu", n, sizeof a->sun_path - 1);
	memcpy(a->sun_path, address, n);
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (address[0] == '@')
		a->sun_path[0] = 0;
	else
		*len += 1;
	return SHM_NET_OK;
}

/* shmn_options fills in defaults. */
static int shmn_options(shm_net_error *e, const shm_net_options *o, shm_net_options *to) {
	shm_net_options v;
	memset(&v, 0, sizeof v);
	if (o != NULL)
		v = *o;
	if (v.ring > SHMN_RING_MOST || v.max_ring > SHMN_RING_MOST)
		return shmn_fail(e, SHM_NET_EINVALID, 0, "a ring has at most %d bytes", SHMN_RING_MOST);
	uint32_t ring = SHMN_RING_LEAST;
	if (v.ring == 0)
		v.ring = 16 << 10;
	while (ring < v.ring)
		ring <<= 1;
	v.ring = ring;
	if (v.max_ring == 0)
		v.max_ring = 1 << 20;
	if (v.handshake <= 0)
		v.handshake = INT64_C(5000000000);
	if (v.mode == 0)
		v.mode = 0600;
	*to = v;
	return SHM_NET_OK;
}

/* shmn_takes is the greatest ring that is accepted later, 0 for none. */
static int64_t shmn_takes(const shm_net_options *o) {
	int64_t n = SHMN_RING_LEAST;
	if (o->max_ring <= (int64_t)o->ring)
		return 0;
	while (n * 2 <= o->max_ring)
		n *= 2;
	return n;
}

/* shmn_peer asks who is at the other end, and refuses who is not wanted. */
static int shmn_peer(shm_net_conn *c, const shm_net_options *o) {
	struct ucred u;
	socklen_t len = sizeof u;
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &u, &len) != 0)
		return shmn_fail(&c->error, SHM_NET_ESYSTEM, errno, "SO_PEERCRED");
	c->pid = u.pid;
	c->uid = u.uid;
	c->gid = u.gid;
	for (size_t i = 0; i < o->uid_count; i++)
		if (o->uids[i] == u.uid)
			return SHM_NET_OK;
	if (o->uid_count > 0)
		return shmn_fail(&c->error, SHM_NET_EPERMISSION, 0, "user %u is not among those who are allowed", (unsigned)u.uid);
	return SHM_NET_OK;
}

/* shmn_send_all sends bytes, the last of them with a descriptor if fd >= 0.
 * A peer that has gone may have answered before. */
static int shmn_send_all(shm_net_conn *c, const uint8_t *p, size_t n, int fd, int64_t until) {
	while (n > 0) {
		ssize_t sent = shmn_send(c->fd, p, n, fd);
		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
		} else if (errno == EAGAIN) {
			int code = shmn_poll(c->fd, POLLOUT, until);
			if (code != SHM_NET_OK)
				return shmn_fail(&c->error, code, 0, "the other side did not finish the handshake in time");
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return SHM_NET_OK;
		} else {
			return shmn_fail(&c->error, SHM_NET_ESYSTEM, errno, "sendmsg");
		}
	}
	return SHM_NET_OK;
}

/* shmn_receive_all reads exactly n bytes, or up to the end, or, with magic,
 * until it is clear that they do not begin with it. It gives their number. */
static int shmn_receive_all(shm_net_conn *c, uint8_t *p, size_t n, int magic, int64_t until) {
	size_t done = 0;
	while (done < n) {
		ssize_t got = shmn_receive(c->fd, p + done, n - done, NULL);
		if (got > 0) {
			done += (size_t)got;
			size_t k = done < sizeof shmn_hello_magic ? done : sizeof shmn_hello_magic;
			if (magic && memcmp(p, shmn_hello_magic, k) != 0)
				break;
		} else if (got == 0 || errno == ECONNRESET) {
			break;
		} else if (errno == EAGAIN) {
			int code = shmn_poll(c->fd, POLLIN, until);
			if (code != SHM_NET_OK)
				return shmn_fail(&c->error, code, 0, "the other side did not finish the handshake in time");
		} else {
			return shmn_fail(&c->error, SHM_NET_ESYSTEM, errno, "recvmsg");
		}
	}
	return (int)done;
}

static int shmn_is_hello(const uint8_t *p, int n) {
	return n >= (int)sizeof shmn_hello_magic && memcmp(p, shmn_hello_magic, sizeof shmn_hello_magic) == 0;
}

/* shmn_begin makes a connection of memory that was checked. direction is the
 * one in which it sends. */
static void shmn_begin(shm_net_conn *c, int direction, const uint32_t sizes[2]) {
	shmn_lines *lines[2];
	uint8_t *rings[2];
	for (int i = 0; i < 2; i++)
		lines[i] = (shmn_lines *)(void *)(c->memory + 1024 + 1024 * i);
	rings[0] = c->memory + SHMN_CONTROL;
	rings[1] = rings[0] + sizes[0];
	c->in.lines = lines[1 - direction];
	c->in.data = c->in.base = rings[1 - direction];
	c->in.mask = c->in.base_mask = sizes[1 - direction] - 1;
	c->out.lines = lines[direction];
	c->out.data = c->out.base = rings[direction];
	c->out.mask = c->out.base_mask = sizes[direction] - 1;
	if (c->out.most > c->takes)
		c->out.most = c->takes;
	cpu_set_t set;
	c->can_spin = sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) > 1;
	c->budget = 256;
}

static void shmn_reset(shm_net_conn *c) {
	memset(c, 0, sizeof *c);
	c->fd = c->gift = -1;
}

/* shmn_drop gives up a connection that was not made. */
static int shmn_drop(shm_net_conn *c, int code) {
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	shmn_unmap(c->memory, c->memory_size);
	c->memory = NULL;
	return code;
}

/* shmn_sooner is the nearer of two points of time. */
static int64_t shmn_sooner(int64_t a, int64_t b) {
	if (a < 0)
		return b;
	return b < 0 || a < b ? a : b;
}

/* shmn_answer reads the answer to our hello. */
static int shmn_answer(shm_net_conn *c, int64_t until) {
	uint8_t b[SHMN_HELLO];
	char text[SHMN_TEXT + 1];
	int n = shmn_receive_all(c, b, sizeof b, 1, until);
	if (n < 0)
		return n;
	if (n > 0 && memcmp(b, shmn_hello_magic, n < 8 ? (size_t)n : 8) != 0)
		return shmn_fail(&c->error, SHM_NET_EPROTOCOL, 0, "the server answers something else: it does not speak the protocol of shmnet");
	if (n < SHMN_HELLO)
		return shmn_fail(&c->error, SHM_NET_EPROTOCOL, 0, "the server closed the connection at the hello: it does not speak the protocol of shmnet");
	uint32_t version = shmn_get32(b + 8), least = shmn_get32(b + 12), size = shmn_get32(b + 24);
	uint32_t status = shmn_get32(b + 28), reason = shmn_get32(b + 32);
	if (size < SHMN_HELLO || size > SHMN_HELLO + SHMN_TEXT)
		return shmn_fail(&c->error, SHM_NET_ECORRUPT, 0, "the answer says that it has %u bytes", size);
	n = shmn_receive_all(c, (uint8_t *)text, size - SHMN_HELLO, 0, until);
	if (n < 0)
		return n;
	text[n] = 0;
	for (int i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 127)
			text[i] = '?';
	if (status == 3 && (reason == 1 || reason == 2))
		return shmn_fail(&c->error, SHM_NET_EVERSION, 0, "the server refuses: it speaks versions %u to %u of the protocol, this side 1: %.100s", least, version, text);
	if (status == 3)
		return shmn_fail(&c->error, reason == 6 ? SHM_NET_EPERMISSION : SHM_NET_EREFUSED, 0, "the server refuses: %.200s", text);
	if (status != 1)
		return shmn_fail(&c->error, SHM_NET_ECORRUPT, 0, "the answer has status %u", status);
	if (version != 1 || (uint32_t)shmn_get64(b + 16) != 0)
		return shmn_fail(&c->error, SHM_NET_EVERSION, 0, "the server speaks version %u of the protocol, this side 1", version);
	if (shmn_get32(b + 36) > SHMN_RING_MOST)
		return shmn_fail(&c->error, SHM_NET_ECORRUPT, 0, "the server accepts rings of %u bytes", shmn_get32(b + 36));
	c->out.most = shmn_get32(b + 36);
	return SHM_NET_OK;
}

/* shmn_introduce is the client's side of the handshake. */
static int shmn_introduce(shm_net_conn *c, const shm_net_options *o, int64_t until) {
	const uint32_t sizes[2] = {o->ring, o->ring};
	uint8_t b[SHMN_HELLO];
	int code = shmn_peer(c, o);
	if (code != SHM_NET_OK)
		return code;
	c->memory_size = SHMN_CONTROL + (size_t)sizes[0] + sizes[1];
	int fd = shmn_memory(c->name, c->memory_size);
	if (fd < 0)
		return shmn_fail(&c->error, SHM_NET_ESYSTEM, errno, "the memory cannot be made");
	c->memory = shmn_map(fd, c->memory_size);
	if (c->memory == NULL) {
		code = shmn_fail(&c->error, SHM_NET_ESYSTEM, errno, "mmap");
		close(fd);
		return code;
	}
	memcpy(c->memory, shmn_memory_magic, sizeof shmn_memory_magic);
	shmn_put32(c->memory + 8, 1);
	shmn_put32(c->memory + 12, SHMN_CONTROL);
	shmn_put64(c->memory + 16, c->memory_size);
	shmn_put32(c->memory + 24, sizes[0]);
	shmn_put32(c->memory + 28, sizes[1]);

	memset(b, 0, sizeof b);
	memcpy(b, shmn_hello_magic, sizeof shmn_hello_magic);
	shmn_put32(b + 8, 1);
	shmn_put32(b + 12, 1);
	shmn_put32(b + 24, SHMN_HELLO);
	shmn_put32(b + 28, 1);
	shmn_put64(b + 32, c->memory_size);
	shmn_put32(b + 40, sizes[0]);
	shmn_put32(b + 44, sizes[1]);
	shmn_put32(b + 48, (uint32_t)(c->takes = shmn_takes(o)));
	code = shmn_send_all(c, b, sizeof b, -1, until);
	if (code == SHM_NET_OK)
		code = shmn_send_all(c, (const uint8_t *)"m", 1, fd, until);
	close(fd);
	if (code == SHM_NET_OK)
		code = shmn_answer(c, until);
	if (code == SHM_NET_OK)
		shmn_begin(c, 0, sizes);
	return code;
}

/* shm_net_dial connects to a listener. */
SHMN_API int shm_net_dial(shm_net_conn *c, const char *address, const shm_net_options *opts, int64_t wait) {
	shm_net_options o;
	struct sockaddr_un a;
	socklen_t len;
	shmn_reset(c);
	int code = shmn_options(&c->error, opts, &o);
	if (code == SHM_NET_OK)
		code = shmn_address(&c->error, address, &a, &len);
	if (code != SHM_NET_OK)
		return code;
	int64_t until = shmn_sooner(shmn_until(wait), shmn_until(o.handshake));
	snprintf(c->name, sizeof c->name, "shmnet:%s", address);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return shmn_fail(&c->error, SHM_NET_ESYSTEM, errno, "socket");
	while (connect(c->fd, (struct sockaddr *)&a, len) != 0) {
		if (errno == EAGAIN && (until < 0 || until > shmn_now())) {
			/* The queue of the listener is full, and nothing tells when it
			 * is not. */
			struct timespec t = {0, 1000000};
			nanosleep(&t, NULL);
			continue;
		}
		if (errno == EINTR)
			continue;
		code = errno == ENOENT || errno == ECONNREFUSED ? SHM_NET_ENOTFOUND : errno == EACCES || errno == EPERM ? SHM_NET_EPERMISSION : errno == EAGAIN ? SHM_NET_ETIMEOUT : SHM_NET_ESYSTEM;
		return shmn_drop(c, shmn_fail(&c->error, code, errno, "connect to %s", address));
	}
	code = shmn_introduce(c, &o, until);
	return code == SHM_NET_OK ? code : shmn_drop(c, code);
}

/* shmn_hello checks a hello. *reason is what the client is told; 0 says
 * nothing. */
static int shmn_hello(shm_net_conn *c, const shm_net_options *o, const uint8_t *b, uint32_t sizes[2], uint32_t *reason) {
	uint32_t version = shmn_get32(b + 8), least = shmn_get32(b + 12), flags = shmn_get32(b + 28);
	uint64_t size = shmn_get64(b + 32);
	sizes[0] = shmn_get32(b + 40);
	sizes[1] = shmn_get32(b + 44);
	*reason = 1;
	if (version < 1 || least > 1 || least > version)
		return shmn_fail(&c->error, SHM_NET_EVERSION, 0, "the client speaks versions %u to %u of the protocol, this side 1", least, version);
	*reason = 2;
	if ((uint32_t)shmn_get64(b + 16) != 0)
		return shmn_fail(&c->error, SHM_NET_EVERSION, 0, "the client asks for features %#x, which are not known", (uint32_t)shmn_get64(b + 16));
	*reason = 3;
	if (shmn_get32(b + 24) != SHMN_HELLO || (flags & ~3u) != 0 || shmn_get32(b + 48) > SHMN_RING_MOST)
		return shmn_fail(&c->error, SHM_NET_ECORRUPT, 0, "the hello has %u bytes and flags %#x", shmn_get32(b + 24), flags);
	*reason = 7;
	if ((flags & 1) == 0)
		return shmn_fail(&c->error, SHM_NET_EREFUSED, 0, "the client has no memory to share, and a plain socket is not wanted");
	*reason = 3;
	if (!shmn_is_ring(sizes[0]) || !shmn_is_ring(sizes[1]) || size != SHMN_CONTROL + (uint64_t)sizes[0] + sizes[1])
		return shmn_fail(&c->error, SHM_NET_ECORRUPT, 0, "the hello speaks of rings of %u and %u bytes, and %llu of memory", sizes[0], sizes[1], (unsigned long long)size);
	*reason = 5;
	if (sizes[0] > o->max_ring && sizes[0] > o->ring)
		return shmn_fail(&c->error, SHM_NET_EREFUSED, 0, "a ring of %u bytes is more than is allowed", sizes[0]);
	if (sizes[1] > o->max_ring && sizes[1] > o->ring)
		return shmn_fail(&c->error, SHM_NET_EREFUSED, 0, "a ring of %u bytes is more than is allowed", sizes[1]);
	return SHM_NET_OK;
}

/* shmn_first takes the memory that a hello announced. */
static int shmn_first(shm_net_conn *c, const uint32_t sizes[2], uint32_t *reason) {
	uint64_t size = SHMN_CONTROL + (uint64_t)sizes[0] + sizes[1];
	uint8_t tag;
	int fd, code;
	*reason = 0;
	ssize_t n = shmn_receive(c->fd, &tag, 1, &fd);
	if (n == 0)
		return shmn_fail(&c->error, SHM_NET_ERESET, 0, "the client went away in the middle of the handshake");
	if (n < 0)
		return shmn_fail(&c->error, SHM_NET_ESYSTEM, errno, "recvmsg");
	*reason = 4;
	if (tag != 'm' || fd < 0) {
		if (fd >= 0)
			close(fd);
		return shmn_fail(&c->error, SHM_NET_ECORRUPT, 0, "the memory did not come, or not alone");
	}
	const char *bad = shmn_check(fd, &size);
	if (bad != NULL) {
		close(fd);
		return shmn_fail(&c->error, SHM_NET_ECORRUPT, 0, "the memory is unfit: %s", bad);
	}
	c->memory_size = size;
	c->memory = shmn_map(fd, size);
	if (c->memory == NULL) {
		*reason = 7;
		code = shmn_fail(&c->error, SHM_NET_ESYSTEM, errno, "mmap");
		close(fd);
		return code;
	}
	close(fd);
	/* Nothing of the header is used afterwards. */
	uint8_t h[32];
	memcpy(h, c->memory, sizeof h);
	if (memcmp(h, shmn_memory_magic, sizeof shmn_memory_magic) != 0 || shmn_get32(h + 8) != 1 || shmn_get32(h + 12) != SHMN_CONTROL ||
	    shmn_get64(h + 16) != size || shmn_get32(h + 24) != sizes[0] || shmn_get32(h + 28) != sizes[1])
		return shmn_fail(&c->error, SHM_NET_ECORRUPT, 0, "the header of the memory is not that of the hello");
	return SHM_NET_OK;
}

/* shmn_serve is the server's side of the handshake, from a hello of n bytes
 * on, and whatever comes with it is there. It does not wait. */
static int shmn_serve(shm_net_conn *c, const shm_net_options *o, const uint8_t *b, int n) {
	uint8_t answer[SHMN_HELLO + sizeof c->error.text];
	uint32_t sizes[2], reason = 6;
	int code = shmn_peer(c, o);
	if (code == SHM_NET_OK) {
		if (!shmn_is_hello(b, n) || n < SHMN_HELLO)
			return shmn_fail(&c->error, SHM_NET_EPROTOCOL, 0, "the client did not begin with a hello of %d bytes: it does not speak the protocol of shmnet", SHMN_HELLO);
		code = shmn_hello(c, o, b, sizes, &reason);
		if (code == SHM_NET_OK)
			code = shmn_first(c, sizes, &reason);
		if (code == SHM_NET_OK)
			reason = 0;
		else if (reason == 0)
			return code;
	}
	size_t text = code == SHM_NET_OK ? 0 : strlen(c->error.text);
	memset(answer, 0, sizeof answer);
	memcpy(answer, shmn_hello_magic, sizeof shmn_hello_magic);
	shmn_put32(answer + 8, 1);
	shmn_put32(answer + 12, 1);
	shmn_put32(answer + 24, (uint32_t)(SHMN_HELLO + text));
	shmn_put32(answer + 28, code == SHM_NET_OK ? 1 : 3);
	shmn_put32(answer + 32, reason);
	shmn_put32(answer + 36, (uint32_t)(c->takes = shmn_takes(o)));
	memcpy(answer + SHMN_HELLO, c->error.text, text);
	c->out.most = code == SHM_NET_OK ? shmn_get32(b + 48) : 0;
	n = shmn_send_all(c, answer, SHMN_HELLO + text, -1, 0);
	if (code == SHM_NET_OK)
		code = n;
	if (code == SHM_NET_OK)
		shmn_begin(c, 1, sizes);
	return code;
}

/* ------------------------------------------------------------ the listener */

/* shmn_bind binds and listens. The file has its mode from the first moment:
 * that of a socket that is not bound yet counts when it is. */
static int shmn_bind(shm_net_listener *l, const struct sockaddr_un *a, socklen_t len) {
	l->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->socket < 0)
		return errno;
	if ((l->path[0] == 0 || fchmod(l->socket, l->options.mode) == 0) && bind(l->socket, (const struct sockaddr *)a, len) == 0 && listen(l->socket, SOMAXCONN) == 0)
		return 0;
	int e = errno;
	close(l->socket);
	l->socket = -1;
	return e;
}

/* shmn_stale removes a socket file at which nobody listens. The lock on the
 * directory is held. */
static int shmn_stale(shm_net_listener *l, const struct sockaddr_un *a, socklen_t len) {
	struct stat st, now;
	if (lstat(l->path, &st) != 0)
		return errno == ENOENT ? SHM_NET_OK : shmn_fail(&l->error, SHM_NET_ESYSTEM, errno, "lstat of %s", l->path);
	if (!S_ISSOCK(st.st_mode))
		return shmn_fail(&l->error, SHM_NET_EBUSY, 0, "%s is a file that is no socket", l->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return shmn_fail(&l->error, SHM_NET_ESYSTEM, errno, "socket");
	int n = connect(fd, (const struct sockaddr *)a, len), e = errno;
	close(fd);
	if (n != 0 && e == ENOENT)
		return SHM_NET_OK;
	if (n == 0 || e != ECONNREFUSED)
		return shmn_fail(&l->error, SHM_NET_EBUSY, 0, "somebody listens at %s", l->path);
	if (lstat(l->path, &now) != 0 || now.st_dev != st.st_dev || now.st_ino != st.st_ino)
		return shmn_fail(&l->error, SHM_NET_EBUSY, 0, "%s changes while it is looked at", l->path);
	if (unlink(l->path) != 0)
		return shmn_fail(&l->error, SHM_NET_ESYSTEM, errno, "unlink of %s", l->path);
	return SHM_NET_OK;
}

/* shmn_lock excludes other listeners of the directory of a path, by a lock on
 * the directory itself. Who may read the directory can keep it: then it gives
 * up after a second, with errno EWOULDBLOCK. */
static int shmn_lock(const char *path) {
	char dir[sizeof((shm_net_listener *)0)->path];
	const char *slash = strrchr(path, '/');
	size_t n = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
	memcpy(dir, path, n);
	dir[n] = 0;
	int fd = open(n == 0 ? "." : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
		struct timespec t = {0, 5000000};
		int e = errno;
		if (e == EINTR || (e == EWOULDBLOCK && tries < 200)) {
			nanosleep(&t, NULL);
			continue;
		}
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

/* shmn_watch has the listener's fd tell of a descriptor, or no more. */
static int shmn_watch(shm_net_listener *l, int op, int fd) {
	struct epoll_event e;
	memset(&e, 0, sizeof e);
	e.events = EPOLLIN;
	return epoll_ctl(l->fd, op, fd, &e);
}

/* shmn_open completes a listener whose socket is bound. It gives an errno. */
static int shmn_open(shm_net_listener *l) {
	struct stat st;
	if (l->path[0] != 0) {
		/* What the umask took. */
		if (lstat(l->path, &st) != 0)
			return errno;
		if (!S_ISSOCK(st.st_mode))
			return EADDRINUSE;
		if ((st.st_mode & 0777) != (l->options.mode & 0777) && chmod(l->path, l->options.mode) != 0)
			return errno;
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	l->fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->fd < 0)
		return errno;
	if (shmn_watch(l, EPOLL_CTL_ADD, l->socket) != 0) {
		int e = errno;
		close(l->fd);
		l->fd = -1;
		return e;
	}
	return 0;
}

/* shm_net_listen listens at an address. A socket file that a dead listener
 * left behind is replaced. */
SHMN_API int shm_net_listen(shm_net_listener *l, const char *address, const shm_net_options *opts) {
	struct sockaddr_un a;
	socklen_t len;
	memset(l, 0, sizeof *l);
	l->fd = l->socket = -1;
	int code = shmn_options(&l->error, opts, &l->options);
	if (code == SHM_NET_OK)
		code = shmn_address(&l->error, address, &a, &len);
	if (code != SHM_NET_OK)
		return code;
	snprintf(l->name, sizeof l->name, "shmnet:%s", address);
	int lock = -1, e;
	if (address[0] != '@') {
		snprintf(l->path, sizeof l->path, "%s", address);
		if ((lock = shmn_lock(l->path)) < 0 && errno != EWOULDBLOCK) {
			code = errno == ENOENT ? SHM_NET_ENOTFOUND : errno == EACCES ? SHM_NET_EPERMISSION : SHM_NET_ESYSTEM;
			return shmn_fail(&l->error, code, errno, "the directory of %s", address);
		}
	}
	e = shmn_bind(l, &a, len);
	/* Without the lock only a name that is free is taken. */
	if (e == EADDRINUSE && lock >= 0 && (code = shmn_stale(l, &a, len)) == SHM_NET_OK)
		e = shmn_bind(l, &a, len);
	if (code == SHM_NET_OK && e == 0 && (e = shmn_open(l)) != 0) {
		if (l->path[0] != 0)
			unlink(l->path);
		close(l->socket);
		l->socket = -1;
	}
	if (lock >= 0)
		close(lock);
	if (code != SHM_NET_OK)
		return code;
	if (e == EADDRINUSE)
		return shmn_fail(&l->error, SHM_NET_EBUSY, e, "somebody listens at %s", address);
	if (e == EACCES || e == EPERM)
		return shmn_fail(&l->error, SHM_NET_EPERMISSION, e, "listen at %s", address);
	if (e != 0)
		return shmn_fail(&l->error, SHM_NET_ESYSTEM, e, "listen at %s", address);
	return SHM_NET_OK;
}

/* shmn_hear reads what a pending client has said. 1: it suffices to serve it,
 * without waiting for more. 0: it does not yet. */
static int shmn_hear(shmn_pending *p) {
	while (p->have < SHMN_HELLO) {
		ssize_t n = shmn_receive(p->fd, p->hello + p->have, (size_t)(SHMN_HELLO - p->have), NULL);
		if (n <= 0)
			return n == 0 || errno != EAGAIN;
		p->have += (int)n;
		int k = p->have < (int)sizeof shmn_hello_magic ? p->have : (int)sizeof shmn_hello_magic;
		if (memcmp(p->hello, shmn_hello_magic, (size_t)k) != 0)
			return 1;
	}
	/* The memory comes with one byte more. */
	return (shmn_get32(p->hello + 28) & 1) == 0 || shmn_poll(p->fd, POLLIN, 0) != SHM_NET_ETIMEOUT;
}

/* shmn_finish takes pending client i out, and serves it, or gives it up if its
 * time is over. */
static int shmn_finish(shm_net_listener *l, shm_net_conn *c, int i, int late) {
	shmn_pending p = l->pending[i];
	shmn_watch(l, EPOLL_CTL_DEL, p.fd); /* not by closing it: a child may have it too */
	memmove(&l->pending[i], &l->pending[i + 1], (size_t)(--l->pending_count - i) * sizeof p);
	shmn_reset(c);
	c->fd = p.fd;
	memcpy(c->name, l->name, sizeof c->name);
	int code = late ? shmn_fail(&c->error, SHM_NET_ETIMEOUT, 0, "the client did not finish the handshake in time")
	                : shmn_serve(c, &l->options, p.hello, p.have);
	if (code == SHM_NET_OK)
		return code;
	l->failed++;
	l->error = c->error;
	return shmn_drop(c, code);
}

/* shmn_admit takes one who waits in the kernel's queue: 1; 0 when there is
 * nobody. Who has waited longest goes when there is no place: those who say
 * what they have to say are served when they are admitted. */
static int shmn_admit(shm_net_listener *l, shm_net_conn *c) {
	for (;;) {
		int fd = accept4(l->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0 && errno == EAGAIN)
			return 0;
		if (fd < 0 || shmn_watch(l, EPOLL_CTL_ADD, fd) != 0) {
			int e = errno;
			if (fd >= 0)
				close(fd);
			return shmn_fail(&l->error, SHM_NET_ESYSTEM, e, "accept");
		}
		if (l->pending_count == SHMN_PENDING)
			shmn_finish(l, c, 0, 1);
		shmn_pending *p = &l->pending[l->pending_count++];
		p->fd = fd;
		p->have = 0;
		p->until = shmn_until(l->options.handshake);
		return 1;
	}
}

/* shm_net_accept waits for a connection. A handshake that fails is counted,
 * and it goes on waiting. Handshakes of several clients are under way at once;
 * those that are not finished when it returns go on in the next call. */
SHMN_API int shm_net_accept(shm_net_listener *l, shm_net_conn *c, int64_t wait) {
	int64_t until = shmn_until(wait);
	shmn_reset(c);
	if (l->fd < 0)
		return SHM_NET_ECLOSED;
	for (;;) {
		int64_t next = until;
		int code = SHM_NET_OK;
		for (int i = 0; i < SHMN_PENDING && (code = shmn_admit(l, c)) > 0; i++) {
			int last = l->pending_count - 1;
			if (shmn_hear(&l->pending[last]) && shmn_finish(l, c, last, 0) == SHM_NET_OK)
				return SHM_NET_OK;
		}
		for (int i = 0; i < l->pending_count;) {
			int64_t limit = l->pending[i].until;
			int heard = shmn_hear(&l->pending[i]);
			if (heard || shmn_now() >= limit) {
				if (shmn_finish(l, c, i, !heard) == SHM_NET_OK)
					return SHM_NET_OK;
				continue;
			}
			next = next == 0 ? 0 : shmn_sooner(next, limit);
			i++;
		}
		if (code < 0)
			return code;
		code = shmn_poll(l->fd, POLLIN, next);
		if (code == SHM_NET_ESYSTEM)
			return shmn_fail(&l->error, code, errno, "poll");
		if (code == SHM_NET_EINTR || (code == SHM_NET_ETIMEOUT && until >= 0 && shmn_now() >= until))
			return code;
	}
}

/* shm_net_unlisten ends a listener and removes its socket file, if it is still
 * its own. Connections stay. */
SHMN_API void shm_net_unlisten(shm_net_listener *l) {
	if (l->fd < 0)
		return;
	int lock = l->path[0] != 0 ? shmn_lock(l->path) : -1;
	struct stat st;
	if (l->path[0] != 0 && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	if (lock >= 0)
		close(lock);
	while (l->pending_count > 0)
		close(l->pending[--l->pending_count].fd);
	close(l->socket);
	close(l->fd);
	l->fd = l->socket = -1;
}

#ifdef __cplusplus
}
#endif
#endif /* SHM_NET_H */
