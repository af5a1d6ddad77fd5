/*
 * shm_topic.h - topics in shared memory, for C and C++.
 *
 * One process publishes, any number of others receive, and nothing is copied.
 * The bytes and the protocol are those of spec/topic.md (version 1); peers
 * written in Go, Python or C cannot tell each other apart. This file is all
 * there is: no library, nothing to link, nothing but libc.
 *
 *     #define _GNU_SOURCE            // or include this file before all others
 *     #include "shm_topic.h"
 *
 *     shm_topic_pub p;                               // one process
 *     shm_topic_create_options o = {0};
 *     if (shm_topic_create(&p, "prices", &o) != SHM_TOPIC_OK)
 *         fprintf(stderr, "%s\n", p.error.text);
 *     shm_topic_send(&p, "hello", 5, SHM_TOPIC_FOREVER);
 *     shm_topic_end(&p);
 *
 *     shm_topic_sub s;                               // any number of others
 *     shm_topic_sample m;
 *     if (shm_topic_subscribe(&s, "prices", NULL) != SHM_TOPIC_OK)
 *         fprintf(stderr, "%s\n", s.error.text);
 *     while (shm_topic_next(&s, &m, SHM_TOPIC_FOREVER) == SHM_TOPIC_OK) {
 *         use(m.data, m.size);                       // the publisher's memory
 *         shm_topic_release(&s, &m);
 *     }
 *     shm_topic_leave(&s);
 *
 * What it can do:
 *
 *     publish      shm_topic_create; shm_topic_send, or shm_topic_lend and
 *                  shm_topic_publish to write in place; shm_topic_queue and
 *                  shm_topic_flush for batches; shm_topic_poll when idle;
 *                  shm_topic_end, shm_topic_abandon, shm_topic_remove
 *     subscribe    shm_topic_subscribe; shm_topic_next, shm_topic_release,
 *                  shm_topic_latest; shm_topic_leave
 *     observe      shm_topic_observe, then as a subscriber: it joins nothing,
 *                  writes nothing, and gets copies
 *
 * Guarantees (spec/topic.md says why they hold)
 *
 *   - A sample is whole, whoever is killed at whatever moment.
 *   - What a subscriber holds does not change until it releases it.
 *   - Under SHM_TOPIC_BLOCK an admitted subscriber gets every sample. Under
 *     SHM_TOPIC_DROP_OLDEST the publisher never waits, and sample.missed says
 *     how many were lost.
 *   - Every word that another process can write is loaded once, checked
 *     against bounds that are kept privately, then used. Files of others are
 *     opened O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC and checked before they are
 *     mapped.
 *   - Nothing here starts a thread, installs a signal handler (unless
 *     shm_topic_guard is called), reads the environment or prints.
 *
 * Results. Functions return SHM_TOPIC_OK, 0, or a negative SHM_TOPIC_E...;
 * shm_topic_name gives its name. The handle's `error` has the text. It is
 * written where something is wrong; SHM_TOPIC_EEMPTY, _EFULL, _EHELD, _EEND,
 * _ETIMEOUT and _EINTR are ordinary answers and leave it as it was. A handle
 * that could not be opened needs no closing, and has its `error` too.
 *
 * Times to wait are in nanoseconds: 0 does not wait, SHM_TOPIC_FOREVER (any
 * negative number) does without end. A signal handler that runs meanwhile ends
 * the wait: SHM_TOPIC_EINTR.
 *
 * Threads. A handle is used by one thread at a time. Different handles are
 * independent, in one process too.
 *
 * fork. A child has none of this: memory is MADV_DONTFORK, descriptors are
 * close-on-exec. A child that does not exec keeps copies of the descriptors,
 * and with them the locks by which others see that this process lives; they
 * find out that it does not, within a second or so, as long as they are in the
 * same pid namespace. Open topics after the fork.
 *
 * Limits
 *
 *   - Linux, 64 bits, little-endian: amd64 and arm64 (kernels from 5.4 on).
 *   - Whoever may write a file can cut it short, and touching what is gone is
 *     SIGBUS. shm_topic_guard makes an error of it where this header touches
 *     it: for a publisher whose subscribers are other users that is needed.
 *     Samples that a subscriber holds stay exposed to their publisher.
 *   - Reading a slot that is being overwritten, and finding out afterwards, is
 *     a data race by the letter of C. It is done with memcpy between fences,
 *     for subscribers that are not admitted yet and for observers alone.
 *     ThreadSanitizer does not see other processes.
 *   - A limit of the memory control group is not looked at before memory is
 *     reserved. A full /dev/shm is SHM_TOPIC_ESPACE, and nothing is left.
 */
#ifndef SHM_TOPIC_H
#define SHM_TOPIC_H

#if !defined(__linux__) || !defined(__LP64__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "shm_topic.h: topics are for 64-bit little-endian Linux"
#endif

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#ifndef O_TMPFILE
#error "shm_topic.h: define _GNU_SOURCE before the first #include, or include shm_topic.h first"
#endif

#ifdef __cplusplus
/* C++ before C++23 has no <stdatomic.h>; the compilers' built-ins have the
 * same meaning. */
typedef uint32_t shm_topic_u32;
typedef uint64_t shm_topic_u64;
#define SHMT_RELAXED __ATOMIC_RELAXED
#define SHMT_ACQUIRE __ATOMIC_ACQUIRE
#define SHMT_RELEASE __ATOMIC_RELEASE
#define SHMT_SEQ_CST __ATOMIC_SEQ_CST
#define SHMT_LOAD(p, order) __atomic_load_n((p), (order))
#define SHMT_STORE(p, v, order) __atomic_store_n((p), (v), (order))
#define SHMT_SWAP(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define SHMT_FENCE(order) __atomic_thread_fence(order)
#define SHMT_SIGNAL_FENCE() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define SHMT_ASSERT(condition, text) static_assert(condition, text)
#define SHMT_THREAD __thread
extern "C" {
#else
#include <stdatomic.h>
typedef _Atomic uint32_t shm_topic_u32;
typedef _Atomic uint64_t shm_topic_u64;
#define SHMT_RELAXED memory_order_relaxed
#define SHMT_ACQUIRE memory_order_acquire
#define SHMT_RELEASE memory_order_release
#define SHMT_SEQ_CST memory_order_seq_cst
#define SHMT_LOAD(p, order) atomic_load_explicit((p), (order))
#define SHMT_STORE(p, v, order) atomic_store_explicit((p), (v), (order))
#define SHMT_SWAP(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define SHMT_FENCE(order) atomic_thread_fence(order)
#define SHMT_SIGNAL_FENCE() atomic_signal_fence(memory_order_seq_cst)
#define SHMT_ASSERT(condition, text) _Static_assert(condition, text)
#define SHMT_THREAD _Thread_local
#endif

#define SHMT_COLD __attribute__((cold, noinline))
#define SHMT_LIKELY(x) __builtin_expect(!!(x), 1)
#define SHMT_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* ------------------------------------------------------------- the layout
 *
 * spec/topic.md, sections 3 to 5. A compiler that lays the structures out
 * otherwise does not get past the assertions. No field needs padding before
 * it, so packing changes nothing.
 */

/* The layout version that is written, and the newest that is read. */
#ifndef SHM_TOPIC_VERSION
#define SHM_TOPIC_VERSION 1
#endif
/* The least version that a reader of what is written has to know. */
#ifndef SHM_TOPIC_LEAST
#define SHM_TOPIC_LEAST SHM_TOPIC_VERSION
#endif
/* The feature bits that are known; those of 0 to 31 that are not are refused. */
#ifndef SHM_TOPIC_FEATURES
#define SHM_TOPIC_FEATURES UINT64_C(0)
#endif

enum {
	SHM_TOPIC_HEADER_SIZE = 4096,
	SHM_TOPIC_LINE = 128,
	SHM_TOPIC_MAX_NAME = 200,
	SHM_TOPIC_MAX_TYPE = 192,
	SHM_TOPIC_MAX_SUBSCRIBERS = 4096,
	SHM_TOPIC_MAX_HELD = 64,
	SHM_TOPIC_MAX_ALIGN = 4096,
	SHM_TOPIC_MAX_SLOTS = 1 << 24,
	SHM_TOPIC_BELL_SIZE = 8192
};

/* Kinds of files. */
enum { SHM_TOPIC_DATA = 1, SHM_TOPIC_SUBSCRIBER = 2, SHM_TOPIC_PUBLISHER = 3, SHM_TOPIC_BELL = 4 };

#define SHM_TOPIC_MAGIC "shmtopic"
#define SHM_TOPIC_READY UINT32_C(0x59444552)

/* The header of every file; the configuration stands in `data` alone. */
typedef struct shm_topic_header {
	char magic[8];
	uint32_t version;
	uint32_t least;
	uint64_t features;
	uint32_t header_size;
	uint32_t kind;
	uint64_t size;
	uint8_t instance[16];
	uint64_t pid;
	uint64_t start;
	uint64_t pid_namespace;
	uint8_t boot[16];
	int64_t made;
	uint32_t uid;
	uint32_t reserved0;
	uint8_t topic[16];
	shm_topic_u32 ready;
	uint32_t reserved1[15];

	uint64_t slots;
	uint64_t capacity;
	uint64_t slot_headers;
	uint64_t slot_stride;
	uint64_t payload;
	uint64_t payload_stride;
	uint64_t payload_align;
	uint64_t table;
	uint64_t hot;
	uint32_t subscribers;
	uint32_t held;
	uint32_t policy;
	uint32_t type_length;
	int64_t patience;
	uint8_t type_hash[32];
	char type[192];
} shm_topic_header;

/* The hot lines of `data`. */
typedef struct shm_topic_hot {
	shm_topic_u64 head;
	uint64_t reserved0[15];
	shm_topic_u64 epoch;
	shm_topic_u64 since;
	shm_topic_u64 end;
	uint8_t publisher[16];
	uint64_t reserved1[11];
	shm_topic_u32 wake;
	shm_topic_u32 fencefree;
	uint64_t reserved2[15];
	shm_topic_u64 want;
	uint64_t reserved3[15];
	shm_topic_u64 published, bytes, holes, demoted, evicted, wakes, waits, housekeepings;
	uint64_t reserved4[8];
	shm_topic_u64 alive;
	uint64_t reserved5[15];
} shm_topic_hot;

/* A line of the table in which the publisher answers subscribers. */
typedef struct shm_topic_entry {
	uint8_t id[16];
	shm_topic_u64 state;
	shm_topic_u64 from;
	uint64_t reserved[12];
} shm_topic_entry;

/* What stands before every payload. */
typedef struct shm_topic_slot {
	shm_topic_u64 stamp;
	shm_topic_u64 seq;
	shm_topic_u64 length;
	shm_topic_u32 flags;
	uint32_t reserved0;
	shm_topic_u64 time;
	shm_topic_u64 word;
	uint64_t reserved1[2];
} shm_topic_slot;

/* r.ID behind its header; the counters follow the pins, on a line of their
 * own. */
typedef struct shm_topic_member {
	shm_topic_u64 cursor;
	uint64_t reserved0[15];
	shm_topic_u64 ask;
	shm_topic_u32 fencefree;
	uint32_t reserved1[29];
	shm_topic_u64 pins[1]; /* K of them */
} shm_topic_member;

typedef struct shm_topic_member_counters {
	shm_topic_u64 taken, lost, copied, sleeps;
} shm_topic_member_counters;

/* The bell behind its header. */
typedef struct shm_topic_bell {
	shm_topic_u32 sleepers;
	uint32_t reserved0[31];
	shm_topic_u32 news;
	uint32_t reserved1[31];
} shm_topic_bell;

#define SHMT_AT(type, field, offset) SHMT_ASSERT(offsetof(type, field) == (offset), "shm_topic.h: " #type "." #field " is not where spec/topic.md has it")
SHMT_AT(shm_topic_header, version, 8);
SHMT_AT(shm_topic_header, least, 12);
SHMT_AT(shm_topic_header, features, 16);
SHMT_AT(shm_topic_header, header_size, 24);
SHMT_AT(shm_topic_header, kind, 28);
SHMT_AT(shm_topic_header, size, 32);
SHMT_AT(shm_topic_header, instance, 40);
SHMT_AT(shm_topic_header, pid, 56);
SHMT_AT(shm_topic_header, start, 64);
SHMT_AT(shm_topic_header, pid_namespace, 72);
SHMT_AT(shm_topic_header, boot, 80);
SHMT_AT(shm_topic_header, made, 96);
SHMT_AT(shm_topic_header, uid, 104);
SHMT_AT(shm_topic_header, topic, 112);
SHMT_AT(shm_topic_header, ready, 128);
SHMT_AT(shm_topic_header, slots, 192);
SHMT_AT(shm_topic_header, capacity, 200);
SHMT_AT(shm_topic_header, slot_headers, 208);
SHMT_AT(shm_topic_header, slot_stride, 216);
SHMT_AT(shm_topic_header, payload, 224);
SHMT_AT(shm_topic_header, payload_stride, 232);
SHMT_AT(shm_topic_header, payload_align, 240);
SHMT_AT(shm_topic_header, table, 248);
SHMT_AT(shm_topic_header, hot, 256);
SHMT_AT(shm_topic_header, subscribers, 264);
SHMT_AT(shm_topic_header, held, 268);
SHMT_AT(shm_topic_header, policy, 272);
SHMT_AT(shm_topic_header, type_length, 276);
SHMT_AT(shm_topic_header, patience, 280);
SHMT_AT(shm_topic_header, type_hash, 288);
SHMT_AT(shm_topic_header, type, 320);
SHMT_ASSERT(sizeof(shm_topic_header) == 512, "shm_topic.h: the header with the configuration is not 512 bytes");
SHMT_AT(shm_topic_hot, epoch, 128);
SHMT_AT(shm_topic_hot, since, 136);
SHMT_AT(shm_topic_hot, end, 144);
SHMT_AT(shm_topic_hot, publisher, 152);
SHMT_AT(shm_topic_hot, wake, 256);
SHMT_AT(shm_topic_hot, fencefree, 260);
SHMT_AT(shm_topic_hot, want, 384);
SHMT_AT(shm_topic_hot, published, 512);
SHMT_AT(shm_topic_hot, housekeepings, 568);
SHMT_AT(shm_topic_hot, alive, 640);
SHMT_ASSERT(sizeof(shm_topic_hot) == 768, "shm_topic.h: the hot lines are not 768 bytes");
SHMT_AT(shm_topic_entry, state, 16);
SHMT_AT(shm_topic_entry, from, 24);
SHMT_ASSERT(sizeof(shm_topic_entry) == 128, "shm_topic.h: an entry of the table is not 128 bytes");
SHMT_AT(shm_topic_slot, seq, 8);
SHMT_AT(shm_topic_slot, length, 16);
SHMT_AT(shm_topic_slot, flags, 24);
SHMT_AT(shm_topic_slot, time, 32);
SHMT_AT(shm_topic_slot, word, 40);
SHMT_ASSERT(sizeof(shm_topic_slot) == 64, "shm_topic.h: a slot's header is not 64 bytes");
SHMT_AT(shm_topic_member, ask, 128);
SHMT_AT(shm_topic_member, fencefree, 136);
SHMT_AT(shm_topic_member, pins, 256);
SHMT_AT(shm_topic_bell, news, 128);

enum { SHMT_FREE = 0, SHMT_ADMITTED = 1, SHMT_DEMOTED = 2 };
enum { SHMT_NEVER = 0, SHMT_SAMPLE = 1, SHMT_HOLE = 2, SHMT_BUSY = 3 };
/* What a slot's stride holds at least, and the largest number plus one. */
enum { SHMT_SLOT_USED = 48 };
#define SHMT_MAX_NUMBER ((UINT64_C(1) << 50) - 1)

/* ---------------------------------------------------------------- the API */

/* Results. */
enum {
	SHM_TOPIC_OK = 0,
	SHM_TOPIC_EEMPTY = -1,      /* no sample is there now */
	SHM_TOPIC_EFULL = -2,       /* block: a subscriber still wants what stands there */
	SHM_TOPIC_EHELD = -3,       /* as many samples are held as may be */
	SHM_TOPIC_EEND = -4,        /* the topic has ended, and everything was taken */
	SHM_TOPIC_ETIMEOUT = -5,    /* the time to wait is over */
	SHM_TOPIC_EINTR = -6,       /* a signal ended the wait */
	SHM_TOPIC_EBUSY = -7,       /* a publisher lives; a loan or samples are out */
	SHM_TOPIC_EFENCED = -8,     /* another publisher has taken over */
	SHM_TOPIC_EOWNERDIED = -9,  /* the publisher died, and no successor came in time */
	SHM_TOPIC_EREMOVED = -10,   /* the name is gone, or stands for another topic */
	SHM_TOPIC_ETYPE = -11,      /* another type, or made otherwise, than asked for */
	SHM_TOPIC_ECORRUPT = -12,   /* the memory holds what nobody writes */
	SHM_TOPIC_ETRUNCATED = -13, /* a file was cut short; see shm_topic_guard */
	SHM_TOPIC_EVERSION = -14,   /* a layout or a feature that is not known here */
	SHM_TOPIC_EINVALID = -15,   /* what was asked for cannot be */
	SHM_TOPIC_ENOTFOUND = -16,  /* there is no such topic */
	SHM_TOPIC_EPERMISSION = -17,
	SHM_TOPIC_ESPACE = -18,     /* no room in memory */
	SHM_TOPIC_ETOOLONG = -19,   /* the sample does not fit into a slot */
	SHM_TOPIC_EXISTS = -20,     /* exclusive, and the topic exists */
	SHM_TOPIC_ESYSTEM = -21,    /* anything else; error.err is the errno */
	SHM_TOPIC_ECLOSED = -22     /* the handle is closed */
};

#define SHM_TOPIC_FOREVER INT64_C(-1)

/* What happens when a subscriber is too slow. */
enum { SHM_TOPIC_BLOCK = 1, SHM_TOPIC_DROP_OLDEST = 2 };
/* Who may subscribe: the publisher's user, a group, everybody; nobody, while
 * everybody may observe. */
enum { SHM_TOPIC_PRIVATE = 0, SHM_TOPIC_GROUP = 1, SHM_TOPIC_ALL = 2, SHM_TOPIC_OBSERVE_ONLY = 3 };
/* Where a new subscriber begins: with the next sample, with the oldest that is
 * there, with the newest. */
enum { SHM_TOPIC_NEXT = 0, SHM_TOPIC_OLDEST = 1, SHM_TOPIC_NEWEST = 2 };
/* What comes before a sleep: a spin of some microseconds where that has proved
 * to pay; nothing; or no sleep at all. */
enum { SHM_TOPIC_ADAPTIVE = 0, SHM_TOPIC_SLEEP = 1, SHM_TOPIC_SPIN = 2 };

typedef struct shm_topic_error {
	int code; /* SHM_TOPIC_E... */
	int err;  /* errno, 0 if it has nothing to do with it */
	char text[400];
} shm_topic_error;

/* How a topic is made. Zero means the default of every field. A topic that is
 * taken over must agree. */
typedef struct shm_topic_create_options {
	const char *dir;      /* where topics are; /dev/shm */
	uint64_t size;        /* bytes of the largest sample; 1024 */
	uint64_t slots;       /* samples in memory, a power of two; 32, or what is needed */
	uint64_t align;       /* of samples, a power of two up to 4096; 64 */
	uint32_t subscribers; /* at most; 8. Observers do not count */
	uint32_t held;        /* samples that one may hold; 2 */
	uint32_t policy;      /* SHM_TOPIC_DROP_OLDEST */
	int64_t patience;     /* block: ns that one may hold up the publisher; 10 s; -1 for ever */
	uint32_t sharing;     /* SHM_TOPIC_PRIVATE */
	gid_t gid;            /* for SHM_TOPIC_GROUP */
	int exclusive;        /* never take over */
	const char *type;     /* name of what the samples are, up to 192 bytes */
	const uint8_t *type_hash; /* 32 bytes */
} shm_topic_create_options;

typedef struct shm_topic_open_options {
	const char *dir;     /* where topics are; /dev/shm */
	int from;            /* SHM_TOPIC_NEXT */
	int wait;            /* SHM_TOPIC_ADAPTIVE */
	int ring;            /* an observer that may ring the bell does, so that it is woken */
	int64_t owner_gone;  /* ns without a publisher after which next gives _EOWNERDIED; 0: never */
	const uid_t *uid;    /* if not NULL, whose topic it must be */
	const char *type;    /* if not NULL, what it must hold, with type_hash */
	const uint8_t *type_hash;
} shm_topic_open_options;

typedef struct shm_topic_sample {
	const void *data; /* valid until release */
	size_t size;
	uint64_t number; /* of the slot; numbers have holes */
	uint64_t seq;    /* how many samples came before it */
	uint64_t missed; /* how many were lost between the one before and this one */
	int64_t time;    /* of publishing, ns since 1970 */
	uint64_t word;   /* the user's */
	uint32_t flags;  /* the user's */
	int place;       /* private: a pin, or a copy */
} shm_topic_sample;

typedef struct shm_topic_loan {
	void *data;     /* to be written */
	size_t size;    /* may be made smaller before publishing */
	uint64_t word;  /* the user's */
	uint32_t flags; /* the user's */
	uint64_t number;
} shm_topic_loan;

typedef struct shm_topic_stats {
	uint64_t published, bytes, holes, demoted, evicted, wakes, waits, housekeepings;
	uint32_t admitted; /* subscribers, now */
} shm_topic_stats;

/* The geometry of `data`, checked once and kept privately. */
typedef struct shm_topic_ring {
	uint8_t *base;
	uint64_t bytes;
	uint64_t slots, mask, capacity, align;
	uint8_t *headers, *payloads;
	uint64_t header_stride, payload_stride;
	shm_topic_entry *table;
	shm_topic_hot *hot;
	uint32_t subscribers, held, policy, version, least;
	uint64_t features;
	int64_t patience;
	uint8_t id[16];
	uint8_t type_hash[32];
	char type[SHM_TOPIC_MAX_TYPE + 1];
} shm_topic_ring;

/* Who made a file, as that process says itself. */
typedef struct shm_topic_maker {
	uint64_t pid, start, pid_namespace;
	uint8_t boot[16];
} shm_topic_maker;

/* A subscriber or an observer. All of it is private but `error` and `ring`,
 * which says how the topic is made. */
typedef struct shm_topic_sub {
	shm_topic_error error;
	shm_topic_ring ring;
	int open, observer, block, fencefree, wait;
	uint64_t at, head, next_seq;
	int seq_known;
	shm_topic_entry *entry;
	uint64_t state, from, asked, demoted;
	shm_topic_member *own;
	uint64_t own_bytes;
	shm_topic_member_counters *counters;
	shm_topic_bell *bell;
	uint64_t holds[SHM_TOPIC_MAX_HELD];
	void *copies[SHM_TOPIC_MAX_HELD];
	uint8_t copied[SHM_TOPIC_MAX_HELD];
	uint8_t id[16];
	int dir, own_fd;
	dev_t dev;
	ino_t ino;
	uid_t uid;
	int credit;
	int64_t rest, owner_gone, looked, died;
	int hasty; /* times in a row that the flag was raised for no sleep */
	int alive_fd;
	int64_t alive_looked;
	shm_topic_maker alive_maker;
	char path[4096];
} shm_topic_sub;

/* What a publisher knows of a subscriber. */
typedef struct shm_topic_reader {
	uint8_t id[16];
	shm_topic_member *file; /* the mapping is read-only */
	uint64_t bytes;
	int fd, index, admitted, seen_in_scan, defunct;
	uid_t uid;
	dev_t dev;
	ino_t ino;
	shm_topic_maker maker;
	int64_t looked, moved;
	uint64_t cursor, answered;
	uint64_t pins[SHM_TOPIC_MAX_HELD];
} shm_topic_reader;

/* A publisher. All of it is private but `error`, `ring` and `took_over`. */
typedef struct shm_topic_pub {
	shm_topic_error error;
	shm_topic_ring ring;
	int open, took_over, out, slow, fencefree;
	uint64_t epoch, next, busy, last, shown, seq, floor, free;
	uint64_t base_wakes, wakes;
	int32_t *blocked;
	shm_topic_reader **readers;
	size_t reader_count, reader_room;
	shm_topic_bell *bell;
	uint32_t news, heard;
	int bell_streak, bell_rest;
	int64_t bell_since, looked;
	struct {
		int64_t last, given, first;
		uint64_t ticks, limit, rate, first_ticks;
	} clock;
	int dir, lock, own;
	uint8_t id[16];
	uint32_t sharing;
	uid_t uid;
	dev_t dev;
	ino_t ino, data_ino, own_ino;
	uint64_t *refused;
	char path[4096];
} shm_topic_pub;

/* A name for a result, such as "SHM_TOPIC_EBUSY". */
static inline const char *shm_topic_name(int code)
{
	switch (code) {
	case SHM_TOPIC_OK: return "SHM_TOPIC_OK";
	case SHM_TOPIC_EEMPTY: return "SHM_TOPIC_EEMPTY";
	case SHM_TOPIC_EFULL: return "SHM_TOPIC_EFULL";
	case SHM_TOPIC_EHELD: return "SHM_TOPIC_EHELD";
	case SHM_TOPIC_EEND: return "SHM_TOPIC_EEND";
	case SHM_TOPIC_ETIMEOUT: return "SHM_TOPIC_ETIMEOUT";
	case SHM_TOPIC_EINTR: return "SHM_TOPIC_EINTR";
	case SHM_TOPIC_EBUSY: return "SHM_TOPIC_EBUSY";
	case SHM_TOPIC_EFENCED: return "SHM_TOPIC_EFENCED";
	case SHM_TOPIC_EOWNERDIED: return "SHM_TOPIC_EOWNERDIED";
	case SHM_TOPIC_EREMOVED: return "SHM_TOPIC_EREMOVED";
	case SHM_TOPIC_ETYPE: return "SHM_TOPIC_ETYPE";
	case SHM_TOPIC_ECORRUPT: return "SHM_TOPIC_ECORRUPT";
	case SHM_TOPIC_ETRUNCATED: return "SHM_TOPIC_ETRUNCATED";
	case SHM_TOPIC_EVERSION: return "SHM_TOPIC_EVERSION";
	case SHM_TOPIC_EINVALID: return "SHM_TOPIC_EINVALID";
	case SHM_TOPIC_ENOTFOUND: return "SHM_TOPIC_ENOTFOUND";
	case SHM_TOPIC_EPERMISSION: return "SHM_TOPIC_EPERMISSION";
	case SHM_TOPIC_ESPACE: return "SHM_TOPIC_ESPACE";
	case SHM_TOPIC_ETOOLONG: return "SHM_TOPIC_ETOOLONG";
	case SHM_TOPIC_EXISTS: return "SHM_TOPIC_EXISTS";
	case SHM_TOPIC_ESYSTEM: return "SHM_TOPIC_ESYSTEM";
	case SHM_TOPIC_ECLOSED: return "SHM_TOPIC_ECLOSED";
	}
	return "SHM_TOPIC_E?";
}

/* Private results: begin anew; who looked for something found nothing. */
#define SHMT_AGAIN (-100)
#define SHMT_NONE (-101)

/* ------------------------------------------------------------------ errors */

__attribute__((format(printf, 3, 4))) SHMT_COLD static void shmt_error(shm_topic_error *e, int code, const char *format, ...)
{
	va_list args;
	int n;
	e->code = code;
	e->err = 0;
	va_start(args, format);
	n = vsnprintf(e->text, sizeof e->text, format, args);
	va_end(args);
	/* Names and types come from anywhere; a terminal shall not obey them. */
	for (char *p = e->text; n > 0 && *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
}

/* Notes an error and gives its code, which the compiler sees is not
 * SHM_TOPIC_OK. */
#define shmt_fail(e, code, ...) (shmt_error((e), (code), __VA_ARGS__), (code))

/* The result for an errno. */
SHMT_COLD static int shmt_code(int err)
{
	switch (err) {
	case ENOENT: return SHM_TOPIC_ENOTFOUND;
	case EACCES: case EPERM: case EROFS: return SHM_TOPIC_EPERMISSION;
	case ENOSPC: case ENOMEM: case EDQUOT: return SHM_TOPIC_ESPACE;
	case EEXIST: return SHM_TOPIC_EXISTS;
	}
	return SHM_TOPIC_ESYSTEM;
}

SHMT_COLD static int shmt_system(shm_topic_error *e, const char *what, const char *name, int err)
{
	int code = shmt_fail(e, shmt_code(err), "%s%s%s: %s", what, *name ? " " : "", name, strerror(err));
	e->err = err;
	return code;
}

/* ---------------------------------------------------------- faults (SIGBUS) */

/* Which memory this thread touches and where to go when it is gone. One of
 * each for the program, however many files include this one. */
__attribute__((weak)) SHMT_THREAD sigjmp_buf *shm_topic_fault_jump;
__attribute__((weak)) SHMT_THREAD const uint8_t *shm_topic_fault_from;
__attribute__((weak)) SHMT_THREAD const uint8_t *shm_topic_fault_to;
__attribute__((weak)) int shm_topic_fault_guarded;
__attribute__((weak)) struct sigaction shm_topic_fault_before;

static inline void shmt_on_fault(int number, siginfo_t *info, void *context)
{
	const uint8_t *at = (const uint8_t *)info->si_addr;
	const struct sigaction *before = &shm_topic_fault_before;
	sigjmp_buf *jump = shm_topic_fault_jump;
	if (jump && at >= shm_topic_fault_from && at < shm_topic_fault_to) {
		shm_topic_fault_jump = NULL;
		siglongjmp(*jump, 1);
	}
	if (before->sa_flags & SA_SIGINFO)
		before->sa_sigaction(number, info, context);
	else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
		before->sa_handler(number);
	else
		signal(SIGBUS, SIG_DFL); /* and the access is made again */
}

/* Makes SHM_TOPIC_ETRUNCATED of the SIGBUS that comes when somebody has cut a
 * file short, wherever this header touches shared memory. It installs a
 * handler for SIGBUS, for the whole program, which passes on what is not its
 * own; call it once, before other threads use topics. Each operation costs
 * some nanoseconds more from then on. Samples read by the program itself are
 * not covered. */
static inline int shm_topic_guard(void)
{
	struct sigaction action;
	if (shm_topic_fault_guarded)
		return SHM_TOPIC_OK;
	memset(&action, 0, sizeof action);
	action.sa_sigaction = shmt_on_fault;
	action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, &shm_topic_fault_before) != 0)
		return SHM_TOPIC_ESYSTEM;
	shm_topic_fault_guarded = 1;
	return SHM_TOPIC_OK;
}

