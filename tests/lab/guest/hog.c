/* hog: imitates a training process. Carries out its options in their order, prints "ready PID", and stays.
 *   -n NAME        its name, and that of threads made after it
 *   -b NODE        mbind what is allocated from now on to this node; -1: no more
 *   -m MIB         touch private anonymous memory       -z MIB   shared anonymous memory, as the driver's pinned memory is
 *   -s MIB         a memfd                              -H MIB   huge pages
 *   -M MIB         a memfd of huge pages                -F MIB   a file on /dev/hugepages
 *   -t CPULIST     a thread that may run on these CPUs alone
 *   -i NODES       a thread that interleaves over these nodes (a bit mask)
 *   -x NAME        a thread of that name that is busy for a third of the time with what was allocated last
 *   -w COUNT       fork so many workers, with 8 MiB of their own and 4 MiB shared each
 *   -o COUNT       the same through a process that ends: an init adopts them
 *   -f COUNT       the same through a process with the command line of Python's fork server, which stays
 * The GPU whose number HOG_GPU has it works on: it has every /dev/nvidiaN open 7 times and that one 23 times, as driver
 * 580 was seen to do; its forked workers inherit them. It neither needs nor uses libnuma: what it does, it does to the kernel. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MPOL_BIND = 2, MPOL_INTERLEAVE = 3 };

static void fail(const char *what) { perror(what); exit(1); }

static char *last;
static size_t last_size;

static void allocate(long mib, int flags, int fd, int node)
{
    size_t size = (size_t)mib << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (memory == MAP_FAILED) fail("mmap");
    if (node >= 0) {
        unsigned long mask = 1ul << node;
        if (syscall(SYS_mbind, memory, size, MPOL_BIND, &mask, 64, 0)) fail("mbind");
    }
    for (size_t at = 0; at < size; at += 4096) memory[at] = 1;
    last = memory;
    last_size = size;
}

static void share(long mib, int node, int fd)
{
    if (fd < 0 || ftruncate(fd, mib << 20)) fail("memfd");
    allocate(mib, MAP_SHARED, fd, node);
}

static pthread_barrier_t placed;

static void *bound(void *argument)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    for (char *part = strtok(argument, ","); part; part = strtok(NULL, ",")) CPU_SET(atoi(part), &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus)) fail("sched_setaffinity");
    pthread_barrier_wait(&placed);
    for (;;) pause();
    return NULL;
}

static void *interleaved(void *argument)
{
    unsigned long mask = strtoul(argument, NULL, 0);
    if (syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &mask, 64)) fail("set_mempolicy");
    pthread_barrier_wait(&placed);
    for (;;) pause();
    return NULL;
}

static void *busy(void *name)
{
    volatile char *memory = last;
    struct timespec used, from;
    prctl(PR_SET_NAME, name);
    pthread_barrier_wait(&placed);
    for (;;) {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        do {
            for (size_t at = 0; at < last_size; at += 4096) memory[at]++;
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
        } while ((used.tv_sec - from.tv_sec) * 1000000000l + used.tv_nsec - from.tv_nsec < 10000000);
        usleep(20000);
    }
    return NULL;
}

static void start(void *(*run)(void *), char *argument)
{
    pthread_t thread;
    pthread_barrier_init(&placed, NULL, 2);
    if (pthread_create(&thread, NULL, run, argument)) fail("pthread_create");
    pthread_barrier_wait(&placed);
}

static void hold(const char *path, int times)
{
    for (int i = 0; i < times; i++) {
        if (open(path, O_RDWR | O_CLOEXEC) < 0) fail(path);
    }
}

static void hold_driver(int gpu)
{
    char path[32];
    hold("/dev/nvidiactl", 2);
    for (int n = 0; n < 16; n++) {
        snprintf(path, sizeof path, "/dev/nvidia%d", n);
        if (access(path, F_OK) == 0) hold(path, n == gpu ? 23 : 7);
    }
}

static void work(int ready, int ends_with_parent)
{
    prctl(PR_SET_NAME, "pt_data_worker");
    if (ends_with_parent) prctl(PR_SET_PDEATHSIG, 9);
    allocate(8, MAP_PRIVATE | MAP_ANONYMOUS, -1, -1);
    share(4, -1, memfd_create("torch", 0));
    if (write(ready, "x", 1) != 1) fail("write");
    for (;;) pause();
}

static void fork_each(int count, int ready, int ends_with_parent)
{
    for (int i = 0; i < count; i++)
        if (fork() == 0) work(ready, ends_with_parent);
}

static void wait_for(int count, int ready)
{
    char byte;
    for (int i = 0; i < count; i++)
        if (read(ready, &byte, 1) != 1) fail("read");
}

static void fork_workers(int count)
{
    int ready[2];
    if (pipe(ready)) fail("pipe");
    fork_each(count, ready[1], 1);
    wait_for(count, ready[0]);
}

static void orphan_workers(int count)
{
    int ready[2];
    if (pipe(ready)) fail("pipe");
    pid_t between = fork();
    if (between == 0) {
        fork_each(count, ready[1], 0);
        _exit(0);
    }
    wait_for(count, ready[0]);
    if (waitpid(between, NULL, 0) != between) fail("waitpid");
}

static void serve_workers(char *count)
{
    int ready[2];
    char end[16];
    if (pipe(ready)) fail("pipe");
    snprintf(end, sizeof end, "%d", ready[1]);
    if (fork() == 0) {
        execl("/proc/self/exe", "python3", "-c", "from multiprocessing.forkserver import main; main(5, 7)", end, count, NULL);
        fail("execl");
    }
    wait_for(atoi(count), ready[0]);
}

static void be_fork_server(char **argv)
{
    fork_each(atoi(argv[4]), atoi(argv[3]), 0);
    for (;;) pause();
}

int main(int argc, char **argv)
{
    int option, node = -1;
    if (argc == 5 && strcmp(argv[1], "-c") == 0) be_fork_server(argv);
    if (getenv("HOG_GPU")) hold_driver(atoi(getenv("HOG_GPU")));
    while ((option = getopt(argc, argv, "n:b:m:z:s:H:M:F:t:i:x:w:o:f:")) != -1) switch (option) {
    case 'n': prctl(PR_SET_NAME, optarg); break;
    case 'b': node = atoi(optarg); break;
    case 'm': allocate(atol(optarg), MAP_PRIVATE | MAP_ANONYMOUS, -1, node); break;
    case 'z': allocate(atol(optarg), MAP_SHARED | MAP_ANONYMOUS, -1, node); break;
    case 's': share(atol(optarg), node, memfd_create("torch", 0)); break;
    case 'M': share(atol(optarg), node, memfd_create("torch", MFD_HUGETLB)); break;
    case 'F': share(atol(optarg), node, open("/dev/hugepages/torch", O_RDWR | O_CREAT, 0600)); break;
    case 'H': allocate(atol(optarg), MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, node); break;
    case 't': start(bound, optarg); break;
    case 'i': start(interleaved, optarg); break;
    case 'x': start(busy, optarg); break;
    case 'w': fork_workers(atoi(optarg)); break;
    case 'o': orphan_workers(atoi(optarg)); break;
    case 'f': serve_workers(optarg); break;
    default: return 2;
    }
    printf("ready %d\n", (int)getpid());
    fflush(stdout);
    for (;;) pause();
}
