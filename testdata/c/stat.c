/*
 * stat id ID, stat name NAME or stat create-key KEY SIZE MODE and stat
 * create-name NAME SIZE MODE: what C sees of shared memory, and C's way to
 * make it. Output: size, mode, uid, gid, then for a segment key, creator,
 * attachments and last process, for an object links and 512-byte blocks.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

static int show_id(int id)
{
	struct shmid_ds ds;
	if (shmctl(id, IPC_STAT, &ds) != 0) {
		perror("shmctl");
		return 1;
	}
	printf("%zu %o %u %u %d %d %lu %d\n", ds.shm_segsz, ds.shm_perm.mode, ds.shm_perm.uid, ds.shm_perm.gid,
	       (int)ds.shm_perm.__key, (int)ds.shm_cpid, (unsigned long)ds.shm_nattch, (int)ds.shm_lpid);
	return 0;
}

static int show_fd(int fd)
{
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0) {
		perror("fstat");
		return 1;
	}
	printf("%lld %o %u %u %u %lld\n", (long long)st.st_size, st.st_mode, st.st_uid, st.st_gid,
	       (unsigned)st.st_nlink, (long long)st.st_blocks);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "id") == 0)
		return show_id(atoi(argv[2]));
	if (argc == 3 && strcmp(argv[1], "name") == 0)
		return show_fd(shm_open(argv[2], O_RDONLY, 0));
	if (argc != 5)
		return 2;
	long size = atol(argv[3]);
	int mode = strtol(argv[4], NULL, 8);
	if (strcmp(argv[1], "create-key") == 0) {
		int id = shmget(atoi(argv[2]), size, IPC_CREAT | IPC_EXCL | mode);
		if (id < 0) {
			perror("shmget");
			return 1;
		}
		printf("%d\n", id);
		return 0;
	}
	int fd = shm_open(argv[2], O_CREAT | O_EXCL | O_RDWR, mode);
	if (fd < 0 || ftruncate(fd, size) != 0) {
		perror("shm_open, ftruncate");
		return 1;
	}
	return 0;
}