/* Calls f(a, b) and gives what it gives, or SHM_TOPIC_ETRUNCATED where it
 * touches memory that is gone. Guards nest. */
static inline int shmt_guarded(const void *from, uint64_t bytes, int (*f)(void *, void *), void *a, void *b)
{
	sigjmp_buf here;
	sigjmp_buf *jump;
	const uint8_t *lo, *hi;
	int result;
	if (SHMT_LIKELY(!shm_topic_fault_guarded))
		return f(a, b);
	jump = shm_topic_fault_jump;
	lo = shm_topic_fault_from;
	hi = shm_topic_fault_to;
	if (sigsetjmp(here, 0) != 0) {
		shm_topic_fault_from = lo;
		shm_topic_fault_to = hi;
		shm_topic_fault_jump = jump;
		return SHM_TOPIC_ETRUNCATED;
	}
	shm_topic_fault_from = (const uint8_t *)from;
	shm_topic_fault_to = (const uint8_t *)from + bytes;
	SHMT_SIGNAL_FENCE();
	shm_topic_fault_jump = &here;
	SHMT_SIGNAL_FENCE();
	result = f(a, b);
	SHMT_SIGNAL_FENCE();
	shm_topic_fault_jump = NULL;
	shm_topic_fault_from = lo;
	shm_topic_fault_to = hi;
	shm_topic_fault_jump = jump;
	return result;
}

/* -------------------------------------------------------------- operations
 *
 * The small set of spec/topic.md, section 1.
 */

/* A full fence also between a release store and an acquire load: DMB ISH on
 * arm64, a locked instruction on amd64. */
static inline void shmt_full_fence(void) { SHMT_FENCE(SHMT_SEQ_CST); }

/* A store and a full fence behind it. */
static inline void shmt_store_full(shm_topic_u64 *word, uint64_t v)
{
#if defined(__x86_64__)
	(void)SHMT_SWAP(word, v);
#else
	SHMT_STORE(word, v, SHMT_RELEASE);
	shmt_full_fence();
#endif
}

static inline void shmt_store_fence(void) { SHMT_FENCE(SHMT_RELEASE); }
static inline void shmt_load_fence(void) { SHMT_FENCE(SHMT_ACQUIRE); }

/* Around payloads of a size that memcpy writes with non-temporal stores. */
static inline void shmt_store_fence_nt(void)
{
#if defined(__x86_64__)
	__builtin_ia32_sfence();
#endif
	SHMT_FENCE(SHMT_RELEASE);
}
enum { SHMT_NON_TEMPORAL = 1 << 20 };

/* A counter that only its writer changes. */
static inline void shmt_add(shm_topic_u64 *word, uint64_t n)
{
	SHMT_STORE(word, SHMT_LOAD(word, SHMT_RELAXED) + n, SHMT_RELAXED);
}

static inline uint64_t shmt_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t shmt_max(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* ------------------------------------------------------------ system calls */

#define SHMT_MS INT64_C(1000000)
#define SHMT_SECOND INT64_C(1000000000)
#define SHMT_BOUND (100 * SHMT_MS) /* of every sleep */

static inline int64_t shmt_clock(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * SHMT_SECOND + t.tv_nsec;
}

static inline void shmt_nap(int64_t ns)
{
	struct timespec t;
	t.tv_sec = (time_t)(ns / SHMT_SECOND);
	t.tv_nsec = (long)(ns % SHMT_SECOND);
	nanosleep(&t, NULL);
}

/* Sleeps as long as the word has the value, at most ns. -1 with errno EINTR
 * when a signal came. Never FUTEX_PRIVATE. */
static inline int shmt_futex_wait(const void *word, uint32_t value, int64_t ns)
{
	struct timespec t;
	t.tv_sec = (time_t)(ns / SHMT_SECOND);
	t.tv_nsec = (long)(ns % SHMT_SECOND);
	return (int)syscall(SYS_futex, word, 0 /* FUTEX_WAIT */, value, &t, NULL, 0);
}

static inline long shmt_futex_wake(const void *word, int n)
{
	return syscall(SYS_futex, word, 1 /* FUTEX_WAKE */, n, NULL, NULL, 0);
}

/* membarrier(2): a full fence in every running thread of every process that is
 * registered; and to register. */
static inline int shmt_membarrier(void) { return (int)syscall(SYS_membarrier, 1 << 1, 0, 0); }
static inline int shmt_membarrier_register(void) { return syscall(SYS_membarrier, 1 << 2, 0, 0) == 0; }

static inline int shmt_rename_noreplace(int from_dir, const char *from, int to_dir, const char *to)
{
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 1 /* RENAME_NOREPLACE */);
}

/* A write lock on the first byte, for the open file description. */
static inline int shmt_lock(int fd)
{
	struct flock l;
	int n;
	memset(&l, 0, sizeof l);
	l.l_type = F_WRLCK;
	l.l_whence = SEEK_SET;
	l.l_len = 1;
	do
		n = fcntl(fd, F_OFD_SETLK, &l);
	while (n != 0 && errno == EINTR);
	return n;
}

/* 1 if somebody has it: only a write lock counts. -1 where it cannot be told. */
static inline int shmt_locked(int fd)
{
	struct flock l;
	int n;
	memset(&l, 0, sizeof l);
	l.l_type = F_RDLCK;
	l.l_whence = SEEK_SET;
	l.l_len = 1;
	do
		n = fcntl(fd, F_OFD_GETLK, &l);
	while (n != 0 && errno == EINTR);
	return n != 0 ? -1 : l.l_type != F_UNLCK;
}

static inline void shmt_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void *shmt_map(int fd, uint64_t bytes, int writable)
{
	void *at = mmap(NULL, bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return NULL;
	madvise(at, bytes, MADV_DONTFORK);
	return at;
}

static inline int shmt_random(uint8_t id[16])
{
	size_t n = 0;
	while (n < 16) {
		ssize_t k = getrandom(id + n, 16 - n, 0);
		if (k < 0 && errno != EINTR)
			return -1;
		n += k > 0 ? (size_t)k : 0;
	}
	return 0;
}

static inline void shmt_hex(char out[33], const uint8_t id[16])
{
	static const char digits[] = "0123456789abcdef";
	for (int i = 0; i < 16; i++) {
		out[2 * i] = digits[id[i] >> 4];
		out[2 * i + 1] = digits[id[i] & 15];
	}
	out[32] = 0;
}

/* 1 where the text is 32 lower-case hex digits. */
static inline int shmt_unhex(uint8_t id[16], const char *text)
{
	memset(id, 0, 16);
	for (int i = 0; i < 32; i++) {
		char c = text[i];
		int v;
		if (c >= '0' && c <= '9')
			v = c - '0';
		else if (c >= 'a' && c <= 'f')
			v = c - 'a' + 10;
		else
			return 0;
		id[i / 2] = (uint8_t)(id[i / 2] << 4 | v);
	}
	return text[32] == 0;
}

/* Whether n bytes are UTF-8, without zero bytes; with strict, without any
 * control character and without a slash. */
static inline int shmt_utf8(const char *text, size_t n, int strict)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t i = 0;
	while (i < n) {
		unsigned c = s[i], v;
		size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 9;
		if (more > n - i - 1 || c == 0)
			return 0;
		v = more == 0 ? c : c & (0x3fu >> more);
		for (size_t k = 1; k <= more; k++) {
			if ((s[i + k] & 0xc0) != 0x80)
				return 0;
			v = v << 6 | (s[i + k] & 0x3fu);
		}
		if ((more == 2 && (v < 0x800 || (v >= 0xd800 && v < 0xe000))) || (more == 3 && (v < 0x10000 || v > 0x10ffff)))
			return 0;
		if (strict && (v < 0x20 || (v >= 0x7f && v < 0xa0) || v == '/'))
			return 0;
		i += 1 + more;
	}
	return 1;
}

static inline int shmt_check_name(shm_topic_error *e, const char *name)
{
	size_t n = strlen(name);
	const char *why = NULL;
	if (n == 0)
		why = "it is empty";
	else if (n > SHM_TOPIC_MAX_NAME)
		why = "it has more than 200 bytes";
	else if (name[0] == '.')
		why = "it starts with a dot";
	else if (!shmt_utf8(name, n, 1))
		why = "it has a slash or a control character, or is not UTF-8";
	return why ? shmt_fail(e, SHM_TOPIC_EINVALID, "\"%.64s\" cannot be the name of a topic: %s", name, why) : SHM_TOPIC_OK;
}

static inline int shmt_path(shm_topic_error *e, char path[4096], const char *dir, const char *name)
{
	int n = snprintf(path, 4096, "%s/%s.topic", dir, name);
	return n > 0 && n < 4096 ? SHM_TOPIC_OK : shmt_fail(e, SHM_TOPIC_EINVALID, "the path of the directory is too long");
}

/* ----------------------------------------------------------- who made a file */

/* The start time and the state of a process, by way of its first thread. */
static inline int shmt_stat(uint64_t pid, uint64_t *start, char *state)
{
	char path[64], text[1024], *p;
	int fd;
	ssize_t n;
	snprintf(path, sizeof path, "/proc/%llu/task/%llu/stat", (unsigned long long)pid, (unsigned long long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	p = strrchr(text, ')'); /* a name may have anything in it */
	if (!p || p[1] != ' ')
		return -1;
	p += 2;
	*state = *p;
	for (int field = 3; field < 22; field++) {
		p = strchr(p, ' ');
		if (!p)
			return -1;
		p++;
	}
	*start = strtoull(p, NULL, 10);
	return 0;
}

/* This process. What /proc does not tell stays zero, and then nobody takes the
 * process for dead by it. */
static inline void shmt_self(shm_topic_maker *m)
{
	char text[64];
	struct stat st;
	ssize_t n;
	char state;
	int fd;
	memset(m, 0, sizeof *m);
	m->pid = (uint64_t)getpid();
	n = readlink("/proc/self", text, sizeof text - 1);
	if (n > 0) {
		text[n] = 0;
		/* /proc may have been mounted for another pid namespace. */
		if (strtoull(text, NULL, 10) != m->pid || shmt_stat(m->pid, &m->start, &state) != 0)
			m->start = 0;
	}
	if (stat("/proc/self/ns/pid", &st) == 0)
		m->pid_namespace = (uint64_t)st.st_ino;
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		char hex[33];
		int k = 0;
		n = read(fd, text, sizeof text - 1);
		close(fd);
		for (ssize_t i = 0; i < n && k < 32; i++) {
			if (text[i] != '-')
				hex[k++] = text[i];
		}
		hex[k] = 0;
		if (k != 32 || !shmt_unhex(m->boot, hex))
			memset(m->boot, 0, 16);
	}
}

/* Whether the maker's process id means something here. */
static inline int shmt_near(const shm_topic_maker *m, const shm_topic_maker *me)
{
	static const uint8_t none[16] = {0};
	return m->pid > 0 && m->pid <= INT32_MAX && m->pid_namespace != 0 && m->pid_namespace == me->pid_namespace &&
		memcmp(m->boot, me->boot, 16) == 0 && memcmp(m->boot, none, 16) != 0;
}

/* Whether two processes see start times alike: they are in one time namespace. */
static inline int shmt_same_time(uint64_t pid)
{
	char path[64], mine[64], theirs[64];
	ssize_t a, b;
	a = readlink("/proc/self/ns/time", mine, sizeof mine);
	if (a < 0)
		return errno == ENOENT;
	snprintf(path, sizeof path, "/proc/%llu/ns/time", (unsigned long long)pid);
	b = readlink(path, theirs, sizeof theirs);
	return a == b && memcmp(mine, theirs, (size_t)a) == 0;
}

/* Whether the maker is known to be gone; what cannot be known is 0. */
static inline int shmt_gone(const shm_topic_maker *m, int thorough)
{
	shm_topic_maker me;
	uint64_t start;
	char state;
	shmt_self(&me);
	if (!shmt_near(m, &me))
		return 0;
	if (kill((pid_t)m->pid, 0) != 0 && errno == ESRCH)
		return 1;
	if (!thorough || me.start == 0)
		return 0;
	if (shmt_stat(m->pid, &start, &state) != 0)
		return errno == ENOENT && kill((pid_t)m->pid, 0) != 0 && errno == ESRCH;
	if (start != m->start)
		return shmt_same_time(m->pid);
	if (state == 'Z') {
		/* Other threads may go on without the first. */
		char path[64];
		struct stat st;
		snprintf(path, sizeof path, "/proc/%llu/task", (unsigned long long)m->pid);
		return stat(path, &st) != 0 || st.st_nlink <= 3;
	}
	return 0;
}

/* Whether a participant lives: it has its lock, and not merely a child that it
 * has left behind. looked remembers when /proc was asked last. */
static inline int shmt_alive(int fd, const shm_topic_maker *m, int64_t *looked)
{
	int locked = shmt_locked(fd);
	int64_t now;
	if (locked < 0)
		return 1;
	if (!locked)
		return 0;
	now = shmt_clock(CLOCK_MONOTONIC);
	if (*looked != 0 && now - *looked < SHMT_SECOND)
		return 1;
	if (shmt_gone(m, 1))
		return 0;
	*looked = now;
	return 1;
}

/* ----------------------------------------------------------- files of others */

enum { SHMT_LINKS = 1, SHMT_OWN = 2 };

static inline uid_t shmt_overflow_uid(void)
{
	char text[16];
	int fd = open("/proc/sys/kernel/overflowuid", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 65534;
	text[n] = 0;
	return (uid_t)strtoul(text, NULL, 10);
}

/* Opens a file of a topic and holds it to the rules: regular, on the
 * directory's device, of the owner (-1: of anybody that this user namespace
 * knows), at least that large; with one name unless SHMT_LINKS, writable by
 * nobody else with SHMT_OWN. */
static inline int shmt_open(shm_topic_error *e, int dir, dev_t dev, const char *name, int flags, int64_t uid, uid_t dir_uid, int rules, uint64_t least, int *fd, struct stat *st)
{
	*fd = openat(dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0) {
		int err = errno;
		if (err == ELOOP)
			return shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s is a symbolic link", name);
		if (err == EISDIR)
			return shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s is a directory", name);
		if (err == ENXIO)
			return shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s is a FIFO, a socket or a device", name);
		return shmt_system(e, "opening", name, err);
	}
	if (fstat(*fd, st) != 0) {
		shmt_system(e, "looking at", name, errno);
	} else if (!S_ISREG(st->st_mode)) {
		shmt_error(e, SHM_TOPIC_ECORRUPT, "%s is a FIFO, a directory or a device, and no file", name);
	} else if (st->st_nlink == 0) {
		shmt_error(e, SHM_TOPIC_ENOTFOUND, "%s was removed just now", name);
	} else if (st->st_nlink != 1 && !(rules & SHMT_LINKS)) {
		shmt_error(e, SHM_TOPIC_ECORRUPT, "%s has %lu names", name, (unsigned long)st->st_nlink);
	} else if (st->st_dev != dev) {
		shmt_error(e, SHM_TOPIC_ECORRUPT, "%s is on another file system than its directory", name);
	} else if (uid >= 0 && (int64_t)st->st_uid != uid) {
		shmt_error(e, SHM_TOPIC_ECORRUPT, "%s belongs to uid %u, not to uid %u", name, st->st_uid, (unsigned)uid);
	} else if (uid < 0 && st->st_uid != dir_uid && st->st_uid == shmt_overflow_uid()) {
		shmt_error(e, SHM_TOPIC_ECORRUPT, "%s belongs to a user that this user namespace does not know", name);
	} else if ((rules & SHMT_OWN) && (st->st_mode & 022)) {
		shmt_error(e, SHM_TOPIC_ECORRUPT, "%s may be written by others (mode %#o)", name, (unsigned)(st->st_mode & 07777));
	} else if (st->st_size < 0 || (uint64_t)st->st_size < least) {
		shmt_error(e, SHM_TOPIC_ECORRUPT, "%s has %lld bytes, at least %llu are needed", name, (long long)st->st_size, (unsigned long long)least);
	} else {
		return SHM_TOPIC_OK;
	}
	shmt_close(fd);
	return e->code;
}

/* Whether an entry of a directory still stands for the file. */
static inline int shmt_named(int dir, const char *name, dev_t dev, ino_t ino)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -1;
	return st.st_dev == dev && st.st_ino == ino;
}

static int shmt_copy_header(void *from, void *to)
{
	shm_topic_header *h = (shm_topic_header *)to;
	uint32_t ready = SHMT_LOAD(&((shm_topic_header *)from)->ready, SHMT_ACQUIRE);
	memcpy(to, from, sizeof *h);
	SHMT_STORE(&h->ready, ready, SHMT_RELAXED);
	return SHM_TOPIC_OK;
}

/* Checks a private copy of a header against what the kernel says of the file
 * and what it shall be. */
static inline int shmt_check_header(shm_topic_error *e, const char *name, shm_topic_header *h, uint32_t kind, uint64_t size)
{
	uint64_t unknown = h->features & UINT64_C(0xffffffff) & ~SHM_TOPIC_FEATURES;
	if (memcmp(h->magic, SHM_TOPIC_MAGIC, 8) != 0)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s: it does not start with \"" SHM_TOPIC_MAGIC "\"", name);
	if (SHMT_LOAD(&h->ready, SHMT_RELAXED) != SHM_TOPIC_READY)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s: it was never completed", name);
	if (h->version == 0 || h->least == 0 || h->least > h->version)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s: layout version %u, readable from %u on, cannot be", name, h->version, h->least);
	if (h->least > SHM_TOPIC_VERSION)
		return shmt_fail(e, SHM_TOPIC_EVERSION, "%s: the layout is version %u, readable from version %u on, and this program knows version %d: use a newer version of it", name, h->version, h->least, SHM_TOPIC_VERSION);
	if (unknown)
		return shmt_fail(e, SHM_TOPIC_EVERSION, "%s: the layout is version %u with features %#llx, which this program, of version %d, does not know: use a newer version of it", name, h->version, (unsigned long long)unknown, SHM_TOPIC_VERSION);
	if (h->kind != kind)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s: it is of kind %u, not %u", name, h->kind, kind);
	if (h->header_size != SHM_TOPIC_HEADER_SIZE)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s: the header says that it has %u bytes, not %d", name, h->header_size, SHM_TOPIC_HEADER_SIZE);
	if (h->size < SHM_TOPIC_HEADER_SIZE || h->size > size)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s: the header says that the file has %llu bytes, and it has %llu", name, (unsigned long long)h->size, (unsigned long long)size);
	return SHM_TOPIC_OK;
}

