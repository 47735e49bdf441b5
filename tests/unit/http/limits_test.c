/* limits_test.c: slow, greedy and vanishing clients: what each may cost, and that the others do not notice.
 */
#include "unit/http/fixture.h"

#include <sys/resource.h>

#define HOST "Host: a\r\n"
#define LAST HOST "Connection: close\r\n\r\n"

static void start_with(struct http_limits limits)
{
    fixture_start((struct http_config){.limits = limits});
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop();
    return 0;
}

/* "GET /xxx… HTTP/1.1" with a target of that many bytes, or fields of that many. */
static char *request_with(size_t target, size_t fields, size_t field_size)
{
    char *text = calloc(1, target + fields * (field_size + 16) + 256), *p = text;
    p += sprintf(p, "GET /");
    memset(p, 'x', target - 1);
    p += target - 1;
    p += sprintf(p, " HTTP/1.1\r\n" HOST);
    for (size_t i = 0; i < fields; i++) {
        p += sprintf(p, "X-%zu: ", i);
        memset(p, 'y', field_size);
        p += field_size;
        p += sprintf(p, "\r\n");
    }
    sprintf(p, "Connection: close\r\n\r\n");
    return text;
}

static void expect_limit(size_t target, size_t fields, size_t field_size, int status)
{
    char *text = request_with(target, fields, field_size);
    expect_status(text, status);
    free(text);
}

static void test_sizes_of_the_head(void **state)
{
    (void)state;
    start_with((struct http_limits){0});
    expect_limit(8 * 1024, 0, 0, 200);
    expect_limit(8 * 1024 + 1, 0, 0, 414);
    expect_limit(1000000, 0, 0, 414);
    expect_limit(10, 1, 15 * 1024, 200);
    expect_limit(10, 1, 16 * 1024, 431);
    expect_limit(10, 1, 5000000, 431);
    expect_limit(10, 98, 10, 200);
    expect_limit(10, 99, 10, 431);
    expect_limit(10, 3000, 1, 431);
}

static void test_a_body_past_the_limit_is_refused_before_it_is_read(void **state)
{
    (void)state;
    start_with((struct http_limits){.body_bytes = 1000});
    expect_status("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n", 413);
    expect_status("POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n", 413);
    expect_status("POST /small HTTP/1.1\r\nContent-Length: 10\r\n" LAST "0123456789", 200);
    expect_status("POST /small HTTP/1.1\r\n" HOST
                  "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n",
                  413);
}

/* The answer reaches a client that goes on sending: the connection is not reset under it. */
static void test_a_413_reaches_a_client_that_is_still_sending(void **state)
{
    (void)state;
    start_with((struct http_limits){.body_bytes = 1000});
    char *junk = calloc(1, 3000000);
    int fd = client_open();
    client_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3000000\r\n\r\n");
    client_send(fd, junk, 3000000);
    free(junk);
    char *answer = client_rest(fd, NULL);
    assert_int_equal(status_of(answer), 413);
    free(answer);
}

