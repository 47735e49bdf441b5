/* connection_test.c: what a well-behaved client may expect: keep-alive, pipelining, bodies, HEAD, the forms
 * of targets. */
#include "unit/http/fixture.h"

#define HOST "Host: a\r\n"
#define LAST HOST "Connection: close\r\n\r\n"

static void test_one_connection_serves_many_requests(void **state)
{
    (void)state;
    int fd = client_open();
    for (int i = 0; i < 20; i++) {
        client_text(fd, "GET /echo?a=1 HTTP/1.1\r\n" HOST "\r\n");
        char *answer = client_answer(fd, false);
        assert_non_null(answer);
        assert_string_equal(body_of(answer), "GET /echo|a=1|");
        assert_null(strstr(answer, "Connection:"));
        free(answer);
    }
    client_text(fd, "GET /bye HTTP/1.1\r\n" LAST);
    char *answer = client_rest(fd, NULL);
    assert_non_null(strstr(answer, "Connection: close\r\n"));
    free(answer);
}

/* 500 requests in one write, every third answered later: the answers come in order. */
static void test_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    enum { N = 500 };
    char *text = calloc(N + 1, 64);
    size_t n = 0;
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(text + n, "GET /%s?i=%d HTTP/1.1\r\n" HOST "\r\n", i % 3 ? "echo" : "later", i);
    n += (size_t)sprintf(text + n, "GET /end HTTP/1.1\r\n" LAST);
    int fd = client_open();
    client_send(fd, text, n);
    free(text);
    char *rest = client_rest(fd, NULL), *at = rest, expected[64];
    for (int i = 0; i < N; i++) {
        snprintf(expected, sizeof expected, "GET /%s|i=%d|HTTP/1.1 200", i % 3 ? "echo" : "later", i);
        at = strstr(at, expected);
        if (!at) fail_msg("answer %d is missing or out of order", i);
    }
    assert_int_equal(count_of(rest, "HTTP/1.1 200 OK"), N + 1);
    free(rest);
}

static void test_a_request_may_come_in_single_bytes(void **state)
{
    (void)state;
    const char *text = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
                       "POST /echo HTTP/1.1\r\n" HOST
                       "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: x\r\n\r\n"
                       "GET /end HTTP/1.1\r\n" LAST;
    int fd = client_open();
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
    for (const char *p = text; *p; p++)
        client_send(fd, p, 1);
    char *rest = client_rest(fd, NULL);
    assert_non_null(strstr(rest, "POST /echo||hello"));
    assert_non_null(strstr(rest, "POST /echo||abcde"));
    assert_non_null(strstr(rest, "GET /end||"));
    free(rest);
}

static void test_chunked_bodies_are_joined(void **state)
{
    (void)state;
    expect_body("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" LAST
                "1\r\na\r\nA\r\n0123456789\r\n000\r\n\r\n",
                "POST /echo||a0123456789");
    expect_body("POST /echo HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n" LAST "0\r\n\r\n", "POST /echo||");
}

static void test_a_large_body_arrives_whole(void **state)
{
    (void)state;
    enum { N = 900000 };
    char *body = malloc(N), *answer = NULL;
    memset(body, 'b', N);
    int fd = client_open();
    client_text(fd, "POST /echo HTTP/1.1\r\nContent-Length: 900000\r\n" LAST);
    client_send(fd, body, N);
    size_t n = 0;
    answer = client_rest(fd, &n);
    assert_int_equal(strlen(body_of(answer)), N + strlen("POST /echo||"));
    free(answer);
    free(body);
}

