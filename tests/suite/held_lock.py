"""A process that keeps its own memory map locked for writing, without end.

It serves a FUSE file of its own, maps a page of it, and touches that page: the read is never answered, so the page stays
locked. A second mmap of the file then waits for the page while it holds the lock of the memory map (the kernel's
fuse_file_mmap calls invalidate_inode_pages2, which FOPEN_DIRECT_IO asks for). Who needs the lock waits, uninterruptibly in
move_pages.

It prints a line when it is ready, locks when a thread that is named after it pauses between two calls of move_pages, and
goes on until it is killed with its process group: then the kernel ends all waits. The file system is mounted on the given
folder, in a mount namespace of its own. The exit code is 77 where that is not permitted.
"""
import ctypes
import glob
import mmap as m
import os
import struct
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.memchr.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
PAGE = m.PAGESIZE
LOOKUP, GETATTR, OPEN, READ, INIT = 1, 3, 14, 15, 26


def attributes(inode, mode, size):
    return struct.pack("<QQQQQQIIIIIIIIII", inode, size, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, PAGE, 0)


def serve(device):
    """Answers what leads to the file, and no read."""
    while True:
        try:
            request = os.read(device, 1 << 20)
        except OSError:
            return
        _, operation, unique, node = struct.unpack("<IIQQ", request[:24])
        if operation == INIT:
            answer = struct.pack("<IIIIHHIIHHIIHH24x", 7, 31, PAGE, 0, 16, 12, PAGE, 1, 0, 0, 0, 0, 0, 0)[:64]
            answer = answer.ljust(64, b"\0")
        elif operation == LOOKUP:
            answer = struct.pack("<QQQQII", 2, 0, 3600, 3600, 0, 0) + attributes(2, 0o100644, PAGE)
        elif operation == GETATTR:
            mode, size = (0o40755, 0) if node == 1 else (0o100644, PAGE)
            answer = struct.pack("<QII", 3600, 0, 0) + attributes(node, mode, size)
        elif operation == OPEN:
            direct_io = 1
            answer = struct.pack("<QII", 0, direct_io, 0)
        elif operation == READ:
            continue
        else:
            os.write(device, struct.pack("<IiQ", 16, -38, unique))
            continue
        os.write(device, struct.pack("<IiQ", 16 + len(answer), 0, unique) + answer)


def text(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def samples(task):
    """The kernel shows the call of a thread that sleeps: nanosleep or clock_nanosleep."""
    return text(f"{task}/comm") == f"reads {os.getpid()}\n" and text(f"{task}/syscall").startswith(("35 ", "230 "))


def scans(process):
    """Before pages are queried, `pagemap` is scanned for them. Who waits for the lock there can be killed."""
    links = glob.glob(f"{process}/fd/*")
    return any(link_of(link).endswith("/pagemap") for link in links)


def link_of(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def wait_for_sampler():
    programs = lambda: (at for at in glob.glob("/proc/[0-9]*") if text(f"{at}/comm") == "numa-audit\n")
    while not any(samples(task) and not scans(at) for at in programs() for task in glob.glob(f"{at}/task/*")):
        pass


def give_up(why):
    print(why, flush=True)
    sys.exit(77)


def check(call, answer):
    if answer != 0:
        give_up(f"{call}: {os.strerror(ctypes.get_errno())}")


def main():
    place = sys.argv[1]
    new_mounts, private, recursive = 0x20000, 1 << 18, 1 << 14
    check("unshare", libc.unshare(new_mounts))
    check("mount", libc.mount(b"none", b"/", None, private | recursive, None))
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        give_up(f"/dev/fuse: {error}")
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    check("mount", libc.mount(b"none", place.encode(), b"fuse", 0, options))
    if os.fork() == 0:
        serve(device)
        os._exit(0)
    os.close(device)
    file = os.open(os.path.join(place, "file"), os.O_RDONLY)
    page = libc.mmap(None, PAGE, m.PROT_READ, m.MAP_PRIVATE, file, 0)
    threading.Thread(target=libc.memchr, args=(page, 0, 1), daemon=True).start()
    # So sparse that its pages are looked for by hundreds of calls, one after the other.
    stride = 128 * PAGE
    size = 66000 * stride
    memory = m.mmap(-1, size, flags=m.MAP_PRIVATE | m.MAP_ANONYMOUS | 0x4000)
    memory.madvise(m.MADV_NOHUGEPAGE)
    for at in range(0, size, stride):
        memory[at] = 1
    print("ready", flush=True)
    wait_for_sampler()
    libc.mmap(None, PAGE, m.PROT_READ, m.MAP_PRIVATE, file, 0)


main()
