/* chaos_test.c: many connections do random things at random moments: half requests, garbage, resets, answers
 * that nobody reads. Afterwards the server serves, and nothing of all that is left in it. The seed is
 * printed; give it as the argument to see the same again. */
#include "unit/http/fixture.h"

#include <fcntl.h>
#include <time.h>

#define HOST "Host: a\r\n"
#define CLIENTS 40
#define STEPS 30000

static unsigned long seed;

static unsigned random_below(unsigned n)
{
    seed = seed * 6364136223846793005UL + 1442695040888963407UL;
    return (unsigned)(seed >> 33) % n;
}

static const char *const pieces[] = {
    "GET /echo HTTP/1.1\r\n" HOST "\r\n",
    "GET /later HTTP/1.1\r\n" HOST "\r\n",
    "GET /big?n=300000 HTTP/1.1\r\n" HOST "\r\n",
    "GET /export?n=3000 HTTP/1.1\r\n" HOST "\r\n",
    "GET /events HTTP/1.1\r\n" HOST "\r\n",
    "GET /json?n=20000 HTTP/1.1\r\n" HOST "Accept-Encoding: gzip\r\n\r\n",
    "HEAD /big?n=70000 HTTP/1.1\r\n" HOST "\r\n",
    "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhel",
    "POST /upload HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /upload?stop HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n0123456789",
    "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n0123456789",
    "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n",
    "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "GET /echo HTTP/1.0\r\n\r\n",
    "GET /echo HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
    "garbage\r\n\r\n",
    "abc",
    "\r\n",
};

static int open_client(void)
{
    int fd = client_open();
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void leave(int *fd)
{
    struct linger reset = {.l_onoff = 1};
    if (random_below(2)) setsockopt(*fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(*fd);
    *fd = open_client();
}

static void act(int *fd)
{
    static char sink[200000];
    const char *piece = pieces[random_below(sizeof pieces / sizeof pieces[0])];
    unsigned what = random_below(100);
    if (what < 45)
        (void)send(*fd, piece, strlen(piece), MSG_NOSIGNAL);
    else if (what < 60)
        (void)send(*fd, piece, random_below((unsigned)strlen(piece)) + 1, MSG_NOSIGNAL);
    else if (what < 92)
        (void)!recv(*fd, sink, random_below(sizeof sink) + 1, 0);
    else if (what < 94)
        (void)shutdown(*fd, SHUT_WR);
    else
        leave(fd);
}

static void test_chaos_leaves_nothing_behind(void **state)
{
    (void)state;
    int fds[CLIENTS];
    print_message("seed %lu\n", seed);
    fixture_start((struct http_config){.threads = 2,
                                       .limits = {.head_ms = 30,
                                                  .body_ms = 50,
                                                  .idle_ms = 40,
                                                  .keep_alive_ms = 60,
                                                  .write_ms = 60,
                                                  .pipeline = 3}});
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = open_client();
    for (int i = 0; i < STEPS; i++)
        act(&fds[random_below(CLIENTS)]);
    expect_body("GET /echo HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "GET /echo||");
    for (int i = 0; i < CLIENTS / 2; i++)
        close(fds[i]);
    http_server_stop(fixture.server, 100); /* the others are still there, some in the middle of something */
    for (int i = CLIENTS / 2; i < CLIENTS; i++)
        close(fds[i]);
    struct http_counters c = counters();
    print_message("%llu requests, %llu errors, %llu timeouts\n", (unsigned long long)c.requests,
                  (unsigned long long)c.parse_errors, (unsigned long long)c.timeouts);
    assert_true(c.requests > 100);
    fixture_stop();
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoul(argv[1], NULL, 10) : (unsigned long)time(NULL) ^ (unsigned long)getpid() << 16;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chaos_leaves_nothing_behind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
