/*
 * posix_reader NAME prints the string in a shared memory object, which it
 * makes 100 bytes long and maps privately.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE 100

int main(int argc, char **argv)
{
	int fd = argc > 1 ? shm_open(argv[1], O_RDWR, 0) : -1;
	if (fd < 0) {
		perror("shm_open");
		return 1;
	}
	if (ftruncate(fd, SIZE) != 0) {
		perror("ftruncate");
		return 1;
	}
	char *text = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	puts(text);
	text[0] = '!'; /* nobody else sees it */
	munmap(text, SIZE);
	close(fd);
	return 0;
}
