/* A process that maps and unmaps memory all the time, as an allocator does, and reports how long it had to wait for it.
 *   stall MIB
 * It has MIB of anonymous memory in 4 KiB pages besides, in one mapping. Prints `ready PID`; then for each line
 * `MILLISECONDS` on its input works that long and prints `WORST P99 MEDIAN` in microseconds. Ends with its input. */
#define _GNU_SOURCE
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static double now(void) /* in microseconds */
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static int ascending(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;
	return (a > b) - (a < b);
}

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	return memory;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "stall MIB");
	size_t bytes = (size_t)atol(argv[1]) << 20;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	void *memory = map(bytes);
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 1, bytes);
	printf("ready %d\n", getpid());
	fflush(stdout);

	const size_t most = 1 << 20;
	double *waits = malloc(most * sizeof *waits);
	const struct timespec pause = {.tv_nsec = 100000};
	char line[32];
	while (waits && fgets(line, sizeof line, stdin)) {
		double end = now() + atof(line) * 1e3;
		size_t count = 0;
		while (count < most && (count == 0 || now() < end)) {
			double start = now();
			munmap(map(64 << 10), 64 << 10);
			waits[count++] = now() - start;
			nanosleep(&pause, NULL);
		}
		qsort(waits, count, sizeof *waits, ascending);
		printf("%.1f %.1f %.1f\n", waits[count - 1], waits[count * 99 / 100], waits[count / 2]);
		fflush(stdout);
	}
	return 0;
}
