/* Reads the files that an audit reads, and discards them: no program that reads them can cost less.
 *   floor affinity PID...    what numa-audit --memory none reads for these processes, in its order, by its system calls
 *   floor memory PID...      numa_maps, whole
 *
 * An audit reads `stat` of all processes of the machine, to find the descendants of those that it was given. Below
 * `/proc/PID` of each of these: status, cgroup, the list of threads, of each thread its affinity and (but for the first, whose
 * stat was read) its stat; then cmdline, environ, and statm to notice that it ended meanwhile. The folder of each process
 * stays open, so that its files cannot be those of another process, and is closed at the end. Not part of the floor is what an
 * audit reads once for the machine (some fifty small files of /sys), and the process that asks NVML. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 1 << 22 };

static char buffer[64 << 10];
static int folders[MOST]; /* of each process, by its PID; 0: not held */

/* `once`: the kernel gives the whole file at the first read. A process may end at any time. */
static void read_file(int folder, const char *path, int once)
{
	int file = openat(folder, path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return;
	while (read(file, buffer, sizeof buffer) > 0 && !once)
		;
	close(file);
}

struct entry { /* of getdents64(2) */
	unsigned long long number, offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

/* The numbers among the names in a folder. They end with -1, and are overwritten by the next call. */
static int *numbers_in(int folder)
{
	static int numbers[MOST];
	static char entries[8 << 10];
	int count = 0;
	long size;
	while ((size = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0)
		for (long at = 0; at < size;) {
			struct entry *entry = (struct entry *)(entries + at);
			int number = atoi(entry->name);
			if (number > 0 && count < MOST - 1)
				numbers[count++] = number;
			at += entry->size;
		}
	numbers[count] = -1;
	return numbers;
}

static void stat_of_all(void)
{
	char path[64];
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int *pid = numbers_in(proc); *pid > 0; pid++) {
		snprintf(path, sizeof path, "/proc/%d", *pid);
		int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (folder < 0)
			continue;
		read_file(folder, "stat", 1);
		folders[*pid] = folder;
	}
	close(proc);
}

static void threads(int pid)
{
	char path[64];
	cpu_set_t cpus;
	int task = openat(folders[pid], "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (task < 0)
		err(1, "the threads of %d", pid);
	for (int *tid = numbers_in(task); *tid > 0; tid++) {
		if (*tid != pid) {
			snprintf(path, sizeof path, "%d/stat", *tid);
			read_file(task, path, 1);
		}
		if (sched_getaffinity(*tid, sizeof cpus, &cpus) && errno != ESRCH)
			err(1, "sched_getaffinity of %d", *tid);
	}
	close(task);
}

static void affinity(int count, char **pids)
{
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	stat_of_all();
	for (int i = 0; i < count; i++) {
		int pid = atoi(pids[i]);
		if (pid <= 0 || pid >= MOST || !folders[pid])
			errx(1, "no process %s", pids[i]);
		read_file(folders[pid], "status", 1);
		read_file(folders[pid], "cgroup", 1);
		threads(pid);
	}
	for (int i = 0; i < count; i++) {
		int folder = folders[atoi(pids[i])];
		read_file(folder, "cmdline", 1);
		read_file(folder, "environ", 1);
	}
	for (int i = 0; i < count; i++)
		read_file(folders[atoi(pids[i])], "statm", 1);
}

static void memory(int count, char **pids)
{
	char path[64];
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "/proc/%s/numa_maps", pids[i]);
		read_file(AT_FDCWD, path, 0);
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(2, "floor affinity|memory PID...");
	(strcmp(argv[1], "affinity") ? memory : affinity)(argc - 2, argv + 2);
	return 0;
}
