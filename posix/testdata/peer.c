/* A C program that uses the shared memory mount as C programs do. Its first
 * argument says what to do; it tells and asks in lines. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* hear gives the next line without its newline, NULL at the end. */
static char *hear(void)
{
	static char line[8192];
	if (!fgets(line, sizeof line, stdin))
		return NULL;
	line[strcspn(line, "\n")] = 0;
	return line;
}

static void hold(void)
{
	while (hear())
		;
}

/* names: a name in hex a line; says the errnos of shm_open with O_CREAT, of
 * shm_open for reading, and of shm_unlink. */
static int names(void)
{
	char *line, name[4096];
	while ((line = hear())) {
		size_t n = strlen(line) / 2;
		int create, reading, remove, fd;
		for (size_t i = 0; i < n; i++) {
			unsigned byte;
			sscanf(line + 2 * i, "%2x", &byte);
			name[i] = byte;
		}
		name[n] = 0;
		fd = shm_open(name, O_RDWR | O_CREAT, 0600);
		create = fd < 0 ? errno : 0;
		if (fd >= 0)
			close(fd);
		fd = shm_open(name, O_RDONLY, 0);
		reading = fd < 0 ? errno : 0;
		if (fd >= 0)
			close(fd);
		remove = shm_unlink(name) < 0 ? errno : 0;
		say("%d %d %d", create, reading, remove);
	}
	return 0;
}

/* put NAME TEXT: the writer of every tutorial. */
static int put(const char *name, const char *text)
{
	int fd = shm_open(name, O_CREAT | O_RDWR, 0600);
	must(fd >= 0, "shm_open");
	must(ftruncate(fd, 100) == 0, "ftruncate");
	char *p = mmap(NULL, 100, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED, "mmap");
	strcpy(p, text);
	return 0;
}

/* get NAME: says the string in the object. */
static int get(const char *name)
{
	int fd = shm_open(name, O_RDONLY, 0);
	must(fd >= 0, "shm_open");
	char *p = mmap(NULL, 100, PROT_READ, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED, "mmap");
	say("%s", p);
	return 0;
}

static void *wait_thread(void *sem)
{
	sem_wait(sem);
	return NULL;
}

/* sem NAME VALUE: creates a semaphore, then obeys: post, wait (in a thread),
 * unlink. */
static int sem(const char *name, const char *value)
{
	sem_t *s = sem_open(name, O_CREAT | O_EXCL, 0600, (unsigned)atoi(value));
	if (s == SEM_FAILED) {
		say("errno %d", errno);
		return 0;
	}
	say("made");
	for (char *line; (line = hear());) {
		pthread_t thread;
		if (!strcmp(line, "post"))
			must(sem_post(s) == 0, "sem_post");
		else if (!strcmp(line, "wait"))
			must(pthread_create(&thread, NULL, wait_thread, s) == 0, "pthread_create");
		else if (!strcmp(line, "unlink"))
			must(sem_unlink(name) == 0, "sem_unlink");
		say("done");
	}
	return 0;
}

/* layout: the sizes and offsets that peers rely on. */
static int layout(void)
{
#ifdef __aarch64__
	printf("arm64");
#else
	printf("amd64");
#endif
	say(" %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu",
	    sizeof(pthread_mutex_t), offsetof(pthread_mutex_t, __data.__lock),
	    offsetof(pthread_mutex_t, __data.__count), offsetof(pthread_mutex_t, __data.__owner),
	    offsetof(pthread_mutex_t, __data.__nusers), offsetof(pthread_mutex_t, __data.__kind),
	    offsetof(pthread_mutex_t, __data.__list), sizeof(pthread_cond_t),
	    sizeof(pthread_rwlock_t), sizeof(pthread_barrier_t), sizeof(sem_t));
	return 0;
}

static pthread_mutex_t *mutex_at(const char *name, int create)
{
	int fd = shm_open(name, O_RDWR | (create ? O_CREAT | O_EXCL : 0), 0600);
	must(fd >= 0, "shm_open");
	must(!create || ftruncate(fd, 4096) == 0, "ftruncate");
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED, "mmap");
	close(fd);
	return p;
}

static pthread_mutex_t *mutex_new(const char *name, const char *kind)
{
	pthread_mutex_t *m = mutex_at(name, 1);
	pthread_mutexattr_t attr;
	pthread_mutexattr_init(&attr);
	if (strcmp(kind, "robust-alone"))
		pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (strcmp(kind, "plain"))
		pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &attr);
	return m;
}

/* mutex NAME plain|robust|robust-alone: makes one, locks it at "lock", says
 * its thread id, keeps it. */
static int mutex(const char *name, const char *kind)
{
	pthread_mutex_t *m = mutex_new(name, kind);
	say("made");
	if (!hear())
		return 0;
	pthread_mutex_lock(m);
	say("%ld", syscall(SYS_gettid));
	hold();
	return 0;
}

/* timedlock NAME: says what locking answers, after 20 ms at the latest. */
static int timedlock(const char *name)
{
	pthread_mutex_t *m = mutex_at(name, 0);
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_nsec += 20 * 1000 * 1000;
	if (end.tv_nsec >= 1000000000)
		end.tv_sec++, end.tv_nsec -= 1000000000;
	say("%d", pthread_mutex_timedlock(m, &end));
	return 0;
}