static void test_chunk_extensions_and_trailers_are_bounded(void **state)
{
    (void)state;
    start_with((struct http_limits){0});
    char text[9000] = "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;x=";
    memset(text + strlen(text), 'e', 4000);
    strcat(text, "\r\na\r\n0\r\n\r\n");
    int fd = client_open();
    for (const char *p = text; *p; p++) /* in small pieces, as a drip that never ends would come */
        client_send(fd, p, 1);
    char *answer = client_rest(fd, NULL);
    assert_int_equal(status_of(answer), 400);
    free(answer);
    memset(text, 0, sizeof text);
    strcpy(text, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nT: ");
    memset(text + strlen(text), 't', 6000);
    strcat(text, "\r\n\r\n");
    expect_status(text, 400);
}

static void test_slow_heads_time_out_with_408(void **state)
{
    (void)state;
    start_with((struct http_limits){.head_ms = 100});
    expect_status("GET / HTT", 408);
    int fd = client_open();
    client_text(fd, "GET /");
    while (counters().timeouts < 2) { /* a drip does not help: the time counts from the first byte */
        client_text(fd, "x");
        poll(NULL, 0, 5);
    }
    char *answer = client_rest(fd, NULL);
    assert_int_equal(status_of(answer), 408);
    free(answer);
}

static void test_slow_bodies_time_out_with_408(void **state)
{
    (void)state;
    start_with((struct http_limits){.body_ms = 400});
    expect_status("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc", 408);
    int fd = client_open();
    client_text(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    while (counters().timeouts < 2) {
        client_text(fd, "x");
        poll(NULL, 0, 20);
    }
    char *answer = client_rest(fd, NULL);
    assert_int_equal(status_of(answer), 408);
    free(answer);
    expect_status("POST /upload HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\nabc", 408);
    assert_int_equal(atomic_load(&fixture.aborts), 1);
}

static void test_silent_connections_are_closed_in_silence(void **state)
{
    (void)state;
    start_with((struct http_limits){.idle_ms = 80, .keep_alive_ms = 120});
    char *nothing = client_rest(client_open(), NULL);
    assert_string_equal(nothing, "");
    free(nothing);
    int fd = client_open();
    client_text(fd, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    char *answer = client_rest(fd, NULL);
    assert_string_equal(body_of(answer), "GET /echo||");
    free(answer);
    assert_int_equal(counters().timeouts, 0);
}

static void test_a_client_that_never_reads_is_cut_and_costs_little(void **state)
{
    (void)state;
    start_with((struct http_limits){.write_ms = 300});
    int fd = client_open();
    for (int i = 0; i < 50; i++)
        client_text(fd, "GET /big?n=8000000 HTTP/1.1\r\n" HOST "\r\n");
    WAIT_UNTIL(counters().requests >= 1);
    expect_body("GET /echo HTTP/1.1\r\n" LAST, "GET /echo||"); /* nobody else waits */
    WAIT_UNTIL(counters().timeouts == 1 && counters().connections == 0);
    assert_true(counters().requests < 4); /* not all of the answers were made for it */
    close(fd);
}

static void test_a_slow_reader_gets_everything(void **state)
{
    (void)state;
    start_with((struct http_limits){.write_ms = 400});
    int fd = client_open(), small = 65536;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_text(fd, "GET /big?n=6000000 HTTP/1.1\r\n" LAST);
    char part[20000];
    size_t got = 0;
    for (ssize_t n = 1; n > 0; poll(NULL, 0, 4)) /* a slow client, not a wait for something */
        got += (size_t)((n = recv(fd, part, sizeof part, 0)) > 0 ? n : 0);
    assert_true(got > 6000000);
    close(fd);
}

static void test_connections_past_the_limit_are_refused(void **state)
{
    (void)state;
    start_with((struct http_limits){.connections = 3});
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = client_open();
    WAIT_UNTIL(counters().connections == 3);
    char *answer = client_rest(client_open(), NULL);
    assert_int_equal(status_of(answer), 503);
    free(answer);
    close(fds[0]);
    WAIT_UNTIL(counters().connections == 2);
    expect_body("GET /echo HTTP/1.1\r\n" LAST, "GET /echo||");
    close(fds[1]);
    close(fds[2]);
}

static void test_bodies_in_memory_have_one_bound_for_all(void **state)
{
    (void)state;
    start_with((struct http_limits){.bodies_bytes = 5000});
    char part[4000];
    memset(part, 'p', sizeof part);
    int fd = client_open();
    client_text(fd, "POST /echo HTTP/1.1\r\nContent-Length: 4001\r\n" LAST);
    client_send(fd, part, sizeof part);
    WAIT_UNTIL(counters().bytes_in > sizeof part);
    expect_status("POST /echo HTTP/1.1\r\nContent-Length: 10\r\n" LAST "0123456789", 200);
    int other = client_open();
    client_text(other, "POST /echo HTTP/1.1\r\nContent-Length: 4000\r\n" LAST);
    client_send(other, part, sizeof part);
    char *answer = client_rest(other, NULL);
    assert_int_equal(status_of(answer), 503);
    free(answer);
    client_text(fd, "e");
    answer = client_rest(fd, NULL);
    assert_int_equal(status_of(answer), 200);
    free(answer);
}

static long resident_bytes(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &pages, &resident), 2);
    fclose(f);
    return resident * sysconf(_SC_PAGESIZE);
}

/* Each has sent a request and got its answer; the client's side costs no memory of this process but a
 * descriptor. */
static void test_idle_connections_cost_less_than_4_kib(void **state)
{
    (void)state;
    enum { N = 1000 };
    static int fds[N];
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &files);
    start_with((struct http_limits){0});
    expect_body("GET /echo HTTP/1.1\r\n" LAST, "GET /echo||");
    long before = resident_bytes();
    for (int i = 0; i < N; i++) {
        fds[i] = client_open();
        client_text(fds[i], "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    }
    for (int i = 0; i < N; i++)
        free(client_answer(fds[i], false));
    long each = (resident_bytes() - before) / N;
    print_message("an idle connection: %ld bytes\n", each);
#ifndef __SANITIZE_ADDRESS__
    assert_true(each < 4096);
#endif
    for (int i = 0; i < N; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_idle_connections_cost_less_than_4_kib, teardown),
        cmocka_unit_test_teardown(test_sizes_of_the_head, teardown),
        cmocka_unit_test_teardown(test_a_body_past_the_limit_is_refused_before_it_is_read, teardown),
        cmocka_unit_test_teardown(test_a_413_reaches_a_client_that_is_still_sending, teardown),
        cmocka_unit_test_teardown(test_chunk_extensions_and_trailers_are_bounded, teardown),
        cmocka_unit_test_teardown(test_slow_heads_time_out_with_408, teardown),
        cmocka_unit_test_teardown(test_slow_bodies_time_out_with_408, teardown),
        cmocka_unit_test_teardown(test_silent_connections_are_closed_in_silence, teardown),
        cmocka_unit_test_teardown(test_a_client_that_never_reads_is_cut_and_costs_little, teardown),
        cmocka_unit_test_teardown(test_a_slow_reader_gets_everything, teardown),
        cmocka_unit_test_teardown(test_bodies_in_memory_have_one_bound_for_all, teardown),
        cmocka_unit_test_teardown(test_connections_past_the_limit_are_refused, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