static void test_expect_continue_is_answered_before_the_body(void **state)
{
    (void)state;
    int fd = client_open();
    client_text(fd, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" LAST);
    char *go = client_answer(fd, false);
    assert_string_equal(go, "HTTP/1.1 100 Continue\r\n\r\n");
    client_text(fd, "hi");
    char *rest = client_rest(fd, NULL);
    assert_non_null(strstr(rest, "POST /echo||hi"));
    free(go);
    free(rest);
}

/* A client that waits for permission gets the refusal instead, and no body is read. */
static void test_expect_continue_can_be_refused(void **state)
{
    (void)state;
    expect_status("POST /refuse HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" HOST "\r\n", 403);
    expect_status("POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n" HOST "\r\n",
                  413);
}

static void test_head_has_the_length_but_no_body(void **state)
{
    (void)state;
    int fd = client_open();
    client_text(fd, "HEAD /big?n=100000 HTTP/1.1\r\n" HOST "\r\nGET /echo HTTP/1.1\r\n" LAST);
    char *rest = client_rest(fd, NULL);
    assert_non_null(strstr(rest, "Content-Length: 100000\r\n"));
    assert_true(strncmp(body_of(rest), "HTTP/1.1 200 OK", 15) == 0);
    free(rest);
}

static void test_204_has_neither_body_nor_length(void **state)
{
    (void)state;
    char *answer = client_once("GET /empty HTTP/1.1\r\n" LAST);
    assert_int_equal(status_of(answer), 204);
    assert_null(strstr(answer, "Content-Length"));
    assert_null(strstr(answer, "\r\nContent-Type: "));
    assert_string_equal(body_of(answer), "");
    free(answer);
}

static void test_http_1_0_closes_unless_asked(void **state)
{
    (void)state;
    char *answer = client_once("GET /echo HTTP/1.0\r\n\r\n");
    assert_string_equal(body_of(answer), "GET /echo||");
    assert_non_null(strstr(answer, "Connection: close\r\n"));
    free(answer);
    int fd = client_open();
    client_text(fd, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    answer = client_answer(fd, false);
    assert_non_null(strstr(answer, "Connection: keep-alive\r\n"));
    free(answer);
    client_text(fd, "GET /again HTTP/1.0\r\n\r\n");
    answer = client_rest(fd, NULL);
    assert_string_equal(body_of(answer), "GET /again||");
    free(answer);
}

static void test_targets(void **state)
{
    (void)state;
    expect_body("GET /a%20b/%D1%8F?q=%20 HTTP/1.1\r\n" LAST, "GET /a b/я|q=%20|");
    expect_body("GET http://other:81/x?y HTTP/1.1\r\n" LAST, "GET /x|y|");
    expect_body("GET http://other HTTP/1.1\r\n" LAST, "GET /||");
    expect_body("GET /? HTTP/1.1\r\n" LAST, "GET /||");
    expect_body("GET /a/../b HTTP/1.1\r\n" LAST, "GET /a/../b||");
    char *answer = client_once("GET http://other:81/who HTTP/1.1\r\n" LAST);
    assert_non_null(strstr(body_of(answer), "|other:81"));
    free(answer);
    answer = client_once("OPTIONS * HTTP/1.1\r\n" LAST);
    assert_int_equal(status_of(answer), 204);
    assert_non_null(strstr(answer, "Allow: GET, HEAD, POST"));
    free(answer);
    expect_body("\r\nGET /after-an-empty-line HTTP/1.1\r\n" LAST, "GET /after-an-empty-line||");
}

static void test_every_answer_has_the_security_fields(void **state)
{
    (void)state;
    char *answer = client_once("GET /echo HTTP/1.1\r\n" LAST);
    static const char *const fields[] = {"\r\nDate: ",
                                         "\r\nX-Content-Type-Options: nosniff\r\n",
                                         "frame-ancestors 'none'",
                                         "\r\nReferrer-Policy: ",
                                         "\r\nX-Request-Id: ",
                                         "\r\nCache-Control: "};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        assert_non_null(strstr(answer, fields[i]));
    assert_null(strstr(answer, "Strict-Transport"));
    free(answer);
}

static void test_fields_cannot_be_split(void **state)
{
    (void)state;
    char *answer = client_once("GET /split HTTP/1.1\r\n" LAST);
    assert_string_equal(body_of(answer), "refused");
    assert_null(strstr(answer, "Set-Cookie"));
    assert_int_equal(count_of(answer, "X-Frame-Options"), 1);
    assert_non_null(strstr(answer, "X-Frame-Options: SAMEORIGIN\r\n"));
    free(answer);
}

static void test_request_ids_are_taken_over_when_sane(void **state)
{
    (void)state;
    char *answer = client_once("GET /who HTTP/1.1\r\nX-Request-Id: abc-1_2.X\r\n" LAST);
    assert_non_null(strstr(answer, "X-Request-Id: abc-1_2.X\r\n"));
    assert_non_null(strstr(body_of(answer), "|abc-1_2.X|"));
    free(answer);
    answer = client_once("GET /who HTTP/1.1\r\nX-Request-Id: a b\r\n" LAST);
    assert_null(strstr(answer, "X-Request-Id: a b"));
    free(answer);
}

static void test_gzip_when_accepted_and_worth_it(void **state)
{
    (void)state;
    char *answer = client_once("GET /json?n=5000 HTTP/1.1\r\nAccept-Encoding: gzip\r\n" LAST);
    assert_non_null(strstr(answer, "Content-Encoding: gzip\r\n"));
    assert_non_null(strstr(answer, "Vary: Accept-Encoding\r\n"));
    assert_memory_equal(body_of(answer), "\x1f\x8b", 2);
    free(answer);
    static const char *const plain[] = {
        "GET /json?n=5000 HTTP/1.1\r\n" LAST,
        "GET /json?n=5000 HTTP/1.1\r\nAccept-Encoding: gzip;q=0, *;q=0.5\r\n" LAST,
        "GET /json?n=5000 HTTP/1.1\r\nAccept-Encoding: br\r\n" LAST,
        "GET /json?n=100 HTTP/1.1\r\nAccept-Encoding: gzip\r\n" LAST,
        "GET /json?n=5000&etag=1 HTTP/1.1\r\nAccept-Encoding: gzip\r\n" LAST,
    };
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        answer = client_once(plain[i]);
        assert_null(strstr(answer, "Content-Encoding"));
        assert_true(body_of(answer)[0] == '"');
        free(answer);
    }
    answer = client_once("GET /json?n=5000&etag=2 HTTP/1.1\r\nAccept-Encoding: gzip\r\n" LAST);
    assert_non_null(strstr(answer, "ETag: W/\"7\"\r\n"));
    free(answer);
    answer = client_once("GET /json?n=5000&etag=2 HTTP/1.1\r\n" LAST);
    assert_non_null(strstr(answer, "ETag: \"7\"\r\n"));
    assert_non_null(strstr(answer, "Vary: Accept-Encoding\r\n"));
    free(answer);
}

static void test_forwarded_fields_are_not_believed_from_anyone(void **state)
{
    (void)state;
    char *answer =
        client_once("GET /who HTTP/1.1\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n" LAST);
    assert_true(strncmp(body_of(answer), "127.0.0.1|0|", 12) == 0);
    free(answer);
}

/* Its side shut after the request: the answers still come, those of pipelined requests too. */
static void test_a_half_closed_client_is_answered(void **state)
{
    (void)state;
    int fd = client_open();
    client_text(fd, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /big?n=300000 HTTP/1.1\r\n" HOST
                    "\r\nGET /third HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    size_t n = 0;
    char *rest = client_rest(fd, &n);
    assert_int_equal(count_of(rest, "HTTP/1.1 200 OK"), 3);
    assert_true(n > 300000);
    free(rest);
}

static void test_an_exchange_outlives_its_client(void **state)
{
    (void)state;
    int fd = client_open();
    client_text(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    WAIT_UNTIL(atomic_load(&fixture.held) == 1);
    struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    WAIT_UNTIL(counters().connections == 0);
    assert_int_equal(counters().exchanges, 1);
    fixture_release();
    WAIT_UNTIL(counters().exchanges == 0);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_connection_serves_many_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipelined_requests_are_answered_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_request_may_come_in_single_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chunked_bodies_are_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_large_body_arrives_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expect_continue_is_answered_before_the_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expect_continue_can_be_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head_has_the_length_but_no_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_204_has_neither_body_nor_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http_1_0_closes_unless_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_targets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_answer_has_the_security_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields_cannot_be_split, setup, teardown),
        cmocka_unit_test_setup_teardown(test_request_ids_are_taken_over_when_sane, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gzip_when_accepted_and_worth_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forwarded_fields_are_not_believed_from_anyone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_half_closed_client_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_exchange_outlives_its_client, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