/* pidns NAME: the same in a pid namespace of its own; says the thread id there
 * and the process id here. */
static int pidns(const char *name)
{
	pthread_mutex_t *m = mutex_new(name, "plain");
	int up[2], end[2];
	char c;
	must(pipe(up) == 0 && pipe(end) == 0, "pipe");
	if (unshare(CLONE_NEWPID) != 0) {
		say("errno %d", errno);
		return 0;
	}
	pid_t outside = fork();
	must(outside >= 0, "fork");
	if (outside == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(end[1]);
		pthread_mutex_lock(m);
		long inside = syscall(SYS_gettid);
		must(write(up[1], &inside, sizeof inside) == sizeof inside, "write");
		_exit(read(end[0], &c, 1) != 0);
	}
	close(end[0]);
	long inside;
	must(read(up[0], &inside, sizeof inside) == sizeof inside, "read");
	say("%ld %d", inside, (int)outside);
	hold();
	close(end[1]);
	must(waitpid(outside, NULL, 0) == outside, "waitpid");
	return 0;
}

/* fsize NAME: RLIMIT_FSIZE of 4096 bytes against an object and a segment. */
static int fsize(const char *name)
{
	struct rlimit limit = {4096, 4096}, none = {0, 0};
	int fd = shm_open(name, O_RDWR | O_CREAT, 0600), status;
	must(fd >= 0, "shm_open");
	must(setrlimit(RLIMIT_CORE, &none) == 0, "setrlimit");
	must(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
	say("at the limit %d", ftruncate(fd, 4096) ? errno : 0);
	pid_t child = fork();
	must(child >= 0, "fork");
	if (child == 0) {
		ftruncate(fd, 4097) ? _exit(1) : _exit(0);
	}
	must(waitpid(child, &status, 0) == child, "waitpid");
	say("beyond: signal %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	signal(SIGXFSZ, SIG_IGN);
	say("beyond, ignored: errno %d", ftruncate(fd, 4097) ? errno : 0);
	int id = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
	say("shmget: errno %d", id < 0 ? errno : 0);
	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
	return 0;
}

/* loop NAME SIZE: opens, maps, unmaps and closes, a thousand times a line that
 * it hears; says the nanoseconds of one round. */
static int loop(const char *name, const char *size)
{
	size_t length = strtoul(size, NULL, 10);
	const int rounds = 1000;
	while (hear()) {
		struct timespec from, to;
		clock_gettime(CLOCK_MONOTONIC, &from);
		for (int i = 0; i < rounds; i++) {
			int fd = shm_open(name, O_RDWR, 0);
			must(fd >= 0, "shm_open");
			void *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
			must(p != MAP_FAILED, "mmap");
			must(munmap(p, length) == 0, "munmap");
			must(close(fd) == 0, "close");
		}
		clock_gettime(CLOCK_MONOTONIC, &to);
		say("%f", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / rounds);
	}
	return 0;
}

/* without LIST PROGRAM ARG...: executes the program on a kernel that has no
 * "unnamed" files, no "noreplace" renaming, no "link"s, whatever stands in the
 * list: a filter answers as old kernels and other file systems do. */
static int without(const char *list, char **argv)
{
#define TMPFILE 020000000 /* of O_TMPFILE, without O_DIRECTORY */
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS(number, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, skip)
#define NEVER 0xffff
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (value))
	struct sock_filter code[] = {
		LOAD(nr),
		UNLESS(strstr(list, "unnamed") ? SYS_openat : NEVER, 3),
		LOAD(args[2]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TMPFILE, 0, 6),
		ANSWER(EOPNOTSUPP),
		UNLESS(strstr(list, "noreplace") ? SYS_renameat2 : NEVER, 3),
		LOAD(args[4]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1 /* RENAME_NOREPLACE */, 0, 2),
		ANSWER(EINVAL),
		UNLESS(strstr(list, "link") ? SYS_linkat : NEVER, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		ANSWER(EPERM),
	};
	/* The last test's jumps: refuse if equal, allow else. */
	code[9].jt = 1, code[9].jf = 0;
	struct sock_fprog program = {sizeof code / sizeof *code, code};
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
	execv(argv[0], argv);
	must(0, argv[0]);
	return 1;
}

int main(int argc, char **argv)
{
	char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "names"))
		return names();
	if (!strcmp(what, "put") && argc == 4)
		return put(argv[2], argv[3]);
	if (!strcmp(what, "get") && argc == 3)
		return get(argv[2]);
	if (!strcmp(what, "sem") && argc == 4)
		return sem(argv[2], argv[3]);
	if (!strcmp(what, "layout"))
		return layout();
	if (!strcmp(what, "mutex") && argc == 4)
		return mutex(argv[2], argv[3]);
	if (!strcmp(what, "timedlock") && argc == 3)
		return timedlock(argv[2]);
	if (!strcmp(what, "pidns") && argc == 3)
		return pidns(argv[2]);
	if (!strcmp(what, "fsize") && argc == 3)
		return fsize(argv[2]);
	if (!strcmp(what, "without") && argc >= 4)
		return without(argv[2], argv + 3);
	if (!strcmp(what, "loop") && argc == 4)
		return loop(argv[2], argv[3]);
	fprintf(stderr, "what?\n");
	return 2;
}
