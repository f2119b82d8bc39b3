/* Measures the cost of a program.
 *   meter FILE PROGRAM [ARGUMENT...]
 * Writes `USER SYSTEM WALL PEAK STATUS` into FILE: microseconds, KiB, and the exit status. It is a small program
 * because the kernel counts what was resident before exec(2) in a child's peak. The program ends with this one's parent. */
#define _GNU_SOURCE
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long micros(struct timeval time)
{
	return time.tv_sec * 1000000LL + time.tv_usec;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(2, "meter FILE PROGRAM [ARGUMENT...]");
	struct timespec start, end;
	struct rusage usage;
	int status;
	FILE *out = fopen(argv[1], "we");
	if (!out)
		err(1, "%s", argv[1]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid_t child = fork();
	if (child < 0)
		err(1, "fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[2], argv + 2);
		err(127, "%s", argv[2]);
	}
	if (wait4(child, &status, 0, &usage) != child)
		err(1, "wait4");
	clock_gettime(CLOCK_MONOTONIC, &end);
	long long wall = (end.tv_sec - start.tv_sec) * 1000000LL + (end.tv_nsec - start.tv_nsec) / 1000;
	fprintf(out, "%lld %lld %lld %ld %d\n", micros(usage.ru_utime), micros(usage.ru_stime), wall, usage.ru_maxrss,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return fclose(out) ? 1 : 0;
}