/* Copies and checks the header of an open file. */
static inline int shmt_read_header(shm_topic_error *e, const char *name, int fd, uint64_t size, uint32_t kind, shm_topic_header *h)
{
	void *at = shmt_map(fd, SHM_TOPIC_HEADER_SIZE, 0);
	int result;
	if (!at)
		return shmt_system(e, "mapping", name, errno);
	result = shmt_guarded(at, SHM_TOPIC_HEADER_SIZE, shmt_copy_header, at, h);
	munmap(at, SHM_TOPIC_HEADER_SIZE);
	if (result != SHM_TOPIC_OK)
		return shmt_fail(e, result, "%s was cut short", name);
	return shmt_check_header(e, name, h, kind, size);
}

static inline void shmt_maker_of(shm_topic_maker *m, const shm_topic_header *h)
{
	m->pid = h->pid;
	m->start = h->start;
	m->pid_namespace = h->pid_namespace;
	memcpy(m->boot, h->boot, 16);
}

struct shmt_section {
	const char *name;
	uint64_t off, count, stride, align;
};

/* Checks the configuration in a private copy of the header of `data`, whose
 * size was checked, and finds everything in a mapping at base. */
static inline int shmt_check_config(shm_topic_error *e, const shm_topic_header *h, uint8_t *base, shm_topic_ring *g)
{
	uint64_t n = h->slots, m = h->subscribers, k = h->held, align = h->payload_align;
	struct shmt_section s[4];
	if (n < 2 || n > SHM_TOPIC_MAX_SLOTS || (n & (n - 1)))
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: %llu slots cannot be", (unsigned long long)n);
	if (m < 1 || m > SHM_TOPIC_MAX_SUBSCRIBERS)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: a table of %llu entries cannot be", (unsigned long long)m);
	if (k < 1 || k > SHM_TOPIC_MAX_HELD || n <= m * k + 1)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: %llu slots for %llu subscribers that hold %llu samples each cannot be", (unsigned long long)n, (unsigned long long)m, (unsigned long long)k);
	if (h->policy != SHM_TOPIC_BLOCK && h->policy != SHM_TOPIC_DROP_OLDEST)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: policy %u cannot be", h->policy);
	if (h->patience < -1)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: a patience of %lld ns cannot be", (long long)h->patience);
	if (align < 1 || align > SHM_TOPIC_MAX_ALIGN || (align & (align - 1)))
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: payloads aligned to %llu bytes cannot be", (unsigned long long)align);
	if (h->capacity < 1 || h->capacity > h->size)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: payloads of %llu bytes in a file of %llu cannot be", (unsigned long long)h->capacity, (unsigned long long)h->size);
	if (h->type_length > SHM_TOPIC_MAX_TYPE || !shmt_utf8(h->type, h->type_length, 0))
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: the name of its type cannot be one");
	if (h->slot_stride < SHMT_SLOT_USED || h->slot_stride % 8 != 0)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: slot headers every %llu bytes cannot be", (unsigned long long)h->slot_stride);
	if (h->payload_stride < h->capacity || h->payload_stride % align != 0)
		return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: payloads of %llu bytes every %llu cannot be", (unsigned long long)h->capacity, (unsigned long long)h->payload_stride);
	memset(s, 0, sizeof s);
	s[0].name = "hot lines", s[0].off = h->hot, s[0].count = 1, s[0].stride = sizeof(shm_topic_hot), s[0].align = SHM_TOPIC_LINE;
	s[1].name = "table", s[1].off = h->table, s[1].count = m, s[1].stride = sizeof(shm_topic_entry), s[1].align = SHM_TOPIC_LINE;
	s[2].name = "slot headers", s[2].off = h->slot_headers, s[2].count = n, s[2].stride = h->slot_stride, s[2].align = 8;
	s[3].name = "payloads", s[3].off = h->payload, s[3].count = n, s[3].stride = h->payload_stride, s[3].align = align;
	for (int i = 0; i < 4; i++) {
		uint64_t bytes;
		if (__builtin_mul_overflow(s[i].count, s[i].stride, &bytes) || s[i].off < SHM_TOPIC_HEADER_SIZE || s[i].off > h->size || bytes > h->size - s[i].off)
			return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: the %s are not inside the file", s[i].name);
		if (s[i].off % s[i].align != 0)
			return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: the %s are not aligned to %llu bytes", s[i].name, (unsigned long long)s[i].align);
		for (int j = 0; j < i; j++) {
			if (s[i].off < s[j].off + s[j].count * s[j].stride && s[j].off < s[i].off + bytes)
				return shmt_fail(e, SHM_TOPIC_ECORRUPT, "data: the %s overlap the %s", s[i].name, s[j].name);
		}
	}
	memset(g, 0, sizeof *g);
	g->base = base;
	g->bytes = h->size;
	g->slots = n;
	g->mask = n - 1;
	g->capacity = h->capacity;
	g->align = align;
	g->header_stride = h->slot_stride;
	g->payload_stride = h->payload_stride;
	g->subscribers = h->subscribers;
	g->held = h->held;
	g->policy = h->policy;
	g->version = h->version;
	g->least = h->least;
	g->features = h->features;
	g->patience = h->patience;
	memcpy(g->id, h->instance, 16);
	memcpy(g->type_hash, h->type_hash, 32);
	memcpy(g->type, h->type, h->type_length);
	if (base) {
		g->hot = (shm_topic_hot *)(void *)(base + h->hot);
		g->table = (shm_topic_entry *)(void *)(base + h->table);
		g->headers = base + h->slot_headers;
		g->payloads = base + h->payload;
	}
	return SHM_TOPIC_OK;
}

static inline shm_topic_slot *shmt_slot(const shm_topic_ring *g, uint64_t number)
{
	return (shm_topic_slot *)(void *)(g->headers + (number & g->mask) * g->header_stride);
}

static inline uint8_t *shmt_payload(const shm_topic_ring *g, uint64_t number)
{
	return g->payloads + (number & g->mask) * g->payload_stride;
}

/* Opens, checks and maps `data`. */
static inline int shmt_open_data(shm_topic_error *e, int dir, dev_t dev, uid_t uid, int writable, shm_topic_ring *g, struct stat *st)
{
	shm_topic_header h;
	uint8_t *base = NULL;
	int fd, result;
	result = shmt_open(e, dir, dev, "data", writable ? O_RDWR : O_RDONLY, (int64_t)uid, uid, SHMT_LINKS | (writable ? SHMT_OWN : 0), SHM_TOPIC_HEADER_SIZE, &fd, st);
	if (result != SHM_TOPIC_OK)
		return result;
	result = shmt_read_header(e, "data", fd, (uint64_t)st->st_size, SHM_TOPIC_DATA, &h);
	if (result == SHM_TOPIC_OK)
		result = shmt_check_config(e, &h, NULL, g);
	if (result == SHM_TOPIC_OK) {
		base = (uint8_t *)shmt_map(fd, h.size, writable);
		if (!base)
			result = shmt_system(e, "mapping", "data", errno);
		else
			result = shmt_check_config(e, &h, base, g);
	}
	if (result == SHM_TOPIC_OK && writable && (uint64_t)st->st_blocks * 512 < h.size) {
		/* Somebody has punched holes: what is reserved can be relied upon. */
		if (fallocate(fd, 0, 0, (off_t)h.size) != 0 && errno != EOPNOTSUPP)
			result = shmt_system(e, "reserving", "data", errno);
	}
	if (result != SHM_TOPIC_OK && base)
		munmap(base, h.size);
	close(fd);
	return result;
}

/* Opens a topic's directory. */
static inline int shmt_open_dir(shm_topic_error *e, const char *path, int *fd, struct stat *st)
{
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0) {
		if (errno == ENOTDIR || errno == ELOOP)
			return shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s is not a directory", path);
		return shmt_system(e, "opening", path, errno);
	}
	if (fstat(*fd, st) != 0) {
		shmt_system(e, "looking at", path, errno);
		shmt_close(fd);
		return e->code;
	}
	return SHM_TOPIC_OK;
}

/* Calls f for the entries of a directory until it gives something else than
 * SHM_TOPIC_OK, which is given back. */
