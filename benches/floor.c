/* Reads the files that an audit reads, and discards them: no program that reads them can cost less.
 *   floor affinity PID...    of each thread: stat, and sched_getaffinity(2)
 *   floor memory PID...      numa_maps, whole */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char buffer[64 << 10];

static void read_whole(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		err(1, "%s", path);
	ssize_t size;
	while ((size = read(file, buffer, sizeof buffer)) > 0)
		;
	if (size < 0)
		err(1, "%s", path);
	close(file);
}

static void affinity(const char *pid)
{
	char path[300];
	cpu_set_t cpus;
	snprintf(path, sizeof path, "/proc/%s/task", pid);
	DIR *threads = opendir(path);
	if (!threads)
		err(1, "%s", path);
	for (struct dirent *thread; (thread = readdir(threads));) {
		if (thread->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%s/task/%s/stat", pid, thread->d_name);
		read_whole(path);
		if (sched_getaffinity(atoi(thread->d_name), sizeof cpus, &cpus))
			err(1, "sched_getaffinity of %s", thread->d_name);
	}
	closedir(threads);
}

static void memory(const char *pid)
{
	char path[300];
	snprintf(path, sizeof path, "/proc/%s/numa_maps", pid);
	read_whole(path);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(2, "floor affinity|memory PID...");
	void (*look)(const char *) = strcmp(argv[1], "affinity") ? memory : affinity;
	for (int i = 2; i < argc; i++)
		look(argv[i]);
	return 0;
}
