/*
 * Prints the string in the segment of ftok("./shmfile", 65) and removes it.
 */
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/shm.h>

int main(void)
{
	key_t key = ftok("./shmfile", 65);
	int id = shmget(key, 1024, 0666 | IPC_CREAT);
	if (id < 0) {
		perror("shmget");
		return 1;
	}
	const char *text = shmat(id, NULL, 0);
	if (text == (void *)-1) {
		perror("shmat");
		return 1;
	}
	printf("%s\n", text);
	if (shmdt(text) != 0 || shmctl(id, IPC_RMID, NULL) != 0) {
		perror("shmdt, shmctl");
		return 1;
	}
	return 0;
}
