/* load.c: an HTTP load client: N keep-alive connections, one request each at a time, every answer checked and
 * timed. One thread over epoll, so that on a machine of two cores it leaves as much as it can to the server.
 *
 *   load PORT SECONDS CONNECTIONS ORDER REQUESTS
 *
 * REQUESTS is a file of requests as they go over the wire, each behind a line "KIND LENGTH\n", KIND one
 * letter. ORDER: "random" takes any of them each time until the time is over; "once" takes each once, in
 * their order, and ends with the last. Prints one JSON object:
 *   {"seconds","answers","bytes","errors","kinds":{"r":{"answers","p50","p90","p99","p999","max"}},"statuses":{"200":n}}
 * with microseconds for times. An answer that is not 2xx is an error (and its time does not count); a broken
 * connection ends the program with 1. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KINDS 26
#define BUFFER ((size_t)1 << 18)
/* Latencies in buckets of 1/64 of an octave: within 1.1 % of the truth. */
#define SUB_BITS 6
#define BUCKETS (40 << SUB_BITS)

struct request {
    int kind;
    size_t length;
    const char *bytes;
};

struct connection {
    int fd;
    const struct request *request; /* under way */
    size_t sent, got;              /* `got` of the answer in `in` */
    size_t head, body;             /* of the answer; head 0: not complete yet */
    size_t passed;                 /* bytes of the body that were read and thrown away */
    int status;
    uint64_t started;
    char *in;
};

struct kind {
    uint64_t answers, max, bucket[BUCKETS];
};

static struct request *requests;
static size_t request_count, next_request;
static bool once;
static uint64_t seed = 88172645463325252u, answers, errors, bytes;
static struct kind kinds[KINDS];
static uint64_t statuses[600];
static size_t busy;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the requests ---- */

static char *read_file(const char *path, size_t *length)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) die(path);
    long n = ftell(f);
    rewind(f);
    char *text = n >= 0 ? malloc((size_t)n + 1) : NULL;
    if (!text || fread(text, 1, (size_t)n, f) != (size_t)n) die(path);
    text[n] = '\0';
    fclose(f);
    *length = (size_t)n;
    return text;
}

static void read_requests(const char *path)
{
    size_t length, room = 0;
    const char *p = read_file(path, &length), *end = p + length;
    while (p < end) {
        char kind = *p, *after;
        if (kind < 'a' || kind > 'z' || p[1] != ' ') die("bad request file");
        size_t n = strtoull(p + 2, &after, 10);
        if (*after++ != '\n' || n > (size_t)(end - after)) die("bad request file");
        if (request_count == room) {
            room = room ? room * 2 : 1024;
            requests = realloc(requests, room * sizeof *requests);
            if (!requests) die("memory");
        }
        requests[request_count++] = (struct request){kind - 'a', n, after};
        p = after + n;
    }
    if (request_count == 0) die("no requests");
}

static const struct request *pick(void)
{
    if (once) return next_request < request_count ? &requests[next_request++] : NULL;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return &requests[seed % request_count];
}

/* ---- figures ---- */

static size_t bucket_of(uint64_t v)
{
    if (v < (1u << SUB_BITS)) return (size_t)v;
    int top = 63 - __builtin_clzll(v), shift = top - SUB_BITS;
    size_t at = ((size_t)(shift + 1) << SUB_BITS) + (size_t)((v >> shift) & ((1u << SUB_BITS) - 1));
    return at < BUCKETS ? at : BUCKETS - 1;
}

static double value_of(size_t bucket)
{
    if (bucket < (1u << SUB_BITS)) return (double)bucket;
    size_t shift = (bucket >> SUB_BITS) - 1;
    return (double)(((bucket & ((1u << SUB_BITS) - 1)) | (1u << SUB_BITS)) << shift);
}

static double quantile(const struct kind *k, double q)
{
    uint64_t want = (uint64_t)(q * (double)k->answers), sum = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        if ((sum += k->bucket[i]) > want) return value_of(i) / 1000;
    return (double)k->max / 1000;
}

static void note(struct connection *c)
{
    uint64_t took = now() - c->started;
    struct kind *k = &kinds[c->request->kind];
    if (c->status >= 0 && c->status < 600) statuses[c->status]++;
    bytes += c->head + c->body;
    if (c->status / 100 != 2) {
        if (errors++ == 0) fprintf(stderr, "load: first error:\n%.*s\n", (int)c->got, c->in);
        return;
    }
    answers++;
    k->answers++;
    k->bucket[bucket_of(took)]++;
    if (took > k->max) k->max = took;
}

