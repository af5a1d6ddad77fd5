/*
 * posix_writer NAME TEXT puts a string into a shared memory object of 100
 * bytes and leaves it there. With a third argument it waits for a line on
 * standard input before it gives the object its size.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE 100

int main(int argc, char **argv)
{
	if (argc < 3 || strlen(argv[2]) >= SIZE)
		return 2;
	int fd = shm_open(argv[1], O_CREAT | O_RDWR, 0666);
	if (fd < 0) {
		perror("shm_open");
		return 1;
	}
	if (argc > 3) {
		puts("created");
		fflush(stdout);
		getchar();
	}
	if (ftruncate(fd, SIZE) != 0) {
		perror("ftruncate");
		return 1;
	}
	char *text = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (text == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	strcpy(text, argv[2]);
	puts("written");
	return munmap(text, SIZE) == 0 ? 0 : 1;
}