static inline int shmt_entries(int dir, int (*f)(void *, const char *name, ino_t ino), void *arg)
{
	int result = SHM_TOPIC_OK, fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	if (!d) {
		int err = errno;
		if (fd >= 0)
			close(fd);
		errno = err;
		return err == ENOENT ? SHM_TOPIC_OK : SHM_TOPIC_ESYSTEM;
	}
	while (result == SHM_TOPIC_OK && (entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = f(arg, entry->d_name, entry->d_ino);
	}
	closedir(d);
	return result;
}

/* --------------------------------------------------------------- new files */

/* A file that has not got its name yet: unnamed, or with a temporary one. */
struct shmt_draft {
	int fd, dir;
	char temp[48]; /* empty for an unnamed file */
};

static inline void shmt_draft_discard(struct shmt_draft *d)
{
	if (d->temp[0])
		unlinkat(d->dir, d->temp, 0);
	shmt_close(&d->fd);
}

/* Makes a file of size bytes, all zero and reserved. -1 with errno. */
static inline int shmt_draft_new(struct shmt_draft *d, int dir, uint64_t size)
{
	struct stat st;
	int err = EOPNOTSUPP;
	d->dir = dir;
	d->temp[0] = 0;
	d->fd = -1;
	if (lstat("/proc/self/fd", &st) == 0) { /* else it could not be linked */
		d->fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		err = errno;
	}
	if (d->fd < 0 && (err == EOPNOTSUPP || err == EISDIR)) {
		uint8_t id[16];
		if (shmt_random(id) != 0)
			return -1;
		memcpy(d->temp, ".tmp-", 5);
		shmt_hex(d->temp + 5, id);
		d->fd = openat(dir, d->temp, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
		err = errno;
	}
	if (d->fd < 0) {
		errno = err;
		return -1;
	}
	while (size > 0 && fallocate(d->fd, 0, 0, (off_t)size) != 0) {
		if (errno == EINTR)
			continue;
		if (errno == EOPNOTSUPP && ftruncate(d->fd, (off_t)size) == 0)
			break;
		err = errno;
		shmt_draft_discard(d);
		errno = err;
		return -1;
	}
	return 0;
}

/* Gives the file its mode, then the lock, if it shall have one, then its name,
 * and hands over the descriptor. -1 with errno, and it is gone. */
static inline int shmt_draft_publish(struct shmt_draft *d, const char *name, mode_t mode, int lock)
{
	int err = 0;
	if (fchmod(d->fd, mode) != 0 || (lock && shmt_lock(d->fd) != 0)) {
		err = errno;
	} else if (d->temp[0]) {
		if (shmt_rename_noreplace(d->dir, d->temp, d->dir, name) != 0)
			err = errno;
	} else {
		char path[40];
		snprintf(path, sizeof path, "/proc/self/fd/%d", d->fd);
		if (linkat(AT_FDCWD, path, d->dir, name, AT_SYMLINK_FOLLOW) != 0) {
			err = errno;
			if ((err == ENOENT || err == EXDEV) && linkat(d->fd, "", d->dir, name, AT_EMPTY_PATH) == 0)
				err = 0;
		}
	}
	if (err) {
		shmt_draft_discard(d);
		errno = err;
		return -1;
	}
	return d->fd;
}

/* Fills in a header, without its ready word. */
static inline void shmt_header(shm_topic_header *h, uint32_t kind, uint64_t size, const uint8_t instance[16], const uint8_t *topic)
{
	shm_topic_maker me;
	shmt_self(&me);
	memset((void *)h, 0, sizeof *h);
	memcpy(h->magic, SHM_TOPIC_MAGIC, 8);
	h->version = SHM_TOPIC_VERSION;
	h->least = SHM_TOPIC_LEAST;
	h->header_size = SHM_TOPIC_HEADER_SIZE;
	h->kind = kind;
	h->size = size;
	memcpy(h->instance, instance, 16);
	if (topic)
		memcpy(h->topic, topic, 16);
	h->pid = me.pid;
	h->start = me.start;
	h->pid_namespace = me.pid_namespace;
	memcpy(h->boot, me.boot, 16);
	h->made = shmt_clock(CLOCK_REALTIME);
	h->uid = (uint32_t)geteuid();
}

/* Writes a header, and its ready word after it. -1 with errno. */
static inline int shmt_write_header(int fd, const shm_topic_header *h)
{
	static const uint8_t ready[4] = {'R', 'E', 'D', 'Y'};
	ssize_t n = pwrite(fd, (const void *)h, sizeof *h, 0);
	if (n == (ssize_t)sizeof *h)
		n = pwrite(fd, ready, 4, offsetof(shm_topic_header, ready)) == 4 ? 0 : -1;
	if (n > 0)
		errno = EIO;
	return n == 0 ? 0 : -1;
}

struct shmt_modes {
	mode_t dir, data, bell, id, lock;
};

static inline const struct shmt_modes *shmt_modes(uint32_t sharing)
{
	static const struct shmt_modes modes[] = {
		{0700, 0600, 0600, 0400, 0600},
		{03770, 0640, 0660, 0440, 0600},
		{03777, 0644, 0666, 0444, 0600},
		{00755, 0644, 0600, 0444, 0600},
	};
	return sharing < 4 ? &modes[sharing] : NULL;
}

/* The way of sharing that a directory's mode stands for, -1 for none. */
static inline int shmt_sharing(mode_t mode)
{
	for (uint32_t s = 0; s < 4; s++) {
		if (shmt_modes(s)->dir == (mode & 07777))
			return (int)s;
	}
	return -1;
}

static inline uint64_t shmt_round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

/* The offset of the counters in r.ID, and its size, for K pins. */
static inline uint64_t shmt_member_counters(uint32_t held)
{
	return shmt_round_up(SHM_TOPIC_HEADER_SIZE + offsetof(shm_topic_member, pins) + 8 * (uint64_t)held, SHM_TOPIC_LINE);
}

static inline uint64_t shmt_member_size(uint32_t held)
{
	return shmt_round_up(shmt_member_counters(held) + sizeof(shm_topic_member_counters), SHM_TOPIC_HEADER_SIZE);
}

static inline uint64_t shmt_stamp(uint64_t epoch, uint64_t number, uint64_t kind) { return epoch << 52 | number << 2 | kind; }
static inline uint64_t shmt_stamp_number(uint64_t stamp) { return stamp >> 2 & SHMT_MAX_NUMBER; }

/* Several processors, so that to spin can pay. */
static inline int shmt_parallel(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) > 1;
}

/* Whether a wait is over: how long there is still to wait, at most bound; -1
 * without an end. */
static inline int64_t shmt_deadline(int64_t timeout)
{
	return timeout < 0 || timeout > INT64_MAX / 2 ? -1 : shmt_clock(CLOCK_MONOTONIC) + timeout;
}

static inline int64_t shmt_left(int64_t deadline, int64_t bound)
{
	int64_t left;
	if (deadline < 0)
		return bound;
	left = deadline - shmt_clock(CLOCK_MONOTONIC);
	return left < 0 ? 0 : left < bound ? left : bound;
}

/* ------------------------------------------------------------- subscribing */

/* Whether number c is the present publisher's and so is the stamp, or neither:
 * since must have been loaded after the stamp. */
static inline int shmt_right_epoch(uint64_t stamp, uint64_t since, uint64_t c)
{
	return (stamp >> 52 == since >> 52) == (c >= shmt_stamp_number(since));
}

static inline int shmt_believe(const shm_topic_ring *g, uint64_t stamp, uint64_t c)
{
	return (stamp & 3) == SHMT_SAMPLE && shmt_stamp_number(stamp) == c &&
		shmt_right_epoch(stamp, SHMT_LOAD(&g->hot->since, SHMT_ACQUIRE), c);
}

/* Wakes a publisher that waits for the cursor that was just moved from was to
 * c. SYNC POINT: want, with shmt_sleep_for_room. */
static inline void shmt_step(shm_topic_sub *s, uint64_t c)
{
	uint64_t was = s->at, want;
	s->at = c;
	if (!s->own)
		return;
	if (!s->block) {
		SHMT_STORE(&s->own->cursor, c, SHMT_RELEASE);
		return;
	}
	if (s->fencefree) {
		SHMT_STORE(&s->own->cursor, c, SHMT_RELEASE);
		SHMT_SIGNAL_FENCE(); /* for the compiler; the publisher fences for both */
	} else {
		shmt_store_full(&s->own->cursor, c);
	}
	want = SHMT_LOAD(&s->ring.hot->want, SHMT_ACQUIRE);
	if (SHMT_UNLIKELY(want != 0 && was < want - 1 && want - 1 <= c))
		shmt_futex_wake((const void *)&s->own->cursor, 1);
}

static inline void shmt_ring(shm_topic_sub *s);

/* Looks for the own line in the table, and asks again when there was one and
 * it is lost. */
static SHMT_COLD int shmt_find_entry(shm_topic_sub *s)
{
	s->entry = NULL;
	for (uint32_t i = 0; i < s->ring.subscribers; i++) {
		shm_topic_entry *e = &s->ring.table[i];
		uint64_t from, state = SHMT_LOAD(&e->state, SHMT_ACQUIRE);
		uint8_t id[16];
		if ((state & 3) == SHMT_FREE)
			continue;
		memcpy(id, e->id, 16);
		from = SHMT_LOAD(&e->from, SHMT_RELAXED);
		shmt_load_fence();
		if (SHMT_LOAD(&e->state, SHMT_ACQUIRE) != state || memcmp(id, s->id, 16) != 0)
			continue;
		if ((state & 3) != SHMT_ADMITTED) {
			/* Lapped, perhaps before we ever saw that we were admitted: what
			 * we asked was answered, so we ask again, once each time. */
			if (state != s->demoted) {
				s->demoted = state;
				s->asked = 0;
			}
			break;
		}
		s->entry = e;
		s->state = state;
		s->from = shmt_max(from, s->at); /* what was passed over is not promised */
		s->asked = 0;
		return 1;
	}
	if (s->asked == 0) {
		s->asked = SHMT_LOAD(&s->own->ask, SHMT_RELAXED) + 1;
		SHMT_STORE(&s->own->ask, s->asked, SHMT_RELEASE);
		shmt_ring(s);
	}
	return 0;
}

/* Whether number c may be read in place: the publisher has answered, and
 * watches our pins from a number on that is not past c. */
static inline int shmt_admitted(shm_topic_sub *s, uint64_t c)
{
	if (!s->own)
		return 0;
	if (SHMT_LIKELY(s->entry && SHMT_LOAD(&s->entry->state, SHMT_ACQUIRE) == s->state))
		return c >= s->from;
	return shmt_find_entry(s) && c >= s->from;
}

static int shmt_ring_now(void *bell, void *unused)
{
	shm_topic_u32 *news = &((shm_topic_bell *)bell)->news;
	(void)unused;
	SHMT_STORE(news, SHMT_LOAD(news, SHMT_RELAXED) + 1, SHMT_RELEASE);
	return SHM_TOPIC_OK;
}

/* Tells the publisher that there is news. */
static inline void shmt_ring(shm_topic_sub *s)
{
	if (s->bell)
		shmt_guarded(s->bell, sizeof *s->bell, shmt_ring_now, s->bell, NULL);
}

/* Looks at the head. */
static inline int shmt_advance(shm_topic_sub *s)
{
	uint64_t end, head = SHMT_LOAD(&s->ring.hot->head, SHMT_ACQUIRE);
	if (SHMT_UNLIKELY(head < s->head || head - s->head > UINT64_C(1) << 49))
		return shmt_fail(&s->error, SHM_TOPIC_ECORRUPT, "the head went from %llu to %llu", (unsigned long long)s->head, (unsigned long long)head);
	s->head = head;
	if (SHMT_LIKELY(s->at < head))
		return SHM_TOPIC_OK;
	end = SHMT_LOAD(&s->ring.hot->end, SHMT_ACQUIRE);
	return end != 0 && end - 1 <= s->at ? SHM_TOPIC_EEND : SHM_TOPIC_EEMPTY;
}

/* Reads what stands before the payload, each word once; 0 for a sample that
 * says it is longer than its slot. */
static inline int shmt_fill(const shm_topic_ring *g, shm_topic_sample *m, shm_topic_slot *h, uint64_t c)
{
	uint64_t n = SHMT_LOAD(&h->length, SHMT_RELAXED);
	if (SHMT_UNLIKELY(n > g->capacity))
		return 0;
	m->data = shmt_payload(g, c);
	m->size = (size_t)n;
	m->number = c;
	m->seq = SHMT_LOAD(&h->seq, SHMT_RELAXED);
	m->time = (int64_t)SHMT_LOAD(&h->time, SHMT_RELAXED);
	m->word = SHMT_LOAD(&h->word, SHMT_RELAXED);
	m->flags = SHMT_LOAD(&h->flags, SHMT_RELAXED);
	m->missed = 0;
	return 1;
}

static inline int shmt_too_long(shm_topic_sub *s, uint64_t c)
{
	return shmt_fail(&s->error, SHM_TOPIC_ECORRUPT, "sample %llu says that it is longer than its slot", (unsigned long long)c);
}

/* Keeps the books of a sample that was taken. */
static inline void shmt_count(shm_topic_sub *s, shm_topic_sample *m)
{
	if (s->seq_known && m->seq > s->next_seq)
		m->missed = m->seq - s->next_seq;
	s->next_seq = m->seq + 1;
	s->seq_known = 1;
	if (!s->counters)
		return;
	shmt_add(&s->counters->taken, 1);
	if (m->missed)
		shmt_add(&s->counters->lost, m->missed);
	if (m->place < 0)
		shmt_add(&s->counters->copied, 1);
}

/* Goes past number c, which cannot be had: a hole, or overwritten. */
static SHMT_COLD void shmt_pass(shm_topic_sub *s, uint64_t stamp, uint64_t c)
{
	uint64_t head, next = c + 1, n = s->ring.slots;
	if ((stamp & 3) == SHMT_HOLE && shmt_stamp_number(stamp) == c &&
		shmt_right_epoch(stamp, SHMT_LOAD(&s->ring.hot->since, SHMT_ACQUIRE), c)) {
		shmt_step(s, c + 1);
		return;
	}
	head = SHMT_LOAD(&s->ring.hot->head, SHMT_ACQUIRE);
	if (head > s->head && head - s->head <= UINT64_C(1) << 49)
		s->head = head;
	if (s->head > n) {
		/* Some way behind, so that there is time. Under block we are not
		 * admitted yet, or this would not be gone; the number from which we
		 * are is head - N at the least, and must not be passed. */
		uint64_t margin = s->block ? 0 : shmt_max(n / 8, 1);
		next = shmt_max(next, s->head - n + margin);
	}
	shmt_step(s, shmt_min(next, shmt_max(s->head, c + 1)));
}

/* Memory for a copy; its place, or what is wrong. */
static inline int shmt_copy_place(shm_topic_sub *s)
{
	for (uint32_t i = 0; i < s->ring.held; i++) {
		if (s->copied[i])
			continue;
		if (!s->copies[i]) {
			size_t align = s->ring.align < sizeof(void *) ? sizeof(void *) : (size_t)s->ring.align;
			int err = posix_memalign(&s->copies[i], align, (size_t)s->ring.capacity);
			if (err) {
				s->copies[i] = NULL;
				return shmt_system(&s->error, "memory for a copy", "", err);
			}
		}
		return (int)i;
	}
	return SHM_TOPIC_EHELD;
}

/* Takes number c as an observer does. SHMT_NONE: it was passed. */
static inline int shmt_copy(shm_topic_sub *s, shm_topic_sample *m, shm_topic_slot *h, uint64_t c)
{
	uint64_t stamp = SHMT_LOAD(&h->stamp, SHMT_ACQUIRE);
	int place, fits;
	if (!shmt_believe(&s->ring, stamp, c)) {
		shmt_pass(s, stamp, c);
		return SHMT_NONE;
	}
	place = shmt_copy_place(s);
	if (place < 0)
		return place;
	fits = shmt_fill(&s->ring, m, h, c);
	if (fits) {
		memcpy(s->copies[place], m->data, m->size);
		m->data = s->copies[place];
	}
	shmt_load_fence();
	if (SHMT_LOAD(&h->stamp, SHMT_ACQUIRE) != stamp) {
		shmt_pass(s, 0, c);
		return SHMT_NONE;
	}
	shmt_step(s, c + 1);
	if (!fits)
		return shmt_too_long(s, c);
	m->place = -1 - place;
	s->copied[place] = 1;
	shmt_count(s, m);
	return SHM_TOPIC_OK;
}

/* Takes the next sample; the steps are those of spec/topic.md, section 7. */
static int shmt_take(void *sub, void *sample)
{
	shm_topic_sub *s = (shm_topic_sub *)sub;
	shm_topic_sample *m = (shm_topic_sample *)sample;
	const shm_topic_ring *g = &s->ring;
	for (uint64_t tries = 0;; tries++) {
		uint64_t stamp, since, c = s->at;
		shm_topic_slot *h;
		uint32_t pin = 0;
		int result;
		if (c >= s->head) {
			result = shmt_advance(s);
			if (result != SHM_TOPIC_OK)
				return result;
		}
		if (SHMT_UNLIKELY(tries > 2 * g->slots))
			return SHM_TOPIC_EEMPTY; /* the publisher is faster than this */
		h = shmt_slot(g, c);
		if (SHMT_UNLIKELY(!shmt_admitted(s, c))) {
			result = shmt_copy(s, m, h, c);
			if (result != SHMT_NONE)
				return result;
			continue;
		}
		while (pin < g->held && s->holds[pin])
			pin++;
		if (SHMT_UNLIKELY(pin == g->held))
			return SHM_TOPIC_EHELD;
		/* SYNC POINT: pin, with shmt_prepare and shmt_demote. */
		shmt_store_full(&s->own->pins[pin], c + 1);
		stamp = SHMT_LOAD(&h->stamp, SHMT_ACQUIRE);
		since = SHMT_LOAD(&g->hot->since, SHMT_ACQUIRE);
		if (SHMT_LIKELY((stamp & 3) == SHMT_SAMPLE && shmt_stamp_number(stamp) == c && shmt_right_epoch(stamp, since, c))) {
			if (SHMT_LIKELY(SHMT_LOAD(&s->entry->state, SHMT_ACQUIRE) == s->state)) {
				if (SHMT_UNLIKELY(!shmt_fill(g, m, h, c))) {
					SHMT_STORE(&s->own->pins[pin], 0, SHMT_RELEASE);
					shmt_step(s, c + 1);
					return shmt_too_long(s, c);
				}
				s->holds[pin] = c + 1;
				m->place = (int)pin;
				shmt_count(s, m);
				shmt_step(s, c + 1);
				return SHM_TOPIC_OK;
			}
			/* Demoted just now: a copy may do. */
			SHMT_STORE(&s->own->pins[pin], 0, SHMT_RELEASE);
			continue;
		}
		SHMT_STORE(&s->own->pins[pin], 0, SHMT_RELEASE);
		shmt_pass(s, stamp, c);
	}
}

/* One attempt, under the guard. */
static inline int shmt_try(shm_topic_sub *s, shm_topic_sample *m)
{
	int result;
	if (SHMT_UNLIKELY(!s->open))
		return shmt_fail(&s->error, SHM_TOPIC_ECLOSED, "the topic is closed");
	result = shmt_guarded(s->ring.base, s->ring.bytes, shmt_take, s, m);
	if (SHMT_UNLIKELY(result == SHM_TOPIC_ETRUNCATED))
		shmt_error(&s->error, result, "%s/data was cut short", s->path);
	return result;
}

struct shmt_seeker {
	const shm_topic_sub *sub;
	int dir, fd, any;
	shm_topic_maker maker;
	shm_topic_error *error;
};

/* Looks whether an entry is p.ID of a publisher that lives, or of any. */
static int shmt_seek_publisher(void *arg, const char *name, ino_t ino)
{
	struct shmt_seeker *k = (struct shmt_seeker *)arg;
	const shm_topic_sub *s = k->sub;
	shm_topic_header h;
	struct stat st;
	uint8_t id[16];
	int64_t looked = 0;
	int fd;
	(void)ino;
	if (name[0] != 'p' || name[1] != '.' || strlen(name) != 34 || !shmt_unhex(id, name + 2))
		return SHM_TOPIC_OK;
	if (shmt_open(k->error, s->dir, s->dev, name, O_RDONLY, (int64_t)s->uid, s->uid, SHMT_LINKS, SHM_TOPIC_HEADER_SIZE, &fd, &st) != SHM_TOPIC_OK)
		return SHM_TOPIC_OK;
	if (shmt_read_header(k->error, name, fd, (uint64_t)st.st_size, SHM_TOPIC_PUBLISHER, &h) == SHM_TOPIC_OK &&
		memcmp(h.instance, id, 16) == 0 && memcmp(h.topic, s->ring.id, 16) == 0) {
		shmt_maker_of(&k->maker, &h);
		if (shmt_alive(fd, &k->maker, &looked)) {
			k->fd = fd;
			return SHMT_NONE; /* found */
		}
	}
	close(fd);
	return SHM_TOPIC_OK;
}

/* Whether a publisher of the topic lives: one system call while it does, and a
 * scan of the directory otherwise. */
static inline int shm_topic_publisher_alive(shm_topic_sub *s)
{
	struct shmt_seeker k;
	shm_topic_error unused;
	if (s->alive_fd >= 0) {
		if (shmt_alive(s->alive_fd, &s->alive_maker, &s->alive_looked))
			return 1;
		shmt_close(&s->alive_fd);
	}
	k.sub = s;
	k.error = &unused;
	if (shmt_entries(s->dir, shmt_seek_publisher, &k) != SHMT_NONE)
		return 0;
	s->alive_fd = k.fd;
	s->alive_maker = k.maker;
	s->alive_looked = shmt_clock(CLOCK_MONOTONIC);
	return 1;
}

/* On the way to sleep: whether the topic's name is still there, once a second,
 * and whether its publisher lives, if that was asked for. */
static inline int shmt_look_out(shm_topic_sub *s)
{
	int64_t now = shmt_clock(CLOCK_MONOTONIC), every = SHMT_SECOND;
	if (s->owner_gone > 0 && s->owner_gone / 4 < every)
		every = s->owner_gone / 4 > 10 * SHMT_MS ? s->owner_gone / 4 : 10 * SHMT_MS;
	if (s->looked != 0 && now - s->looked < every)
		return SHM_TOPIC_OK;
	s->looked = now;
	if (shmt_named(AT_FDCWD, s->path, s->dev, s->ino) == 0)
		return shmt_fail(&s->error, SHM_TOPIC_EREMOVED, "%s was removed or stands for another topic: subscribe again", s->path);
	if (s->owner_gone <= 0)
		return SHM_TOPIC_OK;
	if (shm_topic_publisher_alive(s)) {
		s->died = 0;
		return SHM_TOPIC_OK;
	}
	if (s->died == 0)
		s->died = now;
	if (now - s->died >= s->owner_gone)
		return shmt_fail(&s->error, SHM_TOPIC_EOWNERDIED, "%s has had no publisher for %lld ms", s->path, (long long)((now - s->died) / SHMT_MS));
	return SHM_TOPIC_OK;
}

/* Whether there is something to wake up for. */
static inline int shmt_ready(const shm_topic_sub *s)
{
	uint64_t end;
	uint64_t head = SHMT_LOAD(&s->ring.hot->head, SHMT_ACQUIRE);
	if (head > s->at || head < s->head)
		return 1;
	end = SHMT_LOAD(&s->ring.hot->end, SHMT_ACQUIRE);
	return end != 0 && end - 1 <= s->at;
}

static int shmt_raise(void *sub, void *unused)
{
	(void)unused;
	SHMT_STORE(&((shm_topic_sub *)sub)->bell->sleepers, 1, SHMT_RELEASE);
	return SHM_TOPIC_OK;
}

enum { SHMT_HASTY = 8, SHMT_HOLD = 128 };

/* Some 10 to 70 ns, in a loop that looks at a word. */
static inline void shmt_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#endif
}

/* Sleeps once, at most ns, and less where nobody can be told; SYNC POINT:
 * sleep, with shmt_wake. The word is loaded before the flag is raised. Who
 * finds work each time just after it raised the flag costs the publisher a
 * system call each time and looks like somebody who scribbles on it, so it
 * holds still for a moment now and then. */
static int shmt_sleep(void *sub, void *left)
{
	shm_topic_sub *s = (shm_topic_sub *)sub;
	int64_t ns = *(int64_t *)left;
	uint32_t word;
	int result;
	if (s->hasty >= SHMT_HASTY) {
		s->hasty = 0;
		sched_yield();
		for (int i = 0; i < SHMT_HOLD; i++) {
			if (shmt_ready(s))
				return SHM_TOPIC_OK;
			shmt_pause();
		}
	}
	word = SHMT_LOAD(&s->ring.hot->wake, SHMT_ACQUIRE);
	if (s->bell && shmt_guarded(s->bell, sizeof *s->bell, shmt_raise, s, NULL) == SHM_TOPIC_OK) {
		shmt_full_fence();
		if (SHMT_LOAD(&s->ring.hot->fencefree, SHMT_ACQUIRE) == 1 && shmt_membarrier() != 0 && ns > SHMT_MS)
			ns = SHMT_MS;
	} else {
		ns = shmt_min((uint64_t)ns, (uint64_t)s->rest);
	}
	if (shmt_ready(s)) {
		s->hasty++;
		return SHM_TOPIC_OK;
	}
	result = shmt_futex_wait((const void *)&s->ring.hot->wake, word, ns);
	s->hasty = result != 0 && errno == EAGAIN ? s->hasty + 1 : 0;
	return result != 0 && errno == EINTR ? SHM_TOPIC_EINTR : SHM_TOPIC_OK;
}

enum { SHMT_SPIN_LOOKS = 2048, SHMT_CREDIT = 4, SHMT_REST = 64 };
/* The first and the longest sleep of who is not woken. */
#define SHMT_POLL_FIRST INT64_C(50000)
#define SHMT_POLL_MOST (10 * SHMT_MS)

/* Looks at the head for a moment, where that has proved to pay. */
static int shmt_linger(void *sub, void *unused)
{
	shm_topic_sub *s = (shm_topic_sub *)sub;
	(void)unused;
	if (s->wait == SHM_TOPIC_ADAPTIVE) {
		if (s->credit <= 0) {
			if (s->credit-- > -SHMT_REST)
				return 0;
			s->credit = 0;
		}
	}
	for (int i = 0; i < SHMT_SPIN_LOOKS; i++) {
		if (SHMT_LOAD(&s->ring.hot->head, SHMT_ACQUIRE) > s->at) {
			s->credit = SHMT_CREDIT;
			return 1;
		}
	}
	if (s->credit > 0)
		s->credit--;
	return 0;
}

static SHMT_COLD int shmt_await(shm_topic_sub *s, shm_topic_sample *m, int64_t timeout)
{
	int64_t deadline = shmt_deadline(timeout), left;
	int result;
	s->rest = SHMT_POLL_FIRST;
	for (unsigned n = 0;; n++) {
		if (s->wait != SHM_TOPIC_SLEEP && shmt_guarded(s->ring.base, s->ring.bytes, shmt_linger, s, NULL) == 1)
			left = 0;
		else
			left = 1;
		result = shmt_try(s, m);
		if (result != SHM_TOPIC_EEMPTY)
			return result;
		if (!left)
			continue;
		if (s->wait == SHM_TOPIC_SPIN && n % 16 != 0)
			continue;
		result = shmt_look_out(s);
		if (result != SHM_TOPIC_OK)
			return result;
		left = shmt_left(deadline, SHMT_BOUND);
		if (left == 0)
			return SHM_TOPIC_ETIMEOUT;
		if (s->wait == SHM_TOPIC_SPIN) {
			sched_yield();
			continue;
		}
		if (s->counters)
			shmt_add(&s->counters->sleeps, 1);
		result = shmt_guarded(s->ring.base, s->ring.bytes, shmt_sleep, s, &left);
		if (result == SHM_TOPIC_EINTR)
			return result;
		if (s->rest < SHMT_POLL_MOST)
			s->rest *= 2;
	}
}

/* Gives the next sample, and waits for it. Its memory stays as it is until
 * shm_topic_release: the publisher's own for an admitted subscriber, a copy
 * otherwise. Beside SHM_TOPIC_ETIMEOUT (EEMPTY where timeout is 0) and EINTR:
 * EEND, the topic has ended and everything was taken; EHELD, as many samples
 * are held as may be; EOWNERDIED and EREMOVED, nobody publishes any more;
 * ECORRUPT, the publisher has written what none writes, and the next call goes
 * on behind it; ETRUNCATED. */
static inline int shm_topic_next(shm_topic_sub *s, shm_topic_sample *m, int64_t timeout)
{
	int result = shmt_try(s, m);
	if (SHMT_LIKELY(result != SHM_TOPIC_EEMPTY) || timeout == 0)
		return result;
	return shmt_await(s, m, timeout);
}

/* Gives a sample back. It must not be touched afterwards. */
static inline void shm_topic_release(shm_topic_sub *s, shm_topic_sample *m)
{
	int place = m->place;
	if (place >= 0) {
		if (s->open && place < SHM_TOPIC_MAX_HELD && s->holds[place] == m->number + 1) {
			SHMT_STORE(&s->own->pins[place], 0, SHMT_RELEASE);
			s->holds[place] = 0;
		}
	} else if (place >= -SHM_TOPIC_MAX_HELD) {
		s->copied[-1 - place] = 0;
	}
	m->data = NULL;
	m->place = INT32_MIN;
}

static int shmt_latest(void *sub, void *sample)
{
	shm_topic_sub *s = (shm_topic_sub *)sub;
	shm_topic_sample *m = (shm_topic_sample *)sample;
	const shm_topic_ring *g = &s->ring;
	int place = shmt_copy_place(s);
	if (place < 0)
		return place;
	for (int tries = 0; tries < 100; tries++) {
		uint64_t head = SHMT_LOAD(&g->hot->head, SHMT_ACQUIRE);
		if (head == 0)
			return SHM_TOPIC_EEMPTY;
		for (uint64_t c = head; c > 0 && head - c < g->slots;) {
			shm_topic_slot *h = shmt_slot(g, --c);
			uint64_t stamp = SHMT_LOAD(&h->stamp, SHMT_ACQUIRE);
			int fits;
			if ((stamp & 3) == SHMT_HOLE && shmt_stamp_number(stamp) == c)
				continue;
			if (!shmt_believe(g, stamp, c))
				break;
			fits = shmt_fill(g, m, h, c);
			if (fits)
				memcpy(s->copies[place], m->data, m->size);
			shmt_load_fence();
			if (SHMT_LOAD(&h->stamp, SHMT_ACQUIRE) != stamp)
				break;
			if (!fits)
				return shmt_too_long(s, c);
			m->data = s->copies[place];
			m->place = -1 - place;
			s->copied[place] = 1;
			return SHM_TOPIC_OK;
		}
	}
	return SHM_TOPIC_EEMPTY;
}

/* Gives a copy of the newest sample, whatever was taken before, and takes
 * nothing. SHM_TOPIC_EEMPTY: there is none, or it is overwritten faster than
 * it can be copied. */
static inline int shm_topic_latest(shm_topic_sub *s, shm_topic_sample *m)
{
	int result;
	if (!s->open)
		return shmt_fail(&s->error, SHM_TOPIC_ECLOSED, "the topic is closed");
	result = shmt_guarded(s->ring.base, s->ring.bytes, shmt_latest, s, m);
	if (result == SHM_TOPIC_ETRUNCATED)
		shmt_error(&s->error, result, "%s/data was cut short", s->path);
	return result;
}

