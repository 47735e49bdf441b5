/* smuggling_test.c: messages that two readers could understand in two ways are refused and the connection is
 * closed, so that nothing behind them is ever taken for a request. */
#include "unit/http/fixture.h"

struct attack {
    const char *name, *bytes;
    size_t n;
    int status;
};

#define ATTACK(name, bytes, status)                                                                          \
    {                                                                                                        \
        name, bytes, sizeof(bytes) - 1, status                                                               \
    }
#define HOST "Host: a\r\n"
/* What an attacker hopes to get through. */
#define HIDDEN "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"

static const struct attack attacks[] = {
    ATTACK("length and coding",
           "POST / HTTP/1.1\r\n" HOST
           "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN,
           400),
    ATTACK("coding and length",
           "POST / HTTP/1.1\r\n" HOST
           "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" HIDDEN,
           400),
    ATTACK("two lengths",
           "POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\nContent-Length: 0\r\n\r\nabcd" HIDDEN, 400),
    ATTACK("two equal lengths",
           "POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd" HIDDEN, 400),
    ATTACK("a list of lengths", "POST / HTTP/1.1\r\n" HOST "Content-Length: 4, 4\r\n\r\nabcd" HIDDEN, 400),
    ATTACK("a signed length", "POST / HTTP/1.1\r\n" HOST "Content-Length: +4\r\n\r\nabcd" HIDDEN, 400),
    ATTACK("a negative length", "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n" HIDDEN, 400),
    ATTACK("a hexadecimal length", "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x4\r\n\r\nabcd" HIDDEN, 400),
    ATTACK("a length with a space inside",
           "POST / HTTP/1.1\r\n" HOST "Content-Length: 4 2\r\n\r\nabcd" HIDDEN, 400),
    ATTACK("an empty length", "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n" HIDDEN, 400),
    ATTACK("a length past 64 bits",
           "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551617\r\n\r\na" HIDDEN, 400),
    ATTACK("coding not chunked", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n" HIDDEN,
           400),
    ATTACK("chunked not last",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("chunked twice",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("two codings",
           "POST / HTTP/1.1\r\n" HOST
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" HIDDEN,
           400),
    ATTACK("two chunked fields",
           "POST / HTTP/1.1\r\n" HOST
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN,
           400),
    ATTACK("a quoted coding",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("a misspelt coding",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("a vertical tab before the coding",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("an empty coding", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n" HIDDEN, 400),
    ATTACK("a coding that is not known",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" HIDDEN, 501),
    ATTACK("chunked in HTTP/1.0",
           "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n" HIDDEN, 400),
    ATTACK("bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n" HIDDEN, 400),
    ATTACK("bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n" HIDDEN, 400),
    ATTACK("bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n" HIDDEN, 400),
    ATTACK("LF in front", "\nGET / HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("bare CR in a value", "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n" HIDDEN, 400),
    ATTACK("bare CR between fields",
           "GET / HTTP/1.1\r\n" HOST "X: a\rTransfer-Encoding: chunked\r\n\r\n" HIDDEN, 400),
    ATTACK("CR CR LF", "GET / HTTP/1.1\r\n" HOST "X: a\r\r\n\r\n" HIDDEN, 400),
    ATTACK("bare CR as the empty line", "GET / HTTP/1.1\r\n" HOST "\rX: a\r\n\r\n" HIDDEN, 400),
    ATTACK("obs-fold", "GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n" HIDDEN, 400),
    ATTACK("obs-fold with a tab", "GET / HTTP/1.1\r\n" HOST "X: a\r\n\tb\r\n\r\n" HIDDEN, 400),
    ATTACK("a first field that is folded", "GET / HTTP/1.1\r\n " HOST "\r\n" HIDDEN, 400),
    ATTACK("a space before the colon", "POST / HTTP/1.1\r\n" HOST "Content-Length : 4\r\n\r\nabcd" HIDDEN,
           400),
    ATTACK("a tab before the colon",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("no colon", "GET / HTTP/1.1\r\n" HOST "Broken\r\n\r\n" HIDDEN, 400),
    ATTACK("an empty name", "GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n" HIDDEN, 400),
    ATTACK("a name with a bracket", "GET / HTTP/1.1\r\n" HOST "X(a): a\r\n\r\n" HIDDEN, 400),
    ATTACK("a name beyond ASCII", "GET / HTTP/1.1\r\n" HOST "X\xc3\xa9: a\r\n\r\n" HIDDEN, 400),
    ATTACK("NUL in a value", "GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n" HIDDEN, 400),
    ATTACK("NUL in a name", "GET / HTTP/1.1\r\n" HOST "X\0: a\r\n\r\n" HIDDEN, 400),
    ATTACK("NUL in the target", "GET /\0 HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("a control byte in a value", "GET / HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n" HIDDEN, 400),
    ATTACK("DEL in a value", "GET / HTTP/1.1\r\n" HOST "X: a\x7f\r\n\r\n" HIDDEN, 400),
    ATTACK("chunk size with a sign",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("chunk size with 0x",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("chunk size empty",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n\r\na\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("chunk size past 64 bits",
           "POST / HTTP/1.1\r\n" HOST
           "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n" HIDDEN,
           400),
    ATTACK("chunk size, bare LF",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("chunk size, a space behind it",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("chunk size, CR without LF",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\rXa\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("chunk extension with bare LF",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;x\na\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("chunk longer than its size",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("chunk ended by LF",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n" HIDDEN, 400),
    ATTACK("last chunk, bare LF",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\n\r\n" HIDDEN, 400),
    ATTACK("trailer with a space before the colon",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nX : a\r\n\r\n" HIDDEN, 400),
    ATTACK("trailer with bare LF",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\n\r\n" HIDDEN, 400),
    ATTACK("trailer ended by bare LF",
           "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\n" HIDDEN, 400),
    ATTACK("no Host", "GET / HTTP/1.1\r\n\r\n" HIDDEN, 400),
    ATTACK("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" HIDDEN, 400),
    ATTACK("two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n" HIDDEN, 400),
    ATTACK("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n" HIDDEN, 400),
    ATTACK("a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" HIDDEN, 400),
    ATTACK("a Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n" HIDDEN, 400),
    ATTACK("a Host with a bad port", "GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n" HIDDEN, 400),
    ATTACK("HTTP/0.9", "GET /\r\n\r\n" HIDDEN, 400),
    ATTACK("HTTP/2.0", "GET / HTTP/2.0\r\n" HOST "\r\n" HIDDEN, 505),
    ATTACK("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" HIDDEN, 505),
    ATTACK("HTTP/1.2", "GET / HTTP/1.2\r\n" HOST "\r\n" HIDDEN, 505),
    ATTACK("HTTP/1.10", "GET / HTTP/1.10\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("http/1.1", "GET / http/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("two spaces", "GET  / HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("two spaces before the version", "GET /  HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("a space in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("a tab in the request line", "GET\t/ HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("a space at the end", "GET / HTTP/1.1 \r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("a space in front", " GET / HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("no target", "GET HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("a relative target", "GET a HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("a target with a fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("a target beyond ASCII", "GET /\xd1\x8f HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("GET *", "GET * HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("a bad escape", "GET /%zz HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("an escape cut short", "GET /%4 HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("an escaped NUL", "GET /a%00b HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("an escape that is not UTF-8", "GET /%ff HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("CONNECT", "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 405),
    ATTACK("TRACE", "TRACE / HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 405),
    ATTACK("a method not known", "BREW / HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 501),
    ATTACK("a method of WebDAV", "PROPFIND / HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 501),
    ATTACK("a method in lower case", "get / HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 501),
    ATTACK("a method with a bracket", "G(T / HTTP/1.1\r\n" HOST "\r\n" HIDDEN, 400),
    ATTACK("an expectation not known",
           "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: 200-ok\r\n\r\na" HIDDEN, 417),
    ATTACK("the hello of TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ATTACK("five empty lines", "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 400),
};

static void check(const struct attack *a, bool byte_by_byte)
{
    int fd = client_open();
    for (size_t i = 0; byte_by_byte && i < a->n; i++)
        client_send(fd, a->bytes + i, 1);
    if (!byte_by_byte) client_send(fd, a->bytes, a->n);
    char *answer = client_rest(fd, NULL);
    if (status_of(answer) != a->status || count_of(answer, "\r\nDate: ") != 1 || strstr(answer, "hidden") ||
        !strstr(answer, "\r\nConnection: close\r\n") || !strstr(answer, "application/problem+json") ||
        !strstr(answer, "nosniff"))
        fail_msg("%s%s: expected one %d and the end, got:\n%s", a->name,
                 byte_by_byte ? " (byte by byte)" : "", a->status, answer);
    free(answer);
}

static void test_ambiguous_messages_are_refused_and_the_connection_closed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++)
        check(&attacks[i], false);
}

static void test_it_does_not_matter_how_the_bytes_arrive(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++)
        check(&attacks[i], true);
}

static void test_the_server_goes_on_and_has_counted_them(void **state)
{
    (void)state;
    expect_body("GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /ok||");
    assert_int_equal(counters().parse_errors, 2 * sizeof attacks / sizeof attacks[0]);
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
        cmocka_unit_test(test_ambiguous_messages_are_refused_and_the_connection_closed),
        cmocka_unit_test(test_it_does_not_matter_how_the_bytes_arrive),
        cmocka_unit_test(test_the_server_goes_on_and_has_counted_them),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
