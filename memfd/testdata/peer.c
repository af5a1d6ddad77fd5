/* The other side of a handed-over memfd, in C.
 *
 *	peer send SIZE    makes memory, seals it and sends it on descriptor 3
 *	peer receive      takes memory from descriptor 3 and changes it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

union control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int))];
};

static void send_memory(long size)
{
	int fd = memfd_create("from C", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, size) < 0)
		fail("create");
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	strcpy(p, "hello from C");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		fail("seal");

	char byte = 'm';
	struct iovec iov = {&byte, 1};
	union control c;
	memset(&c, 0, sizeof c);
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = sizeof c.buf};
	struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof fd);
	if (sendmsg(3, &msg, 0) != 1)
		fail("sendmsg");
	close(fd);

	char line[8];
	if (!fgets(line, sizeof line, stdin))
		fail("stdin");
	printf("%s\n", p);
}

static void receive_memory(void)
{
	char byte = 0;
	struct iovec iov = {&byte, 1};
	union control c;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = sizeof c.buf};
	if (recvmsg(3, &msg, MSG_CMSG_CLOEXEC) != 1)
		fail("recvmsg");
	struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
	if (byte != 'm' || !h || h->cmsg_type != SCM_RIGHTS || h->cmsg_len != CMSG_LEN(sizeof(int)) || msg.msg_flags & MSG_CTRUNC)
		fail("not what was expected");
	int fd;
	memcpy(&fd, CMSG_DATA(h), sizeof fd);

	struct stat st;
	if (fstat(fd, &st) < 0)
		fail("fstat");
	char *p = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	printf("%s, %ld bytes, seals %d\n", p, (long)st.st_size, fcntl(fd, F_GET_SEALS));
	strcpy(p, "changed by C");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "send"))
		send_memory(atol(argv[2]));
	else
		receive_memory();
	return 0;
}
