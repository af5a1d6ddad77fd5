/*
 * Puts one line from standard input into the segment of ftok("./shmfile", 65)
 * and keeps it attached until standard input ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define SIZE 1024

int main(void)
{
	key_t key = ftok("./shmfile", 65);
	int id = shmget(key, SIZE, 0666 | IPC_CREAT);
	if (id < 0) {
		perror("shmget");
		return 1;
	}
	char *text = shmat(id, NULL, 0);
	if (text == (void *)-1) {
		perror("shmat");
		return 1;
	}
	if (fgets(text, SIZE, stdin) == NULL)
		return 1;
	printf("written key %d id %d\n", key, id);
	fflush(stdout);
	while (getchar() != EOF)
		;
	if (shmdt(text) != 0) {
		perror("shmdt");
		return 1;
	}
	return 0;
}
