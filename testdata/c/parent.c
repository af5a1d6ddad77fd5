/*
 * parent KIND PROGRAM ARG... shares memory with a child that it makes by
 * fork and execv, and talks to it through that alone: both store "ping" and
 * "pong" beside a C11 atomic word, the turn.
 *
 * KIND private: a segment of IPC_PRIVATE; the child finds its identifier in
 * the environment. KIND posix and memfd: an inherited descriptor, whose
 * number the child finds there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 4096
#define ROUNDS 1000

struct shared {
	_Atomic unsigned turn; /* even: the parent's, odd: the child's */
	unsigned unused;
	_Atomic unsigned long long count;
	char text[16];
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	int id = -1, fd = -1;
	struct shared *s;
	char number[16];
	if (strcmp(argv[1], "private") == 0) {
		id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
		if (id < 0 || (s = shmat(id, NULL, 0)) == (void *)-1) {
			perror("shmget, shmat");
			return 1;
		}
		sprintf(number, "%d", id);
	} else {
		if (strcmp(argv[1], "posix") == 0) {
			char name[64];
			sprintf(name, "/parent.%d", (int)getpid());
			fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
			shm_unlink(name);
		} else {
			fd = memfd_create("parent", 0);
		}
		if (fd < 0 || ftruncate(fd, SIZE) != 0) {
			perror("shm_open, memfd_create, ftruncate");
			return 1;
		}
		fcntl(fd, F_SETFD, 0);
		s = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (s == MAP_FAILED) {
			perror("mmap");
			return 1;
		}
		sprintf(number, "%d", fd);
	}
	setenv("PARENT_KIND", argv[1], 1);
	setenv("PARENT_NUMBER", number, 1);
	pid_t child = fork();
	if (child == 0) {
		execv(argv[2], argv + 2);
		perror("execv");
		_exit(1);
	}
	int status = 0, good = child > 0;
	for (unsigned round = 0; good && round < ROUNDS; round++) {
		strcpy(s->text, "ping");
		atomic_fetch_add(&s->count, 1);
		atomic_store(&s->turn, 2 * round + 1);
		while (atomic_load(&s->turn) != 2 * round + 2) {
			if (waitpid(child, &status, WNOHANG) != 0) {
				printf("the child has ended, status %d\n", status);
				good = 0;
				break;
			}
			sched_yield();
		}
		if (good && strcmp(s->text, "pong") != 0) {
			printf("round %u: %s\n", round, s->text);
			good = 0;
		}
	}
	if (good && waitpid(child, &status, 0) == child && status == 0)
		printf("talked, count %llu\n", atomic_load(&s->count));
	if (id >= 0) {
		struct shmid_ds ds;
		shmctl(id, IPC_STAT, &ds);
		printf("nattch %lu\n", (unsigned long)ds.shm_nattch);
		shmdt(s);
		shmctl(id, IPC_RMID, NULL);
	}
	return good ? 0 : 1;
}
