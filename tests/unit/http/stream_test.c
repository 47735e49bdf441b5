/* stream_test.c: answers and bodies in pieces, and the end of the server while all that goes on. */
#include "unit/http/fixture.h"

#define HOST "Host: a\r\n"
#define LAST HOST "Connection: close\r\n\r\n"

static int setup(void **state)
{
    (void)state;
    fixture_start((struct http_config){0});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop();
    return 0;
}

/* The bytes of a chunked body; -1 when the last chunk is missing. */
static long dechunk(const char *p)
{
    long total = 0;
    for (;;) {
        char *end = NULL;
        long n = strtol(p, &end, 16);
        if (end == p || strncmp(end, "\r\n", 2) != 0) return -1;
        if (n == 0) return strncmp(end, "\r\n\r\n", 4) == 0 ? total : -1;
        total += n;
        p = end + 2 + n + 2;
    }
}

static void test_an_export_comes_in_chunks_and_the_connection_lives_on(void **state)
{
    (void)state;
    int fd = client_open();
    client_text(fd, "GET /export?n=30000 HTTP/1.1\r\n" HOST "\r\nGET /next HTTP/1.1\r\n" LAST);
    WAIT_UNTIL(atomic_load(&fixture.blocked) > 0);
    char *rest = client_rest(fd, NULL);
    assert_non_null(strstr(rest, "Transfer-Encoding: chunked\r\n"));
    assert_int_equal(dechunk(body_of(rest)), 30000000);
    assert_non_null(strstr(rest, "GET /next||"));
    assert_true(atomic_load(&fixture.drains) > 1); /* it had to wait for the client */
    free(rest);
}

static void test_http_1_0_gets_a_stream_without_chunks(void **state)
{
    (void)state;
    size_t n = 0;
    int fd = client_open();
    client_text(fd, "GET /export?n=100 HTTP/1.0\r\n\r\n");
    char *rest = client_rest(fd, &n);
    assert_null(strstr(rest, "Transfer-Encoding"));
    assert_int_equal(strlen(body_of(rest)), 100000);
    free(rest);
}

static void test_head_of_a_stream_has_no_body(void **state)
{
    (void)state;
    int fd = client_open();
    client_text(fd, "HEAD /export?n=100 HTTP/1.1\r\n" HOST "\r\nGET /next HTTP/1.1\r\n" LAST);
    char *rest = client_rest(fd, NULL);
    assert_true(strncmp(body_of(rest), "HTTP/1.1 200 OK", 15) == 0);
    free(rest);
}

static void test_a_stream_learns_that_its_client_is_gone(void **state)
{
    (void)state;
    int fd = client_open();
    client_text(fd, "GET /events HTTP/1.1\r\n" HOST "\r\n");
    free(client_answer(fd, false));
    close(fd);
    WAIT_UNTIL(atomic_load(&fixture.streams_closed) == 1);
    WAIT_UNTIL(counters().exchanges == 0 && counters().connections == 0);
    fd = client_open();
    client_text(fd, "GET /export?n=100000 HTTP/1.1\r\n" HOST "\r\n");
    free(client_answer(fd, false));
    close(fd);
    WAIT_UNTIL(atomic_load(&fixture.streams_closed) == 2);
    WAIT_UNTIL(counters().exchanges == 0 && counters().connections == 0);
}

static void test_an_export_waits_for_a_client_that_does_not_read(void **state)
{
    (void)state;
    int fd = client_open();
    client_text(fd, "GET /export?n=1000000 HTTP/1.1\r\n" HOST "\r\n");
    WAIT_UNTIL(counters().bytes_out > 100000);
    expect_body("GET /echo HTTP/1.1\r\n" LAST, "GET /echo||");
    /* What was made is what fits into the socket's buffers and the bound, not the whole gigabyte. */
    assert_true(counters().bytes_out < 64 * 1000 * 1000);
    close(fd);
    WAIT_UNTIL(atomic_load(&fixture.streams_closed) == 1);
}

static void test_an_upload_goes_to_its_sink_with_back_pressure(void **state)
{
    (void)state;
    enum { N = 5000000 };
    char *body = calloc(1, N);
    int fd = client_open();
    client_text(fd, "POST /upload HTTP/1.1\r\nContent-Length: 5000000\r\n" LAST);
    client_send(fd, body, N);
    char *answer = client_rest(fd, NULL);
    assert_int_equal(status_of(answer), 200);
    assert_int_equal(atomic_load(&fixture.uploaded), N);
    free(answer);
    atomic_store(&fixture.uploaded, 0);
    expect_status("POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" LAST
                  "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
                  200);
    assert_int_equal(atomic_load(&fixture.uploaded), 7);
    fd = client_open();
    client_text(fd, "POST /upload?stop HTTP/1.1\r\nContent-Length: 5000000\r\n" LAST);
    client_send(fd, body, N);
    answer = client_rest(fd, NULL);
    assert_int_equal(status_of(answer), 409);
    free(answer);
    free(body);
}

