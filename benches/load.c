/* A load to audit: processes of many threads and much memory that do nothing.
 *   load PROCESSES THREADS MIB
 * Each process has THREADS threads and MIB of anonymous memory in 4 KiB pages. When all are there it prints
 * `ready OWN_PID PID...` and waits. It and its processes end with the process that started it. */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static void *sleep_for_good(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

static void die_with_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		exit(1);
}

static void process(int threads, size_t bytes, int ready)
{
	if (bytes) {
		char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			err(1, "mmap");
		madvise(memory, bytes, MADV_NOHUGEPAGE);
		memset(memory, 1, bytes);
	}
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	for (int i = 1; i < threads; i++) {
		pthread_t thread;
		if (pthread_create(&thread, &attributes, sleep_for_good, NULL))
			errx(1, "no more threads");
	}
	if (write(ready, "x", 1) != 1)
		err(1, "write");
	sleep_for_good(NULL);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		errx(2, "load PROCESSES THREADS MIB");
	int count = atoi(argv[1]), threads = atoi(argv[2]), ready[2];
	size_t bytes = (size_t)atol(argv[3]) << 20;
	pid_t *pids = calloc(count, sizeof *pids), own = getpid();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!pids || pipe(ready))
		err(1, "pipe");
	for (int i = 0; i < count; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			err(1, "fork");
		if (!pids[i]) {
			die_with_parent(own);
			close(ready[0]);
			process(threads, bytes, ready[1]);
		}
	}
	close(ready[1]);
	for (int i = 0; i < count; i++) {
		char byte;
		if (read(ready[0], &byte, 1) != 1)
			errx(1, "a process ended");
	}
	printf("ready %d", own);
	for (int i = 0; i < count; i++)
		printf(" %d", pids[i]);
	putchar('\n');
	fflush(stdout);
	sleep_for_good(NULL);
}