/* The dense sequence of number c, if that is a sample. */
static inline int shmt_sequence(const shm_topic_ring *g, uint64_t c, uint64_t *seq)
{
	shm_topic_slot *h = shmt_slot(g, c);
	uint64_t stamp = SHMT_LOAD(&h->stamp, SHMT_ACQUIRE);
	if (!shmt_believe(g, stamp, c))
		return 0;
	*seq = SHMT_LOAD(&h->seq, SHMT_RELAXED);
	shmt_load_fence();
	return SHMT_LOAD(&h->stamp, SHMT_ACQUIRE) == stamp;
}

/* Finds where to begin. */
static int shmt_start(void *sub, void *options)
{
	shm_topic_sub *s = (shm_topic_sub *)sub;
	int from = *(int *)options;
	uint64_t head = SHMT_LOAD(&s->ring.hot->head, SHMT_ACQUIRE);
	if (head >= SHMT_MAX_NUMBER)
		return shmt_fail(&s->error, SHM_TOPIC_ECORRUPT, "the head is %llu", (unsigned long long)head);
	s->head = head;
	s->at = head;
	if (from == SHM_TOPIC_OLDEST)
		s->at = head - shmt_min(head, s->ring.slots);
	else if (from == SHM_TOPIC_NEWEST)
		s->at = head - shmt_min(head, 1);
	/* What is overwritten from here on, before the first sample is taken, is
	 * lost too. */
	for (uint64_t c = s->at; c < head && !s->seq_known; c++)
		s->seq_known = shmt_sequence(&s->ring, c, &s->next_seq);
	if (s->at == head && head > 0) {
		s->seq_known = shmt_sequence(&s->ring, head - 1, &s->next_seq);
		s->next_seq++;
	}
	if (s->at == 0) {
		s->seq_known = 1;
		s->next_seq = 0;
	}
	return SHM_TOPIC_OK;
}

static inline void shmt_close_sub(shm_topic_sub *s)
{
	s->open = 0;
	if (s->own)
		munmap((uint8_t *)s->own - SHM_TOPIC_HEADER_SIZE, s->own_bytes);
	if (s->bell)
		munmap((uint8_t *)s->bell - SHM_TOPIC_HEADER_SIZE, SHM_TOPIC_BELL_SIZE);
	if (s->ring.base)
		munmap(s->ring.base, s->ring.bytes);
	s->own = NULL;
	s->bell = NULL;
	s->ring.base = NULL;
	s->counters = NULL;
	for (int i = 0; i < SHM_TOPIC_MAX_HELD; i++) {
		free(s->copies[i]);
		s->copies[i] = NULL;
	}
	shmt_close(&s->own_fd); /* and with it goes the lock */
	shmt_close(&s->alive_fd);
	shmt_close(&s->dir);
}

/* Maps the bell, in which nothing is believed; NULL where that may not be. */
static inline shm_topic_bell *shmt_open_bell(int dir, dev_t dev, uid_t uid)
{
	shm_topic_error unused;
	struct stat st;
	uint8_t *at;
	int fd;
	if (shmt_open(&unused, dir, dev, "bell", O_RDWR, (int64_t)uid, uid, SHMT_LINKS, SHM_TOPIC_BELL_SIZE, &fd, &st) != SHM_TOPIC_OK)
		return NULL;
	at = (uint8_t *)shmt_map(fd, SHM_TOPIC_BELL_SIZE, 1);
	close(fd);
	return at ? (shm_topic_bell *)(void *)(at + SHM_TOPIC_HEADER_SIZE) : NULL;
}

static inline int shmt_open_topic(shm_topic_sub *s, const char *name, const shm_topic_open_options *o, int ring)
{
	static const uint8_t no_hash[32] = {0};
	const char *dir = o->dir ? o->dir : "/dev/shm";
	struct stat st;
	int result, sharing, from = o->from;
	memset((void *)s, 0, sizeof *s);
	s->dir = s->own_fd = s->alive_fd = -1;
	s->wait = o->wait == SHM_TOPIC_SLEEP || !shmt_parallel() ? SHM_TOPIC_SLEEP : o->wait;
	s->owner_gone = o->owner_gone;
	if ((result = shmt_check_name(&s->error, name)) != SHM_TOPIC_OK || (result = shmt_path(&s->error, s->path, dir, name)) != SHM_TOPIC_OK)
		return result;
	for (int tries = 0; tries < 100; tries++) {
		if ((result = shmt_open_dir(&s->error, s->path, &s->dir, &st)) != SHM_TOPIC_OK)
			return result;
		s->dev = st.st_dev;
		s->ino = st.st_ino;
		s->uid = st.st_uid;
		sharing = shmt_sharing(st.st_mode);
		if (o->uid && *o->uid != st.st_uid)
			result = shmt_fail(&s->error, SHM_TOPIC_EPERMISSION, "%s belongs to uid %u, not to uid %u", s->path, st.st_uid, *o->uid);
		else if (sharing < 0)
			result = shmt_fail(&s->error, SHM_TOPIC_ECORRUPT, "%s has mode %#o, which no topic has", s->path, (unsigned)(st.st_mode & 07777));
		else
			result = shmt_open_data(&s->error, s->dir, s->dev, s->uid, 0, &s->ring, &st);
		if (result == SHM_TOPIC_OK)
			break;
		if (result == SHM_TOPIC_ENOTFOUND) {
			/* It is being removed, or somebody has removed this file alone. */
			if (shmt_named(AT_FDCWD, s->path, s->dev, s->ino) == 0) {
				shmt_close(&s->dir);
				continue;
			}
			result = shmt_fail(&s->error, SHM_TOPIC_ECORRUPT, "%s: the file data is missing", s->path);
		}
		shmt_close_sub(s);
		return result;
	}
	if (result != SHM_TOPIC_OK)
		return result;
	if (o->type && (strcmp(o->type, s->ring.type) != 0 || memcmp(o->type_hash ? o->type_hash : no_hash, s->ring.type_hash, 32) != 0)) {
		shmt_error(&s->error, SHM_TOPIC_ETYPE, "%s holds \"%s\", asked for was \"%s\", or their hashes differ", s->path, s->ring.type, o->type);
		shmt_close_sub(s);
		return SHM_TOPIC_ETYPE;
	}
	s->block = s->ring.policy == SHM_TOPIC_BLOCK;
	if (ring)
		s->bell = shmt_open_bell(s->dir, s->dev, s->uid);
	result = shmt_guarded(s->ring.base, s->ring.bytes, shmt_start, s, &from);
	if (result != SHM_TOPIC_OK) {
		if (result == SHM_TOPIC_ETRUNCATED)
			shmt_error(&s->error, result, "%s/data was cut short", s->path);
		shmt_close_sub(s);
		return result;
	}
	s->open = 1;
	return SHM_TOPIC_OK;
}

/* Opens a topic for reading without joining it: nothing is written anywhere
 * (unless o->ring), any number may do it, and the publisher cannot tell.
 * Samples are copies; what is overwritten before it is copied is lost, and
 * told. It polls, with sleeps that grow to 10 ms; with o->ring it is woken, if
 * this user may ring the bell. Errors: SHM_TOPIC_ENOTFOUND, _EPERMISSION,
 * _ECORRUPT, _EVERSION, _ETYPE, _EINVALID and those of the system. */
static inline int shm_topic_observe(shm_topic_sub *s, const char *name, const shm_topic_open_options *o)
{
	static const shm_topic_open_options defaults = {NULL, 0, 0, 0, 0, NULL, NULL, NULL};
	int result;
	if (!o)
		o = &defaults;
	result = shmt_open_topic(s, name, o, o->ring);
	s->observer = 1;
	return result;
}

static inline int shmt_join(shm_topic_sub *s)
{
	uint64_t size = shmt_member_size(s->ring.held);
	struct shmt_draft d;
	shm_topic_header *h;
	uint8_t *at;
	char name[40];
	int sharing;
	mode_t mode;
	struct stat st;
	if (shmt_random(s->id) != 0 || shmt_draft_new(&d, s->dir, size) != 0)
		return -1;
	at = (uint8_t *)shmt_map(d.fd, size, 1);
	if (!at) {
		shmt_draft_discard(&d);
		errno = ENOMEM;
		return -1;
	}
	h = (shm_topic_header *)(void *)at;
	shmt_header(h, SHM_TOPIC_SUBSCRIBER, size, s->id, s->ring.id);
	s->own = (shm_topic_member *)(void *)(at + SHM_TOPIC_HEADER_SIZE);
	s->own_bytes = size;
	SHMT_STORE(&s->own->cursor, s->at, SHMT_RELAXED);
	SHMT_STORE(&s->own->ask, 1, SHMT_RELAXED);
	/* Registered with membarrier, we leave a fence to a publisher that waits. */
	s->fencefree = s->block && shmt_membarrier_register();
	SHMT_STORE(&s->own->fencefree, s->fencefree ? 1u : 0u, SHMT_RELAXED);
	SHMT_STORE(&h->ready, SHM_TOPIC_READY, SHMT_RELEASE);
	memcpy(name, "r.", 2);
	shmt_hex(name + 2, s->id);
	sharing = fstat(s->dir, &st) == 0 ? shmt_sharing(st.st_mode) : -1;
	mode = sharing >= 0 ? shmt_modes((uint32_t)sharing)->id : 0400;
	if (geteuid() != s->uid)
		mode |= 044; /* root in somebody else's topic: its publisher has to read it */
	s->own_fd = shmt_draft_publish(&d, name, mode, 1);
	if (s->own_fd < 0) {
		int err = errno;
		munmap(at, size);
		s->own = NULL;
		errno = err;
		return -1;
	}
	s->counters = (shm_topic_member_counters *)(void *)(at + shmt_member_counters(s->ring.held));
	s->asked = 1;
	return 0;
}

/* Joins a topic. Until its publisher has answered (shm_topic_admitted), samples
 * are copies and may be lost; then they are its own memory, and under
 * SHM_TOPIC_BLOCK all of them. Errors as of shm_topic_observe; where this user
 * may only observe, SHM_TOPIC_EPERMISSION. */
static inline int shm_topic_subscribe(shm_topic_sub *s, const char *name, const shm_topic_open_options *o)
{
	static const shm_topic_open_options defaults = {NULL, 0, 0, 0, 0, NULL, NULL, NULL};
	for (int opens = 0;; opens++) {
		int result = shmt_open_topic(s, name, o ? o : &defaults, 1), err = 0;
		if (result != SHM_TOPIC_OK)
			return result;
		for (int tries = 0; tries < 100; tries++) {
			err = shmt_join(s) == 0 ? 0 : errno;
			/* Who removes a topic renames it and then looks for subscribers;
			 * we have our file, and then look at the name. SYNC POINT: prune. */
			if (shmt_named(AT_FDCWD, s->path, s->dev, s->ino) == 0)
				err = ESTALE;
			if (err != ENOENT)
				break; /* else our temporary file was swept away */
		}
		if (err == 0)
			break;
		if (err == ESTALE && opens < 100) {
			shmt_close_sub(s); /* there is another one by now, or none */
			continue;
		}
		if (err == EACCES || err == EPERM)
			result = shmt_fail(&s->error, SHM_TOPIC_EPERMISSION, "%s may not be joined by this user: observe it, or ask uid %u, its owner", s->path, s->uid);
		else
			result = shmt_system(&s->error, "joining", s->path, err);
		shmt_close_sub(s);
		return result;
	}
	shmt_ring(s);
	return SHM_TOPIC_OK;
}

static int shmt_ask_admitted(void *sub, void *unused)
{
	(void)unused;
	return shmt_admitted((shm_topic_sub *)sub, UINT64_MAX);
}

/* Whether the publisher has answered, and from which number on its promises
 * hold. A publisher that neither publishes nor polls answers nobody. */
static inline int shm_topic_admitted(shm_topic_sub *s, uint64_t *from)
{
	if (!s->open || shmt_guarded(s->ring.base, s->ring.bytes, shmt_ask_admitted, s, NULL) != 1)
		return 0;
	if (from)
		*from = s->from;
	return 1;
}

/* Waits for that. SHM_TOPIC_ETIMEOUT: no answer yet; its text says why. */
static inline int shm_topic_wait_admitted(shm_topic_sub *s, int64_t timeout)
{
	int64_t deadline = shmt_deadline(timeout), pause = 100000, left;
	uint32_t taken = 0;
	if (!s->open || s->observer)
		return shmt_fail(&s->error, SHM_TOPIC_EINVALID, "observers are never admitted");
	while (!shm_topic_admitted(s, NULL)) {
		if ((left = shmt_left(deadline, pause)) == 0) {
			if (!shm_topic_publisher_alive(s))
				return shmt_fail(&s->error, SHM_TOPIC_ETIMEOUT, "%s has no publisher that could admit this subscriber", s->path);
			for (uint32_t i = 0; i < s->ring.subscribers; i++)
				taken += (SHMT_LOAD(&s->ring.table[i].state, SHMT_ACQUIRE) & 3) != SHMT_FREE;
			return taken == s->ring.subscribers ? shmt_fail(&s->error, SHM_TOPIC_ETIMEOUT, "%s: all %u places for subscribers are taken", s->path, taken)
				: shmt_fail(&s->error, SHM_TOPIC_ETIMEOUT, "%s: the publisher has not answered yet: an idle one has to poll", s->path);
		}
		shmt_nap(left);
		if (pause < 5 * SHMT_MS)
			pause *= 2;
	}
	return SHM_TOPIC_OK;
}

/* Leaves the topic. SHM_TOPIC_EBUSY, and nothing is closed, while samples of
 * the publisher's memory are held. Copies that are out are freed. */
static inline int shm_topic_leave(shm_topic_sub *s)
{
	int held = 0;
	if (!s->open)
		return SHM_TOPIC_OK;
	for (uint32_t i = 0; i < s->ring.held; i++)
		held += s->holds[i] != 0;
	if (held)
		return shmt_fail(&s->error, SHM_TOPIC_EBUSY, "%d samples are held: release them first", held);
	if (s->own) {
		/* So that the publisher can tell leaving from dying. The file stays:
		 * it is the publisher that removes it, after the entry is free. */
		SHMT_STORE(&s->own->ask, 0, SHMT_RELEASE);
		munmap((uint8_t *)s->own - SHM_TOPIC_HEADER_SIZE, s->own_bytes);
		s->own = NULL;
		shmt_close(&s->own_fd);
		shmt_ring(s);
	}
	shmt_close_sub(s);
	return SHM_TOPIC_OK;
}

/* -------------------------------------------------------------- publishing */

static inline void shmt_set_floor(shm_topic_pub *p)
{
	p->floor = UINT64_MAX;
	p->free = 0;
	for (size_t i = 0; i < p->reader_count; i++) {
		if (p->readers[i]->admitted)
			p->floor = shmt_min(p->floor, p->readers[i]->cursor);
	}
}

/* Changes the kind of an entry, and with it the generation. */
static inline void shmt_set_state(shm_topic_pub *p, int index, uint64_t kind)
{
	shm_topic_entry *e = &p->ring.table[index];
	uint64_t state = SHMT_LOAD(&e->state, SHMT_RELAXED);
	SHMT_STORE(&e->state, ((state >> 2) + 1) << 2 | kind, SHMT_RELEASE);
}

/* Counts a pin (1 + a number, or 0) in or out. */
static inline void shmt_block(shm_topic_pub *p, uint64_t pin, int by)
{
	if (pin)
		p->blocked[(pin - 1) & p->ring.mask] += by;
}

static inline int shmt_holds(const shm_topic_pub *p, const shm_topic_reader *r)
{
	for (uint32_t i = 0; i < p->ring.held; i++) {
		if (r->pins[i])
			return 1;
	}
	return 0;
}

struct shmt_look {
	shm_topic_pub *pub;
	shm_topic_reader *reader;
	int taking;
};

/* Reads a subscriber's words again: cursor first, then pins, so that what is
 * taken meanwhile is in one of the two. SYNC POINT: pin, with shmt_take.
 *
 * taking: it may have taken something since the last look, for it is admitted
 * or this is the last look when it is demoted. Any other new pin holds nothing:
 * if it counted, whoever moves pins along in front of us would keep us from
 * ever finding a slot. */
static int shmt_look_now(void *look, void *unused)
{
	struct shmt_look *l = (struct shmt_look *)look;
	shm_topic_pub *p = l->pub;
	shm_topic_reader *r = l->reader;
	uint64_t before = r->cursor, c = SHMT_LOAD(&r->file->cursor, SHMT_ACQUIRE);
	(void)unused;
	if (c > r->cursor)
		r->cursor = shmt_max(r->cursor, shmt_min(c, p->shown));
	for (uint32_t i = 0; i < p->ring.held; i++) {
		uint64_t v = SHMT_LOAD(&r->file->pins[i], SHMT_ACQUIRE);
		if (v == r->pins[i])
			continue;
		if (v != 0 && (!l->taking || v - 1 < before || v - 1 >= p->shown))
			v = 0;
		shmt_block(p, r->pins[i], -1);
		r->pins[i] = v;
		shmt_block(p, v, 1);
	}
	return SHM_TOPIC_OK;
}

/* 0 when its owner has cut its file short. */
static inline int shmt_look(shm_topic_pub *p, shm_topic_reader *r, int taking)
{
	struct shmt_look l;
	l.pub = p;
	l.reader = r;
	l.taking = taking;
	return shmt_guarded((uint8_t *)r->file - SHM_TOPIC_HEADER_SIZE, r->bytes, shmt_look_now, &l, NULL) == SHM_TOPIC_OK;
}

/* Drops a subscriber that is dead or whose file cannot be read. */
static inline void shmt_evict(shm_topic_pub *p, shm_topic_reader *r)
{
	for (uint32_t i = 0; i < p->ring.held; i++) {
		shmt_block(p, r->pins[i], -1);
		r->pins[i] = 0;
	}
	r->admitted = 0;
	if (r->index < 0)
		return;
	shmt_set_state(p, r->index, SHMT_FREE);
	r->index = -1;
	shmt_set_floor(p);
	shmt_add(&p->ring.hot->evicted, 1);
}

/* Revokes a subscriber's cursor, never its pins: it pins, fences and looks at
 * its state; we set the state, fence and look at its pins. */
static SHMT_COLD void shmt_demote(shm_topic_pub *p, shm_topic_reader *r)
{
	shmt_set_state(p, r->index, SHMT_DEMOTED);
	r->admitted = 0;
	shmt_full_fence();
	if (!shmt_look(p, r, 1)) {
		shmt_evict(p, r);
		return;
	}
	shmt_set_floor(p);
	shmt_add(&p->ring.hot->demoted, 1);
}

/* The place of a subscriber that was demoted and holds nothing, for another. */
static inline int shmt_reclaim(shm_topic_pub *p)
{
	for (size_t i = 0; i < p->reader_count; i++) {
		shm_topic_reader *r = p->readers[i];
		int index = r->index;
		if (index < 0 || r->admitted || !shmt_look(p, r, 0) || shmt_holds(p, r))
			continue;
		shmt_set_state(p, index, SHMT_FREE);
		r->index = -1;
		r->answered = 0;
		return index;
	}
	return -1;
}

static inline int shmt_free_entry(shm_topic_pub *p)
{
	for (uint32_t i = 0; i < p->ring.subscribers; i++) {
		int taken = (SHMT_LOAD(&p->ring.table[i].state, SHMT_RELAXED) & 3) != SHMT_FREE;
		for (size_t k = 0; k < p->reader_count && !taken; k++)
			taken = p->readers[k]->index == (int)i;
		if (!taken)
			return (int)i;
	}
	return shmt_reclaim(p);
}

/* Answers a subscriber that asked: from a number on, what it pins is not
 * overwritten, and what it has not taken is waited for, or it is demoted
 * first. */
static inline int shmt_admit(shm_topic_pub *p, shm_topic_reader *r)
{
	shm_topic_entry *e;
	uint64_t from, lent = shmt_max(p->next, p->busy);
	/* No pin is new here: who was never admitted holds nothing. And what it
	 * has held since before it was demoted, it lets go of first. */
	if (!shmt_look(p, r, 0) || shmt_holds(p, r))
		return 0;
	if (r->index < 0 && (r->index = shmt_free_entry(p)) < 0)
		return 0;
	from = r->cursor;
	if (lent > p->ring.slots)
		from = shmt_max(from, lent - p->ring.slots);
	r->cursor = from;
	e = &p->ring.table[r->index];
	shmt_set_state(p, r->index, SHMT_FREE);
	shmt_store_fence();
	memcpy(e->id, r->id, 16);
	SHMT_STORE(&e->from, from, SHMT_RELAXED);
	shmt_set_state(p, r->index, SHMT_ADMITTED);
	r->admitted = 1;
	shmt_set_floor(p);
	return 1;
}

static inline int shmt_reader_alive(shm_topic_reader *r) { return shmt_alive(r->fd, &r->maker, &r->looked); }

static inline void shmt_forget(shm_topic_reader *r)
{
	munmap((uint8_t *)r->file - SHM_TOPIC_HEADER_SIZE, r->bytes);
	close(r->fd);
	free(r);
}

/* Removes the file of a subscriber that is dead and has no entry. */
static inline void shmt_bury(shm_topic_pub *p, shm_topic_reader *r)
{
	char name[40] = "r.";
	shmt_hex(name + 2, r->id);
	if (shmt_named(p->dir, name, r->dev, r->ino) == 1)
		unlinkat(p->dir, name, 0);
	shmt_forget(r);
	if (p->refused)
		memset(p->refused, 0, sizeof(uint64_t) * 4096); /* there may be room now */
}

