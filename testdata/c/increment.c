/*
 * increment NAME OFFSET COUNT increments a C11 atomic word of 64 bits in a
 * shared memory object, once it has said so and got a line.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
	struct stat st;
	int fd = argc == 4 ? shm_open(argv[1], O_RDWR, 0) : -1;
	if (fd < 0 || fstat(fd, &st) != 0) {
		perror("shm_open");
		return 1;
	}
	char *p = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	_Atomic unsigned long long *word = (void *)(p + atol(argv[2]));
	puts("ready");
	fflush(stdout);
	getchar();
	for (long n = atol(argv[3]); n > 0; n--)
		atomic_fetch_add(word, 1);
	return 0;
}
