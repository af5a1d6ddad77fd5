/*
 * deny ERRNO CALL... -- PROGRAM ARG...
 *
 * Executes PROGRAM with the named system calls answering ERRNO, a number, as
 * a sandbox or a kernel without them does.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct { const char *name; long number; } calls[] = {
	{"shmget", SYS_shmget}, {"shmat", SYS_shmat}, {"shmctl", SYS_shmctl},
	{"memfd_create", SYS_memfd_create}, {"fallocate", SYS_fallocate}, {"linkat", SYS_linkat},
};

static long number(const char *name)
{
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].number;
	fprintf(stderr, "deny: what call is %s?\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	struct sock_filter code[64];
	int n = 0, i = 2;
	int error = argc > 1 ? atoi(argv[1]) : 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (; i < argc && strcmp(argv[i], "--") != 0 && n < 60; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number(argv[i]), 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (i + 1 >= argc) {
		fprintf(stderr, "deny: no program\n");
		return 2;
	}
	struct sock_fprog program = {.len = n, .filter = code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		perror("deny: prctl");
		return errno == EINVAL || errno == ENOSYS ? 77 : 2;
	}
	execv(argv[i + 1], argv + i + 1);
	perror("deny: execv");
	return 2;
}
