/* fsync.c: the limit of one durable write: what this disk takes to make an append of a few pages durable.
 *
 *   fsync FOLDER SECONDS BYTES
 *
 * Writes BYTES at a time into a file that has its size already, as a WAL that is used again, and calls
 * fdatasync after each. Prints {"count","p50","mean","p99"} with microseconds. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMES_MAX 200000
#define FILE_BYTES ((off_t)16 << 20)

static uint64_t times[TIMES_MAX];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "fsync: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void put(int fd, const char *block, size_t n, off_t at)
{
    while (n) {
        ssize_t done = pwrite(fd, block, n, at);
        if (done < 0 && errno != EINTR) die("write");
        if (done < 0) continue;
        n -= (size_t)done;
        at += done;
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: fsync FOLDER SECONDS BYTES\n");
        return 2;
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/fsync.tmp", argv[1]);
    size_t n = (size_t)atoll(argv[3]), count = 0;
    char *block = malloc(n);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || !block || n == 0 || (off_t)n > FILE_BYTES) die(path);
    memset(block, 0x5a, n);
    for (off_t at = 0; at + (off_t)n <= FILE_BYTES; at += (off_t)n)
        put(fd, block, n, at);
    if (fsync(fd) != 0) die("fsync");
    uint64_t end = now() + (uint64_t)(atof(argv[2]) * 1e9), sum = 0;
    off_t at = 0;
    do {
        uint64_t begin = now();
        memcpy(block, &begin, sizeof begin < n ? sizeof begin : n);
        put(fd, block, n, at);
        if (fdatasync(fd) != 0) die("fdatasync");
        times[count] = now() - begin;
        sum += times[count++];
        at = at + 2 * (off_t)n <= FILE_BYTES ? at + (off_t)n : 0;
    } while (now() < end && count < TIMES_MAX);
    qsort(times, count, sizeof *times, compare);
    printf("{\"count\":%zu,\"p50\":%.1f,\"mean\":%.1f,\"p99\":%.1f}\n", count,
           (double)times[count / 2] / 1000, (double)sum / (double)count / 1000,
           (double)times[count * 99 / 100] / 1000);
    close(fd);
    unlink(path);
    free(block);
    return 0;
}
