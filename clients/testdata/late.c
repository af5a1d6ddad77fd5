/* Does not compile: the header needs _GNU_SOURCE, and it is too late. */
#include <fcntl.h>

#include "shm_topic.h"

int main(void) { return 0; }