/* Opens, checks and maps r.ID. */
static inline int shmt_open_reader(shm_topic_error *e, shm_topic_pub *p, const char *name, const uint8_t id[16], shm_topic_reader **found)
{
	uint64_t size = shmt_member_size(p->ring.held);
	shm_topic_header h;
	shm_topic_reader *r;
	struct stat st;
	uint8_t *at;
	int fd, result;
	result = shmt_open(e, p->dir, p->dev, name, O_RDONLY, -1, p->uid, 0, size, &fd, &st);
	if (result != SHM_TOPIC_OK)
		return result;
	result = shmt_read_header(e, name, fd, (uint64_t)st.st_size, SHM_TOPIC_SUBSCRIBER, &h);
	if (result == SHM_TOPIC_OK) {
		if (memcmp(h.instance, id, 16) != 0)
			result = shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s says that it is another", name);
		else if (memcmp(h.topic, p->ring.id, 16) != 0)
			result = shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s belongs to another topic", name);
		else if (h.size < size)
			result = shmt_fail(e, SHM_TOPIC_ECORRUPT, "%s says that it has %llu bytes, %llu are needed", name, (unsigned long long)h.size, (unsigned long long)size);
	}
	r = result == SHM_TOPIC_OK ? (shm_topic_reader *)calloc(1, sizeof *r) : NULL;
	at = r ? (uint8_t *)shmt_map(fd, size, 0) : NULL;
	if (!at) {
		free(r);
		close(fd);
		return result == SHM_TOPIC_OK ? shmt_system(e, "mapping", name, ENOMEM) : result;
	}
	memcpy(r->id, id, 16);
	r->file = (shm_topic_member *)(void *)(at + SHM_TOPIC_HEADER_SIZE);
	r->bytes = size;
	r->fd = fd;
	r->index = -1;
	r->uid = st.st_uid;
	r->dev = st.st_dev;
	r->ino = st.st_ino;
	shmt_maker_of(&r->maker, &h);
	r->moved = shmt_clock(CLOCK_MONOTONIC);
	*found = r;
	return SHM_TOPIC_OK;
}

static inline int shmt_keep(shm_topic_pub *p, shm_topic_reader *r)
{
	if (p->reader_count == p->reader_room) {
		size_t room = p->reader_room ? 2 * p->reader_room : 16;
		shm_topic_reader **more = (shm_topic_reader **)realloc((void *)p->readers, room * sizeof *more);
		if (!more)
			return 0;
		p->readers = more;
		p->reader_room = room;
	}
	p->readers[p->reader_count++] = r;
	return 1;
}

struct shmt_scan {
	shm_topic_pub *pub;
	int entries, dead;
};

/* Meets one entry of the directory. No more than 16384 are looked at, and no
 * more than M + 8 files of one user are kept open: anybody who may subscribe
 * can make any number. */
