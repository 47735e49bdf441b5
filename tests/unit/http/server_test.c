/* server_test.c: the server as its owner sees it: start, loops, callbacks, trusted proxies, counters. */
#include "unit/http/fixture.h"

#define LAST "Host: a\r\nConnection: close\r\n\r\n"

static _Atomic int done_calls, done_status, posted_on_loop, order;
static _Atomic int64_t done_bytes;

static void own(struct http_config config)
{
    char why[200] = "";
    memset(&fixture, 0, sizeof fixture);
    config.callbacks.on_request = fixture_on_request;
    fixture.server = http_server_start(&config, why, sizeof why);
    if (!fixture.server) fail_msg("%s", why);
    fixture.port = http_server_port(fixture.server);
}

static int teardown(void **state)
{
    (void)state;
    if (fixture.server) {
        http_server_stop(fixture.server, 0);
        http_server_free(fixture.server);
    }
    return 0;
}

static void render(void *app, struct http_exchange *x, int status, const char *code, const char *en,
                   const char *ru, struct buf *body)
{
    assert_non_null(ru);
    buf_printf(body, "%s %d %s %zu %s", (const char *)app, status, code, x->fields_n, en);
}

static void test_the_application_words_the_servers_own_answers(void **state)
{
    (void)state;
    own((struct http_config){.threads = 1, .app = "mine", .callbacks = {.render_problem = render}});
    char *answer = client_once("GET /%zz HTTP/1.1\r\nAccept-Language: ru\r\n" LAST);
    assert_int_equal(status_of(answer), 400);
    assert_true(strncmp(body_of(answer), "mine 400 bad_request 3 ", 23) == 0);
    assert_non_null(strstr(answer, "\r\nContent-Type: application/problem+json\r\n"));
    free(answer);
}

static void on_done(void *app, const struct http_exchange *x, int status, int64_t bytes)
{
    (void)app;
    (void)x;
    atomic_store(&done_status, status);
    atomic_store(&done_bytes, bytes);
    atomic_fetch_add(&done_calls, 1);
}

static void test_every_answer_is_told_and_counted(void **state)
{
    (void)state;
    own((struct http_config){.threads = 1, .callbacks = {.on_done = on_done}});
    expect_status("GET /big?n=1234 HTTP/1.1\r\n" LAST, 200);
    assert_int_equal(atomic_load(&done_calls), 1);
    assert_int_equal(atomic_load(&done_bytes), 1234);
    expect_status("HEAD /big?n=1234 HTTP/1.1\r\n" LAST, 200);
    assert_int_equal(atomic_load(&done_bytes), 0);
    expect_status("GET /export?n=2 HTTP/1.1\r\n" LAST, 200);
    assert_int_equal(atomic_load(&done_bytes), 2000);
    expect_status("BREW / HTTP/1.1\r\n" LAST, 501);
    assert_int_equal(atomic_load(&done_status), 501);
    struct http_counters c = counters();
    assert_int_equal(c.status[2], 3);
    assert_int_equal(c.status[5], 1);
    assert_int_equal(c.requests, 4);
    assert_int_equal(c.accepted, 4);
    assert_true(c.bytes_in > 100 && c.bytes_out > 3000);
}

static void test_trusted_proxies_are_believed(void **state)
{
    (void)state;
    const struct str trusted[] = {STR("127.0.0.0/8")};
    own((struct http_config){.threads = 1, .trusted_proxies = trusted, .trusted_proxies_n = 1});
    char *answer = client_once(
        "GET /who HTTP/1.1\r\nX-Forwarded-For: 1.1.1.1, 9.9.9.9\r\nX-Forwarded-Proto: https\r\n" LAST);
    assert_true(strncmp(body_of(answer), "9.9.9.9|1|", 10) == 0);
    assert_non_null(strstr(answer, "\r\nStrict-Transport-Security: "));
    free(answer);
    char why[200];
    const struct str bad[] = {STR("proxy.local")};
    assert_null(http_server_start(&(struct http_config){.trusted_proxies = bad, .trusted_proxies_n = 1}, why,
                                  sizeof why));
    assert_non_null(strstr(why, "\"proxy.local\" is not an address"));
}

static bool second_loop_fails(void *app, struct http_loop *loop, void **data)
{
    (void)app;
    *data = NULL;
    return http_loop_index(loop) == 0;
}

static void test_a_loop_that_cannot_start_stops_the_others(void **state)
{
    (void)state;
    char why[200];
    struct http_config config = {
        .threads = 2, .callbacks = {.loop_start = second_loop_fails, .on_request = fixture_on_request}};
    assert_null(http_server_start(&config, why, sizeof why));
    assert_string_equal(why, "a loop thread could not start");
    fixture.server = NULL;
}

static void on_post(void *arg)
{
    int expected = (int)(intptr_t)arg;
    if (atomic_load(&order) == expected) atomic_fetch_add(&posted_on_loop, 1);
    atomic_fetch_add(&order, 1);
}

static void test_posted_calls_run_in_order(void **state)
{
    (void)state;
    own((struct http_config){.threads = 2});
    assert_int_equal(http_server_threads(fixture.server), 2);
    assert_null(http_server_loop(fixture.server, 2));
    for (int i = 0; i < 5000; i++)
        assert_true(http_loop_post(http_server_loop(fixture.server, 1), on_post, (void *)(intptr_t)i));
    WAIT_UNTIL(atomic_load(&order) == 5000);
    assert_int_equal(atomic_load(&posted_on_loop), 5000);
}

static void test_two_loops_share_a_port(void **state)
{
    (void)state;
    own((struct http_config){.threads = 2});
    struct http_counters a = {0}, b = {0};
    for (int i = 0; i < 1000 && (a.requests == 0 || b.requests == 0); i++) {
        expect_body("GET /echo HTTP/1.1\r\n" LAST, "GET /echo||");
        http_loop_counters(http_server_loop(fixture.server, 0), &a);
        http_loop_counters(http_server_loop(fixture.server, 1), &b);
    }
    assert_true(a.requests > 0 && b.requests > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_the_application_words_the_servers_own_answers, teardown),
        cmocka_unit_test_teardown(test_every_answer_is_told_and_counted, teardown),
        cmocka_unit_test_teardown(test_trusted_proxies_are_believed, teardown),
        cmocka_unit_test_teardown(test_a_loop_that_cannot_start_stops_the_others, teardown),
        cmocka_unit_test_teardown(test_posted_calls_run_in_order, teardown),
        cmocka_unit_test_teardown(test_two_loops_share_a_port, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