/* ---- connections ---- */

static void send_more(struct connection *c)
{
    while (c->sent < c->request->length) { /* blocking: requests are small */
        ssize_t n = send(c->fd, c->request->bytes + c->sent, c->request->length - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) die("send");
        if (n > 0) c->sent += (size_t)n;
    }
}

static void start(struct connection *c, bool go_on)
{
    c->request = go_on ? pick() : NULL;
    if (!c->request) {
        busy--;
        return;
    }
    c->sent = c->got = c->head = c->body = c->passed = 0;
    c->started = now();
    send_more(c);
}

static bool parse_head(struct connection *c)
{
    const char *end = memmem(c->in, c->got, "\r\n\r\n", 4);
    if (!end) {
        if (c->got == BUFFER) die("the head of an answer is too long");
        return false;
    }
    c->head = (size_t)(end - c->in) + 4;
    c->status = atoi(c->in + 9);
    if (c->status == 204 || c->status == 304) return true;
    for (const char *p = c->in; p < end; p = (const char *)memchr(p, '\n', (size_t)(end + 2 - p)) + 1) {
        if (strncasecmp(p, "content-length:", 15) != 0) continue;
        c->body = (size_t)strtoull(p + 15, NULL, 10);
        return true;
    }
    die("an answer without Content-Length");
}

static void receive(struct connection *c, bool go_on)
{
    for (;;) {
        size_t keep = c->head ? c->head : c->got; /* bodies may be longer than the buffer */
        if (c->head && c->got == BUFFER) {
            c->passed += c->got - keep;
            c->got = keep;
        }
        ssize_t n = recv(c->fd, c->in + c->got, BUFFER - c->got, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) die("the server closed a connection");
        c->got += (size_t)n;
        if (!c->head && !parse_head(c)) continue;
        if (c->got + c->passed < c->head + c->body) continue;
        note(c);
        start(c, go_on);
        return;
    }
}

static void open_connection(struct connection *c, uint16_t port, int poll)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->in = malloc(BUFFER);
    if (c->fd < 0 || !c->in || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &e) != 0) die("epoll");
}

/* ---- the run ---- */

static void print_kind(int i, bool first)
{
    const struct kind *k = &kinds[i];
    printf("%s\"%c\":{\"answers\":%llu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}",
           first ? "" : ",", 'a' + i, (unsigned long long)k->answers, quantile(k, 0.5), quantile(k, 0.9),
           quantile(k, 0.99), quantile(k, 0.999), (double)k->max / 1000);
}

static void print(double seconds)
{
    printf("{\"seconds\":%.6f,\"answers\":%llu,\"bytes\":%llu,\"errors\":%llu,\"kinds\":{", seconds,
           (unsigned long long)answers, (unsigned long long)bytes, (unsigned long long)errors);
    bool first = true;
    for (int i = 0; i < KINDS; i++) {
        if (!kinds[i].answers) continue;
        print_kind(i, first);
        first = false;
    }
    printf("},\"statuses\":{");
    first = true;
    for (int i = 0; i < 600; i++) {
        if (statuses[i]) printf("%s\"%d\":%llu", first ? "" : ",", i, (unsigned long long)statuses[i]);
        if (statuses[i]) first = false;
    }
    printf("}}\n");
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: load PORT SECONDS CONNECTIONS random|once REQUESTS\n");
        return 2;
    }
    size_t n = (size_t)atoi(argv[3]);
    once = strcmp(argv[4], "once") == 0;
    read_requests(argv[5]);
    struct connection *all = calloc(n, sizeof *all);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (!all || poll < 0 || n == 0) die("start");
    for (size_t i = 0; i < n; i++)
        open_connection(&all[i], (uint16_t)atoi(argv[1]), poll);
    uint64_t begin = now(), end = begin + (uint64_t)(atof(argv[2]) * 1e9);
    busy = n;
    for (size_t i = 0; i < n; i++)
        start(&all[i], true);
    while (busy) {
        struct epoll_event events[256];
        int got = epoll_wait(poll, events, 256, 30000);
        if (got < 0 && errno != EINTR) die("epoll");
        if (got == 0) die("no answer for 30 seconds");
        for (int i = 0; i < got; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c->request) die("the server closed a connection");
            receive(c, now() < end);
        }
    }
    print((double)(now() - begin) / 1e9);
    return 0;
}