static int shmt_see(void *scan, const char *name, ino_t ino)
{
	struct shmt_scan *k = (struct shmt_scan *)scan;
	shm_topic_pub *p = k->pub;
	shm_topic_reader *r;
	shm_topic_error unused;
	struct stat st;
	uint64_t mark, *slot;
	uint32_t mine = 0;
	uint8_t id[16];
	int result;
	if (++k->entries > 1 << 14)
		return SHMT_NONE;
	if (name[0] != 'r' || name[1] != '.' || strlen(name) != 34 || !shmt_unhex(id, name + 2))
		return SHM_TOPIC_OK;
	for (size_t i = 0; i < p->reader_count; i++) {
		/* IDs are never used again: one of another file takes its name. */
		if (memcmp(p->readers[i]->id, id, 16) == 0)
			return SHM_TOPIC_OK;
	}
	memcpy(&mark, id, 8);
	mark = (mark ^ (uint64_t)ino * UINT64_C(0x9e3779b97f4a7c15)) | 1;
	slot = &p->refused[mark >> 52];
	if (*slot == mark)
		return SHM_TOPIC_OK;
	if (fstatat(p->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return SHM_TOPIC_OK; /* it has just left */
	for (size_t i = 0; i < p->reader_count; i++)
		mine += p->readers[i]->uid == st.st_uid;
	if (mine >= p->ring.subscribers + 8) {
		*slot = mark;
		return SHM_TOPIC_OK;
	}
	result = shmt_open_reader(&unused, p, name, id, &r);
	if (result == SHM_TOPIC_ECORRUPT || result == SHM_TOPIC_EVERSION || result == SHM_TOPIC_EPERMISSION || result == SHM_TOPIC_ETRUNCATED)
		*slot = mark;
	if (result != SHM_TOPIC_OK)
		return SHM_TOPIC_OK;
	if (!shmt_reader_alive(r)) {
		shmt_bury(p, r);
		k->dead = 1;
	} else if (!shmt_keep(p, r)) {
		shmt_forget(r);
	}
	return SHM_TOPIC_OK;
}

static int shmt_read_ask(void *reader, void *ask)
{
	*(uint64_t *)ask = SHMT_LOAD(&((shm_topic_reader *)reader)->file->ask, SHMT_ACQUIRE);
	return SHM_TOPIC_OK;
}

static inline uint64_t shmt_ask_of(shm_topic_reader *r)
{
	uint64_t ask = 0;
	return shmt_guarded((uint8_t *)r->file - SHM_TOPIC_HEADER_SIZE, r->bytes, shmt_read_ask, r, &ask) == SHM_TOPIC_OK ? ask : 0;
}

static int shmt_read_news(void *pub, void *unused)
{
	shm_topic_pub *p = (shm_topic_pub *)pub;
	(void)unused;
	p->heard = SHMT_LOAD(&p->bell->news, SHMT_ACQUIRE);
	return SHM_TOPIC_OK;
}

static inline int shmt_fenced(shm_topic_pub *p)
{
	return shmt_fail(&p->error, SHM_TOPIC_EFENCED, "%s: another publisher has taken the topic over", p->path);
}

/* Housekeeping: when the bell has news, at most every 100 ms, and every second
 * in any case. Who is dead is dropped, who is new is met, who asks is
 * answered, and the names are looked at. */
static SHMT_COLD int shmt_housekeep(shm_topic_pub *p, int force)
{
	int64_t now = shmt_clock(CLOCK_MONOTONIC), since = now - p->looked;
	struct shmt_scan scan;
	size_t kept = 0;
	char own[40] = "p.";
	if (SHMT_LOAD(&p->ring.hot->epoch, SHMT_ACQUIRE) != p->epoch)
		return shmt_fenced(p);
	if (p->bell)
		shmt_guarded(p->bell, sizeof *p->bell, shmt_read_news, p, NULL);
	if (!force && since < SHMT_SECOND && (p->heard == p->news || since < 100 * SHMT_MS))
		return SHM_TOPIC_OK;
	p->looked = now;
	p->news = p->heard;
	shmt_add(&p->ring.hot->housekeepings, 1);
	SHMT_STORE(&p->ring.hot->wakes, p->base_wakes + p->wakes, SHMT_RELAXED);
	SHMT_STORE(&p->ring.hot->alive, (uint64_t)shmt_clock(CLOCK_REALTIME), SHMT_RELEASE);
	shmt_hex(own + 2, p->id);
	if (shmt_named(AT_FDCWD, p->path, p->dev, p->ino) == 0 || shmt_named(p->dir, "data", p->dev, p->data_ino) == 0 || shmt_named(p->dir, own, p->dev, p->own_ino) == 0)
		return shmt_fail(&p->error, SHM_TOPIC_EREMOVED, "%s or a file in it was removed or replaced: create the topic anew", p->path);
	for (size_t i = 0; i < p->reader_count; i++) {
		shm_topic_reader *r = p->readers[i];
		/* The lock decides, not the name: who removes the file of a living
		 * subscriber does not make what it holds free. */
		if (shmt_reader_alive(r)) {
			p->readers[kept++] = r;
			continue;
		}
		shmt_evict(p, r);
		r->defunct = 1;
		shmt_bury(p, r);
	}
	p->reader_count = kept;
	for (int scans = 0; scans < 16; scans++) {
		scan.pub = p;
		scan.entries = scan.dead = 0;
		if (shmt_entries(p->dir, shmt_see, &scan) == SHM_TOPIC_ESYSTEM)
			return shmt_system(&p->error, "looking at", p->path, errno);
		if (!scan.dead)
			break; /* else files of the dead may have kept others out */
	}
	for (size_t i = 0; i < p->reader_count; i++) {
		shm_topic_reader *r = p->readers[i];
		uint64_t ask;
		if (r->admitted || (ask = shmt_ask_of(r)) == 0 || ask == r->answered)
			continue;
		if (shmt_admit(p, r))
			r->answered = ask;
	}
	shmt_set_floor(p);
	return SHM_TOPIC_OK;
}

/* Wakes everybody who sleeps, whatever the bell says. */
static inline long shmt_wake_all(shm_topic_pub *p)
{
	shm_topic_u32 *word = &p->ring.hot->wake;
	SHMT_STORE(word, SHMT_LOAD(word, SHMT_RELAXED) + 1, SHMT_RELEASE);
	return shmt_futex_wake((const void *)word, INT32_MAX);
}

/* Who sleeps? SYNC POINT: sleep, with shmt_sleep: the head, then a full fence
 * (ours, or membarrier's), then the flag. The flag goes down before the word
 * changes: who raises it in between does not fall asleep. A flag that is up
 * again and again though nobody sleeps is looked at more rarely. */
static int shmt_look_at_bell(void *pub, void *unused)
{
	shm_topic_pub *p = (shm_topic_pub *)pub;
	(void)unused;
	p->heard = SHMT_LOAD(&p->bell->news, SHMT_ACQUIRE);
	if (SHMT_UNLIKELY(p->bell_rest > 0) && --p->bell_rest % 16 != 0)
		return SHM_TOPIC_OK;
	if (SHMT_LIKELY(SHMT_LOAD(&p->bell->sleepers, SHMT_ACQUIRE) == 0)) {
		p->bell_streak = 0;
		return SHM_TOPIC_OK;
	}
	(void)SHMT_SWAP(&p->bell->sleepers, 0);
	p->wakes++;
	if (shmt_wake_all(p) > 0) {
		p->bell_streak = p->bell_rest = 0;
	} else if (p->bell_rest <= 0) {
		int64_t now = shmt_clock(CLOCK_MONOTONIC);
		if (p->bell_streak++ == 0)
			p->bell_since = now;
		if (p->bell_streak >= 64) {
			if (now - p->bell_since < 64 * INT64_C(50000))
				p->bell_rest = 1024;
			p->bell_streak = 0;
		}
	}
	return SHM_TOPIC_OK;
}

/* Moves the head behind the last sample that is stamped, and wakes. Holes made
 * after it are not shown: the newest number is always a sample. */
static inline void shmt_show(shm_topic_pub *p)
{
	p->shown = p->last;
	SHMT_STORE(&p->ring.hot->head, p->last, SHMT_RELEASE);
	if (SHMT_UNLIKELY(!p->bell))
		return;
	if (!p->fencefree)
		shmt_full_fence();
	else
		SHMT_SIGNAL_FENCE();
	if (SHMT_UNLIKELY(shmt_guarded(p->bell, sizeof *p->bell, shmt_look_at_bell, p, NULL) != SHM_TOPIC_OK)) {
		munmap((uint8_t *)p->bell - SHM_TOPIC_HEADER_SIZE, SHM_TOPIC_BELL_SIZE);
		p->bell = NULL; /* cut short: sleepers look by themselves from now on */
		p->heard = p->news;
	}
	if (SHMT_UNLIKELY(p->heard != p->news))
		p->free = 0;
}

/* Block: whether number n can be lent, by what was seen last. Else need is
 * where every cursor has to be. Holes are made only where a slot to be used
 * lies behind them, and who has taken all that was shown is in nobody's way. */
static inline int shmt_room(const shm_topic_pub *p, uint64_t n, uint64_t *need)
{
	uint64_t slots = p->ring.slots;
	for (uint64_t q = n;; q++) {
		if (q >= slots && q - slots >= p->floor && p->floor < p->shown) {
			*need = shmt_min(q - slots + 1, p->shown);
			return 0;
		}
		if (p->blocked[q & p->ring.mask] == 0)
			return 1;
	}
}

/* Looks again at who stands in the way of number n, and gives the one that is
 * furthest behind; NULL when nobody does. */
static inline shm_topic_reader *shmt_look_behind(shm_topic_pub *p, uint64_t n, uint64_t *need)
{
	shm_topic_reader *behind = NULL;
	if (shmt_room(p, n, need))
		return NULL;
	for (size_t i = 0; i < p->reader_count; i++) {
		shm_topic_reader *r = p->readers[i];
		uint64_t before = r->cursor;
		if (r->index < 0 || ((!r->admitted || r->cursor >= *need) && !shmt_holds(p, r)))
			continue;
		if (!shmt_look(p, r, r->admitted)) {
			shmt_evict(p, r);
			continue;
		}
		if (r->cursor != before)
			r->moved = shmt_clock(CLOCK_MONOTONIC);
	}
	shmt_set_floor(p);
	if (shmt_room(p, n, need))
		return NULL;
	for (size_t i = 0; i < p->reader_count; i++) {
		shm_topic_reader *r = p->readers[i];
		if (r->admitted && r->cursor < *need && (!behind || r->cursor < behind->cursor))
			behind = r;
	}
	return behind;
}

struct shmt_doze {
	shm_topic_pub *pub;
	shm_topic_reader *reader;
	uint64_t need;
	int64_t ns;
};

/* Sleeps on the subscriber's own cursor, whose every store by the protocol
 * wakes us when it passes want. SYNC POINT: want, with shmt_step. */
static int shmt_sleep_for_room(void *nap, void *unused)
{
	struct shmt_doze *k = (struct shmt_doze *)nap;
	shm_topic_reader *r = k->reader;
	uint64_t c;
	(void)unused;
	if (SHMT_LOAD(&r->file->fencefree, SHMT_ACQUIRE) == 1 && shmt_membarrier() != 0 && k->ns > SHMT_MS)
		k->ns = SHMT_MS;
	c = SHMT_LOAD(&r->file->cursor, SHMT_ACQUIRE);
	if (c >= k->need)
		return SHM_TOPIC_OK;
	return shmt_futex_wait((const void *)&r->file->cursor, (uint32_t)c, k->ns) != 0 && errno == EINTR ? SHM_TOPIC_EINTR : SHM_TOPIC_OK;
}

/* Waits until there is room for number n: dead subscribers do not count, and
 * laggards are demoted when the patience ends. */
static SHMT_COLD int shmt_wait_for_room(shm_topic_pub *p, uint64_t n, int64_t deadline, int wait)
{
	int began = 0, result;
	for (;;) {
		shm_topic_reader *behind;
		struct shmt_doze nap;
		uint64_t need = 0;
		int64_t now, left;
		int changed = 0;
		result = shmt_housekeep(p, 0);
		if (result != SHM_TOPIC_OK) {
			if (result != SHM_TOPIC_EFENCED)
				SHMT_STORE(&p->ring.hot->want, 0, SHMT_RELEASE);
			return result;
		}
		behind = shmt_look_behind(p, n, &need);
		if (!behind) {
			SHMT_STORE(&p->ring.hot->want, 0, SHMT_RELEASE);
			return SHM_TOPIC_OK;
		}
		now = shmt_clock(CLOCK_MONOTONIC);
		for (size_t i = 0; i < p->reader_count; i++) {
			shm_topic_reader *r = p->readers[i];
			if (!began)
				r->moved = now;
			if (!r->admitted || r->cursor >= need)
				continue;
			if (!shmt_reader_alive(r)) {
				shmt_evict(p, r);
				changed = 1;
			} else if (wait && p->ring.patience >= 0 && now - r->moved > p->ring.patience) {
				shmt_demote(p, r);
				changed = 1;
			}
		}
		if (changed) {
			began = 1;
			continue;
		}
		if (!wait)
			return SHM_TOPIC_EFULL;
		if (!began)
			shmt_add(&p->ring.hot->waits, 1);
		began = 1;
		left = shmt_left(deadline, SHMT_BOUND);
		if (left == 0) {
			SHMT_STORE(&p->ring.hot->want, 0, SHMT_RELEASE);
			return SHM_TOPIC_ETIMEOUT;
		}
		if (p->ring.patience >= 0 && left > p->ring.patience / 4)
			left = p->ring.patience / 4 > SHMT_MS ? p->ring.patience / 4 : SHMT_MS;
		/* A quarter more than is needed, so that steady back-pressure does
		 * not cost a wake-up a sample. */
		SHMT_STORE(&p->ring.hot->want, 1 + shmt_min(need + p->ring.slots / 4, p->shown), SHMT_RELEASE);
		shmt_full_fence();
		nap.pub = p;
		nap.reader = behind;
		nap.need = need;
		nap.ns = left;
		if (shmt_guarded((uint8_t *)behind->file - SHM_TOPIC_HEADER_SIZE, behind->bytes, shmt_sleep_for_room, &nap, NULL) == SHM_TOPIC_EINTR) {
			SHMT_STORE(&p->ring.hot->want, 0, SHMT_RELEASE);
			return SHM_TOPIC_EINTR;
		}
	}
}

/* Makes the slot of number n busy. */
static inline void shmt_claim(shm_topic_pub *p, shm_topic_slot *h, uint64_t n)
{
	p->busy = shmt_max(p->busy, n + 1);
	SHMT_STORE(&h->stamp, shmt_stamp(p->epoch, n, SHMT_BUSY), SHMT_RELEASE);
	if (SHMT_UNLIKELY(p->ring.capacity >= SHMT_NON_TEMPORAL))
		shmt_store_fence_nt();
	else
		shmt_store_fence();
}

/* Looks at every subscriber that number n concerns: those whose sample n - N
 * may still be taken, and those with a pin in its slot. */
static inline void shmt_look_all(shm_topic_pub *p, uint64_t n)
{
	uint64_t slots = p->ring.slots, mask = p->ring.mask;
	for (size_t i = 0; i < p->reader_count; i++) {
		shm_topic_reader *r = p->readers[i];
		int concerned = r->admitted && n >= slots && n - slots >= r->cursor;
		for (uint32_t k = 0; k < p->ring.held && !concerned; k++)
			concerned = r->pins[k] != 0 && ((r->pins[k] - 1) & mask) == (n & mask);
		if (r->index < 0 || !concerned)
			continue;
		if (!shmt_look(p, r, r->admitted))
			shmt_evict(p, r);
	}
	shmt_set_floor(p);
}

/* Finds the slot of the next number and makes it busy, whatever is in the
 * way. */
static SHMT_COLD int shmt_prepare(shm_topic_pub *p, int64_t timeout)
{
	const uint64_t slots = p->ring.slots;
	int64_t deadline = shmt_deadline(timeout);
	for (;;) {
		uint64_t need, n = p->next;
		shm_topic_slot *h;
		int result;
		if (SHMT_LOAD(&p->ring.hot->epoch, SHMT_ACQUIRE) != p->epoch)
			return shmt_fenced(p);
		if (n % 1024 == 0 || p->heard != p->news || p->slow) {
			result = shmt_housekeep(p, 0);
			if (result != SHM_TOPIC_OK)
				return result;
			p->slow = 0;
		}
		if (n > SHMT_MAX_NUMBER - 1)
			return shmt_fail(&p->error, SHM_TOPIC_ESPACE, "all numbers are used");
		if (n - p->shown >= slots / 2 && p->last > p->shown)
			shmt_show(p); /* a batch must not come round to itself */
		if (p->ring.policy == SHM_TOPIC_BLOCK && !shmt_room(p, n, &need)) {
			if (p->last > p->shown)
				shmt_show(p); /* somebody must take it before there is room */
			result = shmt_wait_for_room(p, n, deadline, timeout != 0);
			if (result != SHM_TOPIC_OK)
				return result;
			continue;
		}
		h = shmt_slot(&p->ring, n);
		shmt_claim(p, h, n);
		if (p->blocked[n & p->ring.mask] != 0 || (n >= slots && n - slots >= p->floor)) {
			/* Somebody may hold what stands here, or take it just now. SYNC
			 * POINT: pin, with shmt_take. */
			shmt_full_fence();
			shmt_look_all(p, n);
			if (n >= slots && n - slots >= p->floor) {
				for (size_t i = 0; i < p->reader_count; i++) {
					shm_topic_reader *r = p->readers[i];
					if (r->admitted && r->cursor <= n - slots && r->cursor < p->shown)
						shmt_demote(p, r);
				}
			}
			if (p->blocked[n & p->ring.mask] != 0) {
				SHMT_STORE(&h->stamp, shmt_stamp(p->epoch, n, SHMT_HOLE), SHMT_RELEASE);
				shmt_add(&p->ring.hot->holes, 1);
				p->next++;
				continue;
			}
		}
		/* Up to here nothing has to be looked at but the pins. */
		p->free = p->heard != p->news ? 0 : shmt_min((n / 1024 + 1) * 1024, SHMT_MAX_NUMBER);
		if (p->floor < SHMT_MAX_NUMBER)
			p->free = shmt_min(p->free, p->floor + slots);
		return SHM_TOPIC_OK;
	}
}

/* Lends memory for a sample of size bytes; it holds whatever stood there. Under
 * SHM_TOPIC_BLOCK it waits until no admitted subscriber still wants what stands
 * there; SHM_TOPIC_EFULL where timeout is 0, _ETIMEOUT otherwise. One loan can
 * be out at a time. Other errors: EBUSY, a loan is out; ETOOLONG; EFENCED,
 * another publisher has taken over; EREMOVED. */
static inline int shm_topic_lend(shm_topic_pub *p, size_t size, int64_t timeout, shm_topic_loan *l)
{
	uint64_t n = p->next;
	if (SHMT_UNLIKELY(!p->open))
		return shmt_fail(&p->error, SHM_TOPIC_ECLOSED, "the topic is closed");
	if (SHMT_UNLIKELY(p->out))
		return shmt_fail(&p->error, SHM_TOPIC_EBUSY, "a loan is out: publish or discard it first");
	if (SHMT_UNLIKELY(size > p->ring.capacity))
		return shmt_fail(&p->error, SHM_TOPIC_ETOOLONG, "a sample of %zu bytes does not fit into slots of %llu", size, (unsigned long long)p->ring.capacity);
	if (SHMT_LIKELY(n < p->free && n - p->shown < p->ring.slots / 2 && p->blocked[n & p->ring.mask] == 0 &&
		SHMT_LOAD(&p->ring.hot->epoch, SHMT_ACQUIRE) == p->epoch)) {
		shmt_claim(p, shmt_slot(&p->ring, n), n);
	} else {
		int result = shmt_prepare(p, timeout);
		if (result != SHM_TOPIC_OK)
			return result;
		n = p->next;
	}
	p->out = 1;
	l->number = n;
	l->data = shmt_payload(&p->ring, n);
	l->size = size;
	l->word = 0;
	l->flags = 0;
	return SHM_TOPIC_OK;
}

__extension__ typedef unsigned __int128 shmt_u128;

/* The processor's counter, or 0 where there is none. */
static inline uint64_t shmt_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t v;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
	return v;
#else
	return 0;
#endif
}

/* The clock is read each 50 us; in between the processor's counter says how
 * much time has passed. */
static SHMT_COLD int64_t shmt_read_clock(shm_topic_pub *p)
{
	uint64_t before = shmt_ticks(), after, spent;
	int64_t now = shmt_clock(CLOCK_REALTIME), passed;
	after = shmt_ticks();
	if (shmt_clock(CLOCK_MONOTONIC) - p->looked > SHMT_SECOND) {
		p->slow = 1;
		p->free = 0;
	}
	if (p->clock.given > now && p->clock.given - now < 1000)
		now = p->clock.given;
	p->clock.last = p->clock.given = now;
	p->clock.ticks = before;
	passed = now - p->clock.first;
	spent = before - p->clock.first_ticks;
	if (passed > SHMT_MS) {
		/* A rate that cannot be is that of a counter that cannot be used. */
		p->clock.limit = 0;
		if (p->clock.first != 0 && passed < 4 * SHMT_SECOND && spent > (uint64_t)passed / 1024 && spent < (uint64_t)passed * 1024 && after - before < spent / 64) {
			p->clock.rate = (uint64_t)(((shmt_u128)(uint64_t)passed << 32) / spent);
			p->clock.limit = (uint64_t)((double)spent / (double)passed * 50000.0);
		}
		if (p->clock.first == 0 || passed > SHMT_SECOND) {
			p->clock.first = now;
			p->clock.first_ticks = before;
		}
	} else if (passed < 0) {
		p->clock.first = 0; /* the clock was set back */
		p->clock.limit = 0;
	}
	return now;
}

static inline int64_t shmt_now(shm_topic_pub *p)
{
	uint64_t passed = shmt_ticks() - p->clock.ticks;
	if (SHMT_UNLIKELY(passed >= p->clock.limit))
		return shmt_read_clock(p);
	p->clock.given = p->clock.last + (int64_t)(uint64_t)(((shmt_u128)passed * p->clock.rate) >> 32);
	return p->clock.given;
}

/* Makes the sample whole; nobody looks at it before the head is past it. For
 * batches: it is shown with the next that is published, or by shm_topic_flush,
 * or when half a round of the ring is queued. */
static inline int shm_topic_queue(shm_topic_pub *p, shm_topic_loan *l)
{
	shm_topic_slot *h;
	if (SHMT_UNLIKELY(!p->open || !p->out || l->number != p->next))
		return shmt_fail(&p->error, SHM_TOPIC_EINVALID, "the loan is over");
	p->out = 0;
	if (SHMT_UNLIKELY(SHMT_LOAD(&p->ring.hot->epoch, SHMT_ACQUIRE) != p->epoch))
		return shmt_fenced(p);
	if (SHMT_UNLIKELY(l->size > p->ring.capacity))
		return shmt_fail(&p->error, SHM_TOPIC_ETOOLONG, "the sample became longer than its slot");
	h = shmt_slot(&p->ring, l->number);
	SHMT_STORE(&h->seq, p->seq, SHMT_RELAXED);
	SHMT_STORE(&h->length, (uint64_t)l->size, SHMT_RELAXED);
	SHMT_STORE(&h->flags, l->flags, SHMT_RELAXED);
	SHMT_STORE(&h->time, (uint64_t)shmt_now(p), SHMT_RELAXED);
	SHMT_STORE(&h->word, l->word, SHMT_RELAXED);
	if (SHMT_UNLIKELY(p->ring.capacity >= SHMT_NON_TEMPORAL))
		shmt_store_fence_nt();
	SHMT_STORE(&h->stamp, shmt_stamp(p->epoch, l->number, SHMT_SAMPLE), SHMT_RELEASE);
	p->seq++;
	p->next = p->last = l->number + 1;
	shmt_add(&p->ring.hot->published, 1);
	shmt_add(&p->ring.hot->bytes, l->size);
	l->data = NULL;
	return SHM_TOPIC_OK;
}

/* Shows the sample to the subscribers. l->size may have been made smaller. */
static inline int shm_topic_publish(shm_topic_pub *p, shm_topic_loan *l)
{
	int result = shm_topic_queue(p, l);
	if (SHMT_LIKELY(result == SHM_TOPIC_OK))
		shmt_show(p);
	return result;
}

/* Shows what was queued. */
static inline int shm_topic_flush(shm_topic_pub *p)
{
	if (!p->open)
		return shmt_fail(&p->error, SHM_TOPIC_ECLOSED, "the topic is closed");
	if (p->last == p->shown)
		return SHM_TOPIC_OK;
	if (SHMT_LOAD(&p->ring.hot->epoch, SHMT_ACQUIRE) != p->epoch)
		return shmt_fenced(p);
	shmt_show(p);
	return SHM_TOPIC_OK;
}

/* Gives the memory back without a sample; the next loan has its number. */
static inline void shm_topic_discard(shm_topic_pub *p, shm_topic_loan *l)
{
	p->out = 0;
	l->data = NULL;
}

/* Copies a sample in and publishes it. */
static inline int shm_topic_send(shm_topic_pub *p, const void *data, size_t size, int64_t timeout)
{
	shm_topic_loan l;
	int result = shm_topic_lend(p, size, timeout, &l);
	if (SHMT_UNLIKELY(result != SHM_TOPIC_OK))
		return result;
	if (size > 0)
		memcpy(l.data, data, size);
	return shm_topic_publish(p, &l);
}

/* Does what a publisher must do besides publishing: admits who has joined,
 * drops who has died, notices that the name is gone. Publishing does it too;
 * a publisher that is idle calls it now and then. */
static inline int shm_topic_poll(shm_topic_pub *p)
{
	if (!p->open)
		return shmt_fail(&p->error, SHM_TOPIC_ECLOSED, "the topic is closed");
	return shmt_housekeep(p, 1);
}

/* What the topic's publishers have done since it was made. */
static inline int shm_topic_stats_of(shm_topic_pub *p, shm_topic_stats *st)
{
	shm_topic_hot *h = p->ring.hot;
	memset(st, 0, sizeof *st);
	if (!p->open)
		return SHM_TOPIC_ECLOSED;
	st->published = SHMT_LOAD(&h->published, SHMT_RELAXED);
	st->bytes = SHMT_LOAD(&h->bytes, SHMT_RELAXED);
	st->holes = SHMT_LOAD(&h->holes, SHMT_RELAXED);
	st->demoted = SHMT_LOAD(&h->demoted, SHMT_RELAXED);
	st->evicted = SHMT_LOAD(&h->evicted, SHMT_RELAXED);
	st->wakes = p->base_wakes + p->wakes;
	st->waits = SHMT_LOAD(&h->waits, SHMT_RELAXED);
	st->housekeepings = SHMT_LOAD(&h->housekeepings, SHMT_RELAXED);
	for (size_t i = 0; i < p->reader_count; i++)
		st->admitted += p->readers[i]->admitted != 0;
	return SHM_TOPIC_OK;
}

/* ------------------------------------------------------ making and removing */

static inline void shmt_close_pub(shm_topic_pub *p)
{
	p->open = 0;
	for (size_t i = 0; i < p->reader_count; i++)
		shmt_forget(p->readers[i]);
	free((void *)p->readers);
	free(p->blocked);
	free(p->refused);
	p->readers = NULL;
	p->reader_count = p->reader_room = 0;
	p->blocked = NULL;
	p->refused = NULL;
	if (p->bell)
		munmap((uint8_t *)p->bell - SHM_TOPIC_HEADER_SIZE, SHM_TOPIC_BELL_SIZE);
	if (p->ring.base)
		munmap(p->ring.base, p->ring.bytes);
	p->bell = NULL;
	p->ring.base = NULL;
	shmt_close(&p->own);
	shmt_close(&p->lock); /* from here on somebody else may take over */
	shmt_close(&p->dir);
}

static inline int shmt_is_leftover(const char *name)
{
	uint8_t id[16];
	if (strncmp(name, ".new-", 5) == 0)
		return shmt_unhex(id, name + 5);
	return strncmp(name, ".dead-", 6) == 0 && shmt_unhex(id, name + 6);
}

static int shmt_delete_entry(void *dir, const char *name, ino_t ino)
{
	(void)ino;
	if (unlinkat(*(int *)dir, name, 0) != 0 && errno == EISDIR)
		unlinkat(*(int *)dir, name, AT_REMOVEDIR);
	return SHM_TOPIC_OK;
}

/* Deletes a directory that has been renamed away. -1 with errno. */
static inline int shmt_destroy(int mount, const char *dead, int dir)
{
	fchmod(dir, 0700); /* nobody else shall make anything new in it */
	for (int tries = 0; tries < 100; tries++) {
		shmt_entries(dir, shmt_delete_entry, &dir);
		if (unlinkat(mount, dead, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return -1;
	}
	return -1;
}

/* Renames a directory to .dead-ID and deletes it. */
static inline int shmt_bury_dir(int mount, const char *name, int dir, dev_t dev, ino_t ino)
{
	char dead[48] = ".dead-";
	uint8_t id[16];
	if (shmt_random(id) != 0)
		return -1;
	shmt_hex(dead + 6, id);
	if (shmt_rename_noreplace(mount, name, mount, dead) != 0)
		return -1;
	if (shmt_named(mount, dead, dev, ino) == 0) {
		/* Somebody has put another one there meanwhile. */
		shmt_rename_noreplace(mount, dead, mount, name);
		errno = EAGAIN;
		return -1;
	}
	return shmt_destroy(mount, dead, dir);
}

struct shmt_sweep {
	int mount;
	int count;
	char names[16][48];
};

static int shmt_note_leftover(void *sweep, const char *name, ino_t ino)
{
	struct shmt_sweep *k = (struct shmt_sweep *)sweep;
	(void)ino;
	if (shmt_is_leftover(name))
		memcpy(k->names[k->count++], name, strlen(name) + 1);
	return k->count == 16 ? SHMT_NONE : SHM_TOPIC_OK;
}

/* Removes what this user's dead creators and removers have left. */
static inline void shmt_sweep(int mount)
{
	struct shmt_sweep k;
	k.mount = mount;
	k.count = 0;
	shmt_entries(mount, shmt_note_leftover, &k);
	for (int i = 0; i < k.count; i++) {
		shm_topic_error unused;
		struct stat st, lst;
		int lock = -1, dir = openat(mount, k.names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (dir < 0)
			continue;
		if (fstat(dir, &st) == 0 && st.st_uid == geteuid()) {
			int open = shmt_open(&unused, dir, st.st_dev, "lock", O_RDWR, (int64_t)st.st_uid, st.st_uid, SHMT_LINKS | SHMT_OWN, 0, &lock, &lst);
			/* With the lock, its maker cannot take it any more, or has it. */
			if (open != SHM_TOPIC_OK || shmt_lock(lock) == 0) {
				if (k.names[i][1] == 'd')
					shmt_destroy(mount, k.names[i], dir);
				else
					shmt_bury_dir(mount, k.names[i], dir, st.st_dev, st.st_ino);
			}
			shmt_close(&lock);
		}
		close(dir);
	}
}

/* Makes a file that is complete, and locked if it shall be, when it gets its
 * name. -1 with errno. */
static inline int shmt_make(int dir, const char *name, uint64_t size, const shm_topic_header *h, mode_t mode, int lock)
{
	struct shmt_draft d;
	if (shmt_draft_new(&d, dir, size) != 0)
		return -1;
	if (h && shmt_write_header(d.fd, h) != 0) {
		int err = errno;
		shmt_draft_discard(&d);
		errno = err;
		return -1;
	}
	return shmt_draft_publish(&d, name, mode, lock);
}

static inline int shmt_make_bell(shm_topic_pub *p)
{
	shm_topic_header h;
	uint8_t *at;
	int fd;
	shmt_header(&h, SHM_TOPIC_BELL, SHM_TOPIC_BELL_SIZE, p->ring.id, p->ring.id);
	fd = shmt_make(p->dir, "bell", SHM_TOPIC_BELL_SIZE, &h, shmt_modes(p->sharing)->bell, 0);
	if (fd < 0)
		return -1;
	at = (uint8_t *)shmt_map(fd, SHM_TOPIC_BELL_SIZE, 1);
	close(fd);
	p->bell = at ? (shm_topic_bell *)(void *)(at + SHM_TOPIC_HEADER_SIZE) : NULL;
	return at ? 0 : -1;
}

/* Makes p.ID, whose lock shows others that we live. */
static inline int shmt_make_own(shm_topic_pub *p)
{
	shm_topic_header h;
	struct stat st;
	char name[40] = "p.";
	if (shmt_random(p->id) != 0)
		return -1;
	shmt_hex(name + 2, p->id);
	shmt_header(&h, SHM_TOPIC_PUBLISHER, SHM_TOPIC_HEADER_SIZE, p->id, p->ring.id);
	p->own = shmt_make(p->dir, name, SHM_TOPIC_HEADER_SIZE, &h, shmt_modes(p->sharing)->id, 1);
	if (p->own < 0 || fstat(p->own, &st) != 0)
		return -1;
	p->own_ino = st.st_ino;
	return 0;
}

/* Checks what was asked for and lays it out: the header of data. */
static inline int shmt_configure(shm_topic_error *e, const shm_topic_create_options *o, shm_topic_header *h)
{
	uint64_t m = o->subscribers ? o->subscribers : 8, k = o->held ? o->held : 2;
	uint64_t n = o->slots, capacity = o->size ? o->size : 1024, align = o->align ? o->align : 64, bytes;
	size_t type_length = o->type ? strlen(o->type) : 0;
	if (m > SHM_TOPIC_MAX_SUBSCRIBERS || k > SHM_TOPIC_MAX_HELD)
		return shmt_fail(e, SHM_TOPIC_EINVALID, "%llu subscribers that hold %llu samples each: 1 to 4096 and 1 to 64 are possible", (unsigned long long)m, (unsigned long long)k);
	for (n = n ? n : 32; !o->slots && n <= m * k + 1;)
		n *= 2;
	if (n < 2 || n > SHM_TOPIC_MAX_SLOTS || (n & (n - 1)))
		return shmt_fail(e, SHM_TOPIC_EINVALID, "%llu slots: a power of two from 2 to 16777216 is needed", (unsigned long long)n);
	if (n <= m * k + 1)
		return shmt_fail(e, SHM_TOPIC_EINVALID, "%llu slots are too few for %llu subscribers that hold %llu samples each: more than %llu are needed", (unsigned long long)n, (unsigned long long)m, (unsigned long long)k, (unsigned long long)(m * k + 1));
	if (align > SHM_TOPIC_MAX_ALIGN || (align & (align - 1)))
		return shmt_fail(e, SHM_TOPIC_EINVALID, "samples aligned to %llu bytes: a power of two up to 4096 is needed", (unsigned long long)align);
	if (o->policy && o->policy != SHM_TOPIC_BLOCK && o->policy != SHM_TOPIC_DROP_OLDEST)
		return shmt_fail(e, SHM_TOPIC_EINVALID, "policy %u: it is block (1) or drop oldest (2)", o->policy);
	if (!shmt_modes(o->sharing))
		return shmt_fail(e, SHM_TOPIC_EINVALID, "sharing %u: 0 to 3 are possible", o->sharing);
	if (type_length > SHM_TOPIC_MAX_TYPE || (o->type && !shmt_utf8(o->type, type_length, 0)))
		return shmt_fail(e, SHM_TOPIC_EINVALID, "the type's name is not UTF-8, or has more than 192 bytes");
	h->slots = n;
	h->capacity = capacity;
	h->payload_align = align;
	h->subscribers = (uint32_t)m;
	h->held = (uint32_t)k;
	h->policy = o->policy ? o->policy : (uint32_t)SHM_TOPIC_DROP_OLDEST;
	h->patience = o->patience == 0 ? 10 * SHMT_SECOND : o->patience < 0 ? -1 : o->patience;
	h->type_length = (uint32_t)type_length;
	if (type_length > 0)
		memcpy(h->type, o->type, type_length);
	if (o->type_hash)
		memcpy(h->type_hash, o->type_hash, 32);
	h->hot = SHM_TOPIC_HEADER_SIZE;
	h->table = h->hot + sizeof(shm_topic_hot);
	h->slot_headers = h->table + m * sizeof(shm_topic_entry);
	h->slot_stride = sizeof(shm_topic_slot);
	h->payload = shmt_round_up(h->slot_headers + n * h->slot_stride, SHM_TOPIC_HEADER_SIZE);
	if (capacity > INT64_MAX / 2 || __builtin_mul_overflow(n, shmt_round_up(capacity, align), &bytes) || bytes > INT64_MAX / 2)
		return shmt_fail(e, SHM_TOPIC_EINVALID, "%llu slots x %llu bytes are more than a file can have", (unsigned long long)n, (unsigned long long)capacity);
	h->payload_stride = shmt_round_up(capacity, align);
	h->size = shmt_round_up(h->payload + bytes, SHM_TOPIC_HEADER_SIZE);
	return SHM_TOPIC_OK;
}

/* Makes what is in the new directory. -1 with errno. */
static inline int shmt_fill_dir(shm_topic_pub *p, const shm_topic_create_options *o, const shm_topic_header *config)
{
	const struct shmt_modes *mode = shmt_modes(o->sharing);
	shm_topic_header h = *config;
	shm_topic_error unused;
	struct stat st;
	uint8_t *base;
	int fd;
	/* The lock is first: without it the directory is taken for a dead one's. */
	if (fchmod(p->dir, 0700) != 0 || (p->lock = shmt_make(p->dir, "lock", 0, NULL, mode->lock, 1)) < 0)
		return -1;
	if (o->sharing == SHM_TOPIC_GROUP && fchown(p->dir, (uid_t)-1, o->gid) != 0)
		return -1;
	/* Closed to others still, but its files shall get its group. */
	if (fchmod(p->dir, mode->dir & ~(mode_t)01077) != 0)
		return -1;
	shmt_header(&h, SHM_TOPIC_DATA, config->size, p->ring.id, NULL);
	memcpy(&h.slots, &config->slots, sizeof h - offsetof(shm_topic_header, slots));
	fd = shmt_make(p->dir, "data", h.size, &h, mode->data, 0);
	if (fd < 0)
		return -1;
	base = fstat(fd, &st) == 0 ? (uint8_t *)shmt_map(fd, h.size, 1) : NULL;
	close(fd);
	if (!base)
		return -1;
	shmt_check_config(&unused, &h, base, &p->ring);
	p->data_ino = st.st_ino;
	if (shmt_make_bell(p) != 0)
		return -1;
	if (shmt_make_own(p) != 0)
		return -1;
	SHMT_STORE(&p->ring.hot->epoch, 1, SHMT_RELEASE);
	SHMT_STORE(&p->ring.hot->since, shmt_stamp(1, 0, 0), SHMT_RELEASE);
	memcpy(p->ring.hot->publisher, p->id, 16);
	if (fchmod(p->dir, mode->dir) != 0 || fstat(p->dir, &st) != 0)
		return -1;
	if ((st.st_mode & 07777) != mode->dir) {
		errno = EPERM;
		return -1;
	}
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	p->uid = st.st_uid;
	return 0;
}

/* Takes back what was made of it, wherever it stands by now. */
static int shmt_find_dead(void *arg, const char *name, ino_t ino)
{
	struct stat *st = (struct stat *)arg;
	return ino == st->st_ino && strncmp(name, ".dead-", 6) == 0 && unlinkat((int)st->st_dev, name, AT_REMOVEDIR) == 0 ? SHMT_NONE : SHM_TOPIC_OK;
}

/* Makes a new topic under a temporary name and then gives it its own. */
static inline int shmt_build(shm_topic_pub *p, const char *name, int mount, const shm_topic_create_options *o, const shm_topic_header *config)
{
	char temp[48] = ".new-", final[SHM_TOPIC_MAX_NAME + 8];
	struct stat st;
	int err, swept;
	p->sharing = o->sharing;
	if (shmt_random(p->ring.id) != 0)
		return shmt_system(&p->error, "getrandom", "", errno);
	shmt_hex(temp + 5, p->ring.id);
	snprintf(final, sizeof final, "%s.topic", name);
	if (mkdirat(mount, temp, 0700) != 0)
		return shmt_system(&p->error, "making", p->path, errno);
	p->dir = openat(mount, temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (p->dir < 0 && errno == EACCES && fchmodat(mount, temp, 0700, 0) == 0) /* a umask that takes the owner's rights */
		p->dir = openat(mount, temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (p->dir >= 0 && shmt_fill_dir(p, o, config) == 0 && shmt_rename_noreplace(mount, temp, mount, final) == 0)
		return SHM_TOPIC_OK;
	err = errno;
	swept = 0;
	if (p->dir >= 0 && fstat(p->dir, &st) == 0) {
		swept = shmt_named(mount, temp, st.st_dev, st.st_ino) == 0;
		shmt_entries(p->dir, shmt_delete_entry, &p->dir);
		if (swept && st.st_nlink > 0) {
			st.st_dev = (dev_t)mount; /* whoever swept it away may have found it filled again */
			shmt_entries(mount, shmt_find_dead, &st);
		}
	}
	unlinkat(mount, temp, AT_REMOVEDIR);
	shmt_close_pub(p);
	if (swept || err == EEXIST || err == ENOENT || err == EAGAIN)
		return SHMT_AGAIN; /* somebody was faster, or took it for a dead one's */
	if (err == ENOSPC)
		return shmt_fail(&p->error, SHM_TOPIC_ESPACE, "%s: %llu slots x %llu bytes need %llu bytes, which are not free there", p->path, (unsigned long long)config->slots, (unsigned long long)config->capacity, (unsigned long long)config->size);
	return shmt_system(&p->error, "making", p->path, err);
}

struct shmt_holder {
	shm_topic_pub *pub;
	unsigned long long pid;
	int living;
};

/* Finds who holds the topic: the maker of a p.ID whose lock is held, or of
 * any. With `living` below 0, removes those files that are not our own. */
static int shmt_find_holder(void *arg, const char *name, ino_t ino)
{
	struct shmt_holder *k = (struct shmt_holder *)arg;
	shm_topic_pub *p = k->pub;
	shm_topic_error unused;
	shm_topic_header h;
	struct stat st;
	uint8_t id[16];
	int fd, locked;
	(void)ino;
	if (k->living < 0) {
		if (strncmp(name, "p.", 2) == 0 && (strlen(name) != 34 || !shmt_unhex(id, name + 2) || memcmp(id, p->id, 16) != 0))
			unlinkat(p->dir, name, 0);
		if (strncmp(name, ".tmp-", 5) == 0 && shmt_open(&unused, p->dir, p->dev, name, O_RDONLY, -1, p->uid, SHMT_LINKS, 0, &fd, &st) == SHM_TOPIC_OK) {
			locked = shmt_locked(fd);
			close(fd);
			if (locked == 0)
				unlinkat(p->dir, name, 0);
		}
		return SHM_TOPIC_OK;
	}
	if (strncmp(name, "p.", 2) != 0 || shmt_open(&unused, p->dir, p->dev, name, O_RDONLY, (int64_t)p->uid, p->uid, SHMT_LINKS, SHM_TOPIC_HEADER_SIZE, &fd, &st) != SHM_TOPIC_OK)
		return SHM_TOPIC_OK;
	if (shmt_read_header(&unused, name, fd, (uint64_t)st.st_size, SHM_TOPIC_PUBLISHER, &h) == SHM_TOPIC_OK) {
		locked = shmt_locked(fd);
		if (locked || k->pid == 0)
			k->pid = h.pid;
		if (locked)
			k->living = 1;
	}
	close(fd);
	return k->living ? SHMT_NONE : SHM_TOPIC_OK;
}

/* Takes the lock of a topic that has a name. Whoever removes a topic holds its
 * lock, so the names are looked at again afterwards. */
static inline int shmt_take_lock(shm_topic_pub *p)
{
	struct shmt_holder holder;
	struct stat st;
	int result = shmt_open(&p->error, p->dir, p->dev, "lock", O_RDWR, (int64_t)p->uid, p->uid, SHMT_LINKS | SHMT_OWN, 0, &p->lock, &st);
	if (result == SHM_TOPIC_ENOTFOUND) {
		if (shmt_named(AT_FDCWD, p->path, p->dev, p->ino) == 0)
			return SHMT_AGAIN;
		return shmt_fail(&p->error, SHM_TOPIC_ECORRUPT, "%s: the file lock is missing: remove the topic", p->path);
	}
	if (result != SHM_TOPIC_OK)
		return result;
	for (int tries = 0; shmt_lock(p->lock) != 0; tries++) {
		int err = errno;
		if (err != EAGAIN && err != EACCES) {
			shmt_close(&p->lock);
			return shmt_system(&p->error, "locking", p->path, err);
		}
		memset(&holder, 0, sizeof holder);
		holder.pub = p;
		shmt_entries(p->dir, shmt_find_holder, &holder);
		if (!holder.living && tries < 100) {
			/* Nobody publishes it: somebody prunes it, or is about to be its
			 * publisher. That does not last. */
			shmt_nap(10 * SHMT_MS);
			continue;
		}
		shmt_close(&p->lock);
		return shmt_fail(&p->error, SHM_TOPIC_EBUSY, "%s: process %llu publishes it, or a child of it holds its lock", p->path, holder.pid);
	}
	if (shmt_named(p->dir, "lock", st.st_dev, st.st_ino) != 1 || shmt_named(AT_FDCWD, p->path, p->dev, p->ino) != 1) {
		shmt_close(&p->lock);
		return SHMT_AGAIN;
	}
	return SHM_TOPIC_OK;
}

/* Maps the bell that subscribers have mapped already, and mends it: everybody
 * who may subscribe can have cut it short and scribbled on it. */
static inline int shmt_adopt_bell(shm_topic_pub *p)
{
	shm_topic_error unused;
	shm_topic_header h;
	struct stat st;
	uint8_t *at;
	int fd, bad;
	if (shmt_open(&unused, p->dir, p->dev, "bell", O_RDWR, (int64_t)p->uid, p->uid, SHMT_LINKS, 0, &fd, &st) != SHM_TOPIC_OK) {
		if (unlinkat(p->dir, "bell", 0) != 0 && errno != ENOENT)
			return -1;
		return shmt_make_bell(p);
	}
	bad = (st.st_size < SHM_TOPIC_BELL_SIZE || st.st_blocks * 512 < SHM_TOPIC_BELL_SIZE) &&
		fallocate(fd, 0, 0, SHM_TOPIC_BELL_SIZE) != 0 && errno != EOPNOTSUPP;
	shmt_header(&h, SHM_TOPIC_BELL, SHM_TOPIC_BELL_SIZE, p->ring.id, p->ring.id);
	at = NULL;
	if (!bad && shmt_write_header(fd, &h) == 0 && fchmod(fd, shmt_modes(p->sharing)->bell) == 0)
		at = (uint8_t *)shmt_map(fd, SHM_TOPIC_BELL_SIZE, 1);
	bad = errno;
	close(fd);
	errno = bad;
	p->bell = at ? (shm_topic_bell *)(void *)(at + SHM_TOPIC_HEADER_SIZE) : NULL;
	return at ? 0 : -1;
}

static inline int shmt_differ(shm_topic_pub *p, const char *what, unsigned long long has, unsigned long long asked)
{
	return has == asked ? SHM_TOPIC_OK : shmt_fail(&p->error, SHM_TOPIC_ETYPE, "%s is made otherwise: %s %llu, asked for %llu: ask for what it has, or remove it first", p->path, what, has, asked);
}

/* Takes over a topic whose publisher is dead, as far as its files go. */
static inline int shmt_adopt(shm_topic_pub *p, const shm_topic_create_options *o, const shm_topic_header *config)
{
	struct shmt_holder holder;
	const shm_topic_ring *g = &p->ring;
	struct stat st;
	int result = shmt_open_dir(&p->error, p->path, &p->dir, &st), sharing;
	if (result != SHM_TOPIC_OK)
		return result == SHM_TOPIC_ENOTFOUND ? SHMT_AGAIN : result;
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	p->uid = st.st_uid;
	if (st.st_uid != geteuid())
		return shmt_fail(&p->error, SHM_TOPIC_EPERMISSION, "%s belongs to uid %u, and this is uid %u: choose another name", p->path, st.st_uid, geteuid());
	sharing = shmt_sharing(st.st_mode);
	if (sharing < 0)
		return shmt_fail(&p->error, SHM_TOPIC_ECORRUPT, "%s has mode %#o, which no topic has", p->path, (unsigned)(st.st_mode & 07777));
	p->sharing = (uint32_t)sharing;
	if ((result = shmt_take_lock(p)) != SHM_TOPIC_OK)
		return result;
	{
		struct stat data;
		result = shmt_open_data(&p->error, p->dir, p->dev, p->uid, 1, &p->ring, &data);
		if (result == SHM_TOPIC_ENOTFOUND)
			return shmt_fail(&p->error, SHM_TOPIC_ECORRUPT, "%s: the file data is missing: remove the topic", p->path);
		if (result != SHM_TOPIC_OK)
			return result;
		p->data_ino = data.st_ino;
	}
	if (strlen(g->type) != config->type_length || memcmp(g->type, config->type, config->type_length) != 0 || memcmp(g->type_hash, config->type_hash, 32) != 0)
		return shmt_fail(&p->error, SHM_TOPIC_ETYPE, "%s holds \"%s\", asked for \"%.*s\", or their hashes differ", p->path, g->type, (int)config->type_length, config->type);
	if ((result = shmt_differ(p, "slots", g->slots, config->slots)) != SHM_TOPIC_OK ||
		(result = shmt_differ(p, "bytes of a sample", g->capacity, config->capacity)) != SHM_TOPIC_OK ||
		(result = shmt_differ(p, "alignment", g->align, config->payload_align)) != SHM_TOPIC_OK ||
		(result = shmt_differ(p, "subscribers", g->subscribers, config->subscribers)) != SHM_TOPIC_OK ||
		(result = shmt_differ(p, "held", g->held, config->held)) != SHM_TOPIC_OK ||
		(result = shmt_differ(p, "policy", g->policy, config->policy)) != SHM_TOPIC_OK ||
		(result = shmt_differ(p, "patience", (unsigned long long)g->patience, (unsigned long long)config->patience)) != SHM_TOPIC_OK ||
		(result = shmt_differ(p, "sharing", p->sharing, o->sharing)) != SHM_TOPIC_OK)
		return result;
	if (o->sharing == SHM_TOPIC_GROUP && (result = shmt_differ(p, "group", st.st_gid, o->gid)) != SHM_TOPIC_OK)
		return result;
	if (shmt_adopt_bell(p) != 0 || shmt_make_own(p) != 0)
		return shmt_system(&p->error, "taking over", p->path, errno);
	memset(&holder, 0, sizeof holder);
	holder.pub = p;
	holder.living = -1;
	shmt_entries(p->dir, shmt_find_holder, &holder); /* files of earlier publishers */
	p->took_over = 1;
	return SHM_TOPIC_OK;
}

/* The dense sequence of the next sample: one more than that of the newest that
 * was shown. Where holes have overwritten that, the first that the publisher
 * before stamped and did not come to show has it; if there is none, its
 * counter counted what it showed. */
static inline uint64_t shmt_next_seq(shm_topic_pub *p, uint64_t head, uint64_t before)
{
	const shm_topic_ring *g = &p->ring;
	uint64_t seq, first = SHMT_MAX_NUMBER;
	if (head > 0) {
		shm_topic_slot *h = shmt_slot(g, head - 1);
		uint64_t stamp = SHMT_LOAD(&h->stamp, SHMT_ACQUIRE);
		if ((stamp & 3) == SHMT_SAMPLE && shmt_stamp_number(stamp) == head - 1)
			return SHMT_LOAD(&h->seq, SHMT_RELAXED) + 1;
	}
	seq = SHMT_LOAD(&g->hot->published, SHMT_RELAXED);
	for (uint64_t i = 0; i < g->slots; i++) {
		shm_topic_slot *h = shmt_slot(g, i);
		uint64_t stamp = SHMT_LOAD(&h->stamp, SHMT_ACQUIRE), n = shmt_stamp_number(stamp);
		if ((stamp & 3) == SHMT_SAMPLE && n >= head && n < first && stamp >> 52 == (before & 0xfff)) {
			seq = SHMT_LOAD(&h->seq, SHMT_RELAXED);
			first = n;
		}
	}
	return seq;
}

/* Begins an epoch: the first, or after a publisher that is gone. The order is
 * that of spec/topic.md, section 6.4. */
static inline int shmt_begin(shm_topic_pub *p)
{
	const shm_topic_ring *g = &p->ring;
	shm_topic_hot *hot = g->hot;
	uint64_t now, before = SHMT_LOAD(&hot->epoch, SHMT_ACQUIRE), head = SHMT_LOAD(&hot->head, SHMT_ACQUIRE);
	p->blocked = (int32_t *)calloc((size_t)g->slots, sizeof(int32_t));
	p->refused = (uint64_t *)calloc(4096, sizeof(uint64_t));
	if (!p->blocked || !p->refused)
		return shmt_system(&p->error, "memory", "", ENOMEM);
	if (head >= SHMT_MAX_NUMBER)
		return shmt_fail(&p->error, SHM_TOPIC_ECORRUPT, "%s: %llu numbers are used", p->path, (unsigned long long)head);
	/* 1: whoever has an entry is found by name, or freed, or in the way. */
	for (uint32_t i = 0; p->took_over && i < g->subscribers; i++) {
		shm_topic_entry *e = &g->table[i];
		uint64_t kind = SHMT_LOAD(&e->state, SHMT_ACQUIRE) & 3;
		shm_topic_reader *r = NULL;
		char name[40] = "r.";
		uint8_t id[16];
		int result, twice = 0;
		if (kind == SHMT_FREE)
			continue;
		memcpy(id, e->id, 16);
		shmt_hex(name + 2, id);
		for (size_t k = 0; k < p->reader_count && !twice; k++)
			twice = memcmp(p->readers[k]->id, id, 16) == 0;
		if (twice || kind > SHMT_DEMOTED) {
			shmt_set_state(p, (int)i, SHMT_FREE);
			continue;
		}
		result = shmt_open_reader(&p->error, p, name, id, &r);
		if (result == SHM_TOPIC_ENOTFOUND)
			return shmt_fail(&p->error, SHM_TOPIC_EBUSY, "%s: the file %s was removed, so nobody can tell whether that subscriber lives and what it holds: remove the topic and create it anew", p->path, name);
		if (result != SHM_TOPIC_OK && result != SHM_TOPIC_ECORRUPT && result != SHM_TOPIC_EVERSION && result != SHM_TOPIC_ETRUNCATED)
			return result;
		if (r && shmt_reader_alive(r) && shmt_keep(p, r)) {
			r->index = (int)i;
			r->admitted = kind == SHMT_ADMITTED;
			continue;
		}
		shmt_set_state(p, (int)i, SHMT_FREE);
		if (r)
			shmt_bury(p, r);
	}
	/* 2: from here on the one before is fenced, should it live. */
	p->epoch = p->took_over ? before + 1 : before;
	SHMT_STORE(&hot->since, shmt_stamp(p->epoch, head, 0), SHMT_RELEASE);
	SHMT_STORE(&hot->epoch, p->epoch, SHMT_RELEASE);
	shmt_full_fence();
	now = SHMT_LOAD(&hot->head, SHMT_ACQUIRE);
	if (now > head && now < SHMT_MAX_NUMBER) {
		head = now;
		SHMT_STORE(&hot->since, shmt_stamp(p->epoch, head, 0), SHMT_RELEASE);
	}
	/* 4, before 3: a look needs the head. */
	p->next = p->last = p->shown = p->busy = head;
	for (uint64_t i = 0; i < g->slots; i++) {
		uint64_t stamp = SHMT_LOAD(&shmt_slot(g, i)->stamp, SHMT_ACQUIRE), n = shmt_stamp_number(stamp);
		if ((stamp & 3) != SHMT_NEVER && n >= p->busy && n - head < 4 * g->slots)
			p->busy = n + 1;
	}
	p->seq = shmt_next_seq(p, head, before);
	if (p->took_over)
		SHMT_STORE(&hot->published, p->seq, SHMT_RELAXED);
	/* 3: what they hold. */
	for (size_t i = 0; i < p->reader_count; i++) {
		shm_topic_reader *r = p->readers[i];
		if (!shmt_look(p, r, 1)) {
			shmt_evict(p, r);
			continue;
		}
		r->cursor = shmt_max(r->cursor, SHMT_LOAD(&g->table[r->index].from, SHMT_RELAXED));
		if (r->admitted)
			r->answered = shmt_ask_of(r); /* who was demoted may have asked again already */
	}
	shmt_set_floor(p);
	p->base_wakes = SHMT_LOAD(&hot->wakes, SHMT_RELAXED);
	/* 5 */
	SHMT_STORE(&hot->end, 0, SHMT_RELEASE);
	SHMT_STORE(&hot->want, 0, SHMT_RELEASE);
	p->fencefree = shmt_membarrier_register();
	SHMT_STORE(&hot->fencefree, p->fencefree ? 1u : 0u, SHMT_RELEASE);
	shmt_full_fence();
	memcpy(hot->publisher, p->id, 16);
	p->open = 1;
	if (shmt_housekeep(p, 1) != SHM_TOPIC_OK)
		return p->error.code;
	shmt_wake_all(p); /* the one before may have died before it woke them */
	return SHM_TOPIC_OK;
}

/* Makes a topic and becomes its publisher, or takes one over whose publisher
 * is dead or has ended it, whose owner is this user and which is made as o
 * says: numbering goes on, and subscribers notice nothing. Errors:
 * SHM_TOPIC_EBUSY, a publisher lives; _ETYPE, made otherwise; _EXISTS, with
 * o->exclusive; _EPERMISSION, of another user; _ECORRUPT; _EVERSION; _ESPACE,
 * after which nothing is left; _EINVALID. */
static inline int shm_topic_create(shm_topic_pub *p, const char *name, const shm_topic_create_options *o)
{
	static const shm_topic_create_options defaults = {NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL};
	const char *dir;
	shm_topic_header config;
	shm_topic_error error;
	struct stat st;
	int mount, result = SHMT_AGAIN;
	memset((void *)p, 0, sizeof *p);
	memset((void *)&config, 0, sizeof config);
	p->dir = p->lock = p->own = -1;
	if (!o)
		o = &defaults;
	dir = o->dir ? o->dir : "/dev/shm";
	if ((result = shmt_check_name(&p->error, name)) != SHM_TOPIC_OK || (result = shmt_path(&p->error, p->path, dir, name)) != SHM_TOPIC_OK ||
		(result = shmt_configure(&p->error, o, &config)) != SHM_TOPIC_OK)
		return result;
	mount = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount < 0)
		return shmt_system(&p->error, "opening", dir, errno);
	shmt_sweep(mount);
	result = SHMT_AGAIN;
	for (int tries = 0; tries < 100 && result == SHMT_AGAIN; tries++) {
		if (lstat(p->path, &st) == 0)
			result = o->exclusive ? shmt_fail(&p->error, SHM_TOPIC_EXISTS, "%s exists", p->path) : shmt_adopt(p, o, &config);
		else if (errno == ENOENT)
			result = shmt_build(p, name, mount, o, &config);
		else
			result = shmt_system(&p->error, "looking for", p->path, errno);
		if (result != SHM_TOPIC_OK)
			shmt_close_pub(p);
	}
	close(mount);
	if (result == SHMT_AGAIN)
		return shmt_fail(&p->error, SHM_TOPIC_EBUSY, "%s came and went while it was opened", p->path);
	if (result != SHM_TOPIC_OK)
		return result;
	result = shmt_begin(p);
	if (result != SHM_TOPIC_OK) {
		error = p->error;
		shmt_close_pub(p);
		p->error = error;
	}
	return result;
}

/* Gives the topic up without an end, as if this process had died: the next one
 * that creates it goes on, and subscribers wait for it. */
static inline void shm_topic_abandon(shm_topic_pub *p)
{
	if (!p->open)
		return;
	if (SHMT_LOAD(&p->ring.hot->epoch, SHMT_ACQUIRE) == p->epoch && p->last > p->shown)
		shmt_show(p);
	shmt_close_pub(p);
}

/* Ends the topic: subscribers get SHM_TOPIC_EEND when they have taken what is
 * there. The topic stays, to be read, until it is removed; who creates it again
 * goes on with it. SHM_TOPIC_EBUSY, and nothing is closed, while a loan is
 * out. */
static inline int shm_topic_end(shm_topic_pub *p)
{
	if (!p->open)
		return SHM_TOPIC_OK;
	if (p->out)
		return shmt_fail(&p->error, SHM_TOPIC_EBUSY, "a loan is out: publish or discard it first");
	if (SHMT_LOAD(&p->ring.hot->epoch, SHMT_ACQUIRE) == p->epoch) {
		if (p->last > p->shown)
			shmt_show(p);
		SHMT_STORE(&p->ring.hot->end, 1 + p->last, SHMT_RELEASE);
		SHMT_STORE(&p->ring.hot->wakes, p->base_wakes + p->wakes, SHMT_RELAXED);
		shmt_wake_all(p);
	}
	shmt_close_pub(p);
	return SHM_TOPIC_OK;
}

/* Removes a topic whose publisher does not live: it is renamed away, and then
 * what is in it is deleted. Subscribers keep what they have mapped. dir NULL is
 * /dev/shm. SHM_TOPIC_EBUSY: a publisher lives, end it first. error may be
 * NULL. */
static inline int shm_topic_remove(const char *dir, const char *name, shm_topic_error *error)
{
	shm_topic_pub *p = (shm_topic_pub *)calloc(1, sizeof *p);
	struct stat st;
	int mount, result = SHMT_AGAIN, err;
	char final[SHM_TOPIC_MAX_NAME + 8];
	shm_topic_error unused;
	if (!error)
		error = &unused;
	if (!p)
		return shmt_system(error, "memory", "", ENOMEM);
	p->dir = p->lock = p->own = -1;
	if (!dir)
		dir = "/dev/shm";
	if ((result = shmt_check_name(&p->error, name)) == SHM_TOPIC_OK && (result = shmt_path(&p->error, p->path, dir, name)) == SHM_TOPIC_OK)
		result = SHMT_AGAIN;
	for (int tries = 0; result == SHMT_AGAIN && tries < 100; tries++) {
		result = shmt_open_dir(&p->error, p->path, &p->dir, &st);
		if (result == SHM_TOPIC_OK) {
			p->dev = st.st_dev;
			p->ino = st.st_ino;
			p->uid = st.st_uid;
			if (geteuid() != 0 && geteuid() != st.st_uid)
				result = shmt_fail(&p->error, SHM_TOPIC_EPERMISSION, "%s belongs to uid %u, and this is uid %u", p->path, st.st_uid, geteuid());
			else
				result = shmt_take_lock(p);
		}
		if (result == SHM_TOPIC_OK || (result == SHM_TOPIC_ECORRUPT && p->dir >= 0)) {
			/* Without a lock that is one, it is no topic that anybody uses. */
			snprintf(final, sizeof final, "%s.topic", name);
			mount = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			err = mount < 0 || shmt_bury_dir(mount, final, p->dir, p->dev, p->ino) != 0 ? errno : 0;
			if (mount >= 0)
				close(mount);
			result = err == 0 ? SHM_TOPIC_OK : err == EAGAIN ? SHMT_AGAIN : shmt_system(&p->error, "removing", p->path, err);
		}
		shmt_close_pub(p);
	}
	if (result == SHMT_AGAIN)
		result = shmt_fail(&p->error, SHM_TOPIC_EBUSY, "%s came and went while it was removed", p->path);
	*error = p->error;
	free(p);
	return result;
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* SHM_TOPIC_H */