static void test_a_sink_learns_that_its_client_is_gone(void **state)
{
    (void)state;
    int fd = client_open();
    client_text(fd, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 5000000\r\n\r\nabc");
    WAIT_UNTIL(atomic_load(&fixture.uploaded) == 3);
    close(fd);
    WAIT_UNTIL(atomic_load(&fixture.aborts) == 1);
    WAIT_UNTIL(counters().exchanges == 0);
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

static void test_idle_event_streams_cost_less_than_8_kib(void **state)
{
    (void)state;
    enum { N = 400 };
    int fds[N];
    long before = resident_bytes();
    for (int i = 0; i < N; i++) {
        fds[i] = client_open();
        client_text(fds[i], "GET /events HTTP/1.1\r\n" HOST "\r\n");
        free(client_answer(fds[i], false));
    }
    long each = (resident_bytes() - before) / N;
    print_message("an idle event stream: %ld bytes\n", each);
#ifndef __SANITIZE_ADDRESS__
    assert_true(each < 8192);
#endif
    for (int i = 0; i < N; i++)
        close(fds[i]);
    WAIT_UNTIL(atomic_load(&fixture.streams_closed) == N);
}

/* ── Stopping ────────────────────────────────────────────────────────────────────────────────── */

static void *stop_gracefully(void *arg)
{
    (void)arg;
    http_server_stop(fixture.server, FIXTURE_SECONDS * 1000);
    return NULL;
}

static void test_a_graceful_stop_finishes_what_is_under_way(void **state)
{
    (void)state;
    int idle = client_open(), held = client_open(), events = client_open(), half = client_open();
    client_text(idle, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    free(client_answer(idle, false));
    client_text(events, "GET /events HTTP/1.1\r\n" HOST "\r\n");
    free(client_answer(events, false));
    client_text(half, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nab");
    client_text(held, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    WAIT_UNTIL(atomic_load(&fixture.held) == 1 && counters().requests == 4);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_gracefully, NULL), 0);
    size_t n = 1;
    char *rest = client_rest(idle, &n); /* idle: closed at once */
    assert_int_equal(n, 0);
    free(rest);
    rest = client_rest(events, NULL); /* endless: ended in order */
    assert_non_null(strstr(rest, "data: hello\n\n\r\n0\r\n\r\n"));
    free(rest);
    assert_int_equal(atomic_load(&fixture.streams_closed), 1);
    client_text(half, "cd");
    rest = client_rest(half, NULL);
    assert_non_null(strstr(rest, "POST /echo||abcd"));
    assert_non_null(strstr(rest, "Connection: close\r\n"));
    free(rest);
    fixture_release();
    rest = client_rest(held, NULL);
    assert_string_equal(body_of(rest), "GET /hold||");
    assert_non_null(strstr(rest, "Connection: close\r\n"));
    free(rest);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(http_loop_post(http_server_loop(fixture.server, 0), release, NULL));
}

static void test_a_stop_cuts_what_outlives_its_grace(void **state)
{
    (void)state;
    int fd = client_open(), half = client_open();
    client_text(fd, "GET /export?n=1000000 HTTP/1.1\r\n" HOST "\r\n");
    client_text(half, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nab");
    WAIT_UNTIL(counters().bytes_out > 100000 && atomic_load(&fixture.uploaded) == 2);
    http_server_stop(fixture.server, 50);
    assert_int_equal(atomic_load(&fixture.streams_closed), 1);
    assert_int_equal(atomic_load(&fixture.aborts), 1);
    close(fd);
    close(half);
}

static void test_a_port_that_is_taken_is_said(void **state)
{
    (void)state;
    char why[200] = "";
    struct http_config config = {.port = (uint16_t)fixture.port,
                                 .callbacks = {.on_request = fixture_on_request}};
    assert_null(http_server_start(&config, why, sizeof why));
    assert_non_null(strstr(why, "address already in use"));
    config = (struct http_config){.address = "localhost:1", .callbacks = {.on_request = fixture_on_request}};
    assert_null(http_server_start(&config, why, sizeof why));
    assert_non_null(strstr(why, "is not an IP address"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_idle_event_streams_cost_less_than_8_kib, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_export_comes_in_chunks_and_the_connection_lives_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_http_1_0_gets_a_stream_without_chunks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head_of_a_stream_has_no_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stream_learns_that_its_client_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_export_waits_for_a_client_that_does_not_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_upload_goes_to_its_sink_with_back_pressure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_sink_learns_that_its_client_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_graceful_stop_finishes_what_is_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stop_cuts_what_outlives_its_grace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_port_that_is_taken_is_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
