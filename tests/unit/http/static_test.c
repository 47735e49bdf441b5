/* static_test.c: a folder over HTTP: types, tags, compression, and that nothing outside of it can be reached.
 */
#include "http/static.h"
#include "unit/http/fixture.h"

#include <sys/stat.h>

#define LAST "Host: a\r\nConnection: close\r\n\r\n"

static struct http_static *folder;
static char root[64], outside[80];

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void serve(void *app, struct http_exchange *x)
{
    (void)app;
    if (!http_static_serve(folder, x, !str_is(x->query, "fall-through"))) answer_echo(x);
}

static void start(bool dev, const char *fallback)
{
    char why[256];
    struct http_static_config files = {.prefix = "/desk/", .root = root, .fallback = fallback, .dev = dev};
    folder = http_static_open(&files, why, sizeof why);
    if (!folder) fail_msg("%s", why);
    struct http_config config = {.threads = 1, .callbacks = {.on_request = serve}};
    memset(&fixture, 0, sizeof fixture);
    fixture.server = http_server_start(&config, why, sizeof why);
    assert_non_null(fixture.server);
    fixture.port = http_server_port(fixture.server);
}

static int setup(void **state)
{
    (void)state;
    char big[3000] = "";
    strcpy(root, "/tmp/perigee-static-XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(outside, sizeof outside, "%s-secret", root);
    FILE *f = fopen(outside, "w");
    assert_non_null(f);
    fputs("secret", f);
    fclose(f);
    char path[128];
    snprintf(path, sizeof path, "%s/sub", root);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/link.txt", root);
    assert_int_equal(symlink(outside, path), 0);
    memset(big, 'a', sizeof big - 1);
    snprintf(path, sizeof path, "%s/linked", root);
    assert_int_equal(symlink("/etc", path), 0);
    write_file("index.html", "<!doctype html>home");
    write_file("app.3f9a12bc.js", big);
    write_file("chunk-SETTINGS.js", "x");
    write_file("sub/index.html", "<!doctype html>sub");
    write_file("sub/a b.txt", "spaced");
    write_file(".hidden", "hidden");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[160];
    http_server_stop(fixture.server, 0);
    http_server_free(fixture.server);
    http_static_free(folder);
    unlink(outside);
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

static char *get(const char *path, const char *fields)
{
    char text[512];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n%s" LAST, path, fields);
    return client_once(text);
}

static void expect_file(const char *path, int status, const char *body)
{
    char *answer = get(path, "");
    if (status_of(answer) != status || strcmp(body_of(answer), body) != 0)
        fail_msg("%s: expected %d \"%s\", got:\n%s", path, status, body, answer);
    free(answer);
}

static void test_files_have_type_tag_and_policy(void **state)
{
    (void)state;
    start(false, NULL);
    char *answer = get("/desk/", "");
    assert_string_equal(body_of(answer), "<!doctype html>home");
    assert_non_null(strstr(answer, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
    assert_non_null(strstr(answer, "\r\nContent-Security-Policy: default-src 'self';"));
    assert_non_null(strstr(answer, "\r\nCache-Control: no-cache\r\n"));
    assert_non_null(strstr(answer, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_int_equal(count_of(answer, "Content-Security-Policy"), 1);
    free(answer);
    expect_file("/desk/sub/", 200, "<!doctype html>sub");
    expect_file("/desk/sub/a%20b.txt", 200, "spaced");
    expect_file("/desk/nothing.js", 404, "");
    expect_file("/desk/nothing", 404, "");
    expect_file("/desk/nothing?fall-through", 200, "GET /desk/nothing|fall-through|");
    expect_file("/other", 200, "GET /other||");
    answer = get("/desk", "");
    assert_int_equal(status_of(answer), 308);
    assert_non_null(strstr(answer, "\r\nLocation: /desk/\r\n"));
    free(answer);
    expect_status("POST /desk/ HTTP/1.1\r\n" LAST, 405);
}

static void test_names_with_a_hash_are_immutable(void **state)
{
    (void)state;
    start(false, NULL);
    char *answer = get("/desk/app.3f9a12bc.js", "");
    assert_non_null(strstr(answer, "immutable"));
    free(answer);
    answer = get("/desk/chunk-SETTINGS.js", ""); /* a word, not a hash */
    assert_null(strstr(answer, "immutable"));
    free(answer);
}

static void copy_etag(const char *answer, char out[80])
{
    const char *p = strstr(answer, "\r\nETag: ");
    assert_non_null(p);
    assert_int_equal(sscanf(p + 8, "%79[^\r]", out), 1);
}

static void test_what_the_client_has_is_not_sent_again(void **state)
{
    (void)state;
    start(false, NULL);
    char etag[80], zipped[80], fields[200];
    char *answer = get("/desk/app.3f9a12bc.js", "");
    copy_etag(answer, etag);
    free(answer);
    answer = get("/desk/app.3f9a12bc.js", "Accept-Encoding: gzip\r\n");
    copy_etag(answer, zipped);
    assert_non_null(strstr(answer, "\r\nContent-Encoding: gzip\r\n"));
    assert_non_null(strstr(answer, "\r\nVary: Accept-Encoding\r\n"));
    free(answer);
    assert_string_not_equal(etag, zipped); /* other bytes, another strong tag */
    for (int i = 0; i < 2; i++) {
        snprintf(fields, sizeof fields, "If-None-Match: \"x\", %s\r\n", i ? zipped : etag);
        answer = get("/desk/app.3f9a12bc.js", fields);
        assert_int_equal(status_of(answer), 304);
        assert_string_equal(body_of(answer), "");
        free(answer);
    }
}

/* The fields of a 304 replace those that the browser has kept: without its policy a page would not load
 * again. */
static void test_a_page_that_did_not_change_keeps_its_policy(void **state)
{
    (void)state;
    start(false, NULL);
    char etag[80], fields[200];
    char *answer = get("/desk/", "");
    copy_etag(answer, etag);
    assert_non_null(strstr(answer, "Content-Security-Policy: default-src 'self'"));
    free(answer);
    snprintf(fields, sizeof fields, "If-None-Match: %s\r\n", etag);
    answer = get("/desk/", fields);
    assert_int_equal(status_of(answer), 304);
    assert_non_null(strstr(answer, "Content-Security-Policy: default-src 'self'"));
    free(answer);
}

static const char *const ways_out[] = {
    "/desk/../perigee",
    "/desk/%2e%2e/x",
    "/desk/..%2f..%2fetc/passwd",
    "/desk/sub/../../x",
    "/desk/.hidden",
    "/desk/%2ehidden",
    "/desk/link.txt",
    "/desk/linked/passwd",
    "/desk//etc/passwd",
    "/desk/sub/..%5c..%5cx",
    "/desk/sub%2f..%2f.hidden",
    "/desk/./index.html",
    "/desk//index.html",
    "/desk/sub",
    "/desk/index.html/",
};

static void expect_no_way_out(bool dev)
{
    char path[200];
    start(dev, NULL);
    for (size_t i = 0; i < sizeof ways_out / sizeof ways_out[0]; i++)
        expect_file(ways_out[i], 404, "");
    snprintf(path, sizeof path, "/desk/../%s", strrchr(outside, '/') + 1);
    expect_file(path, 404, "");
    expect_status("GET /desk/index.html%00.js HTTP/1.1\r\n" LAST, 400);
}

static void test_there_is_no_way_out_of_the_folder(void **state)
{
    (void)state;
    expect_no_way_out(false);
}

static void test_there_is_no_way_out_of_the_folder_with_dev(void **state)
{
    (void)state;
    expect_no_way_out(true);
}

static void test_unknown_paths_of_an_application_get_its_page(void **state)
{
    (void)state;
    start(false, "index.html");
    expect_file("/desk/deals/42", 200, "<!doctype html>home");
    expect_file("/desk/missing.js", 404, "");
}

static void test_dev_shows_changes_at_once(void **state)
{
    (void)state;
    start(true, NULL);
    expect_file("/desk/index.html", 200, "<!doctype html>home");
    write_file("index.html", "changed");
    write_file("new.txt", "new");
    expect_file("/desk/index.html", 200, "changed");
    expect_file("/desk/new.txt", 200, "new");
}

static void test_a_folder_that_is_not_there_is_said(void **state)
{
    (void)state;
    char why[200];
    start(false, NULL);
    assert_null(
        http_static_open(&(struct http_static_config){.prefix = "/", .root = "/nowhere"}, why, sizeof why));
    assert_non_null(strstr(why, "/nowhere: No such file"));
    assert_null(http_static_open(&(struct http_static_config){.prefix = "a", .root = root}, why, sizeof why));
    assert_non_null(strstr(why, "does not begin and end"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files_have_type_tag_and_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_with_a_hash_are_immutable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_the_client_has_is_not_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_page_that_did_not_change_keeps_its_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_there_is_no_way_out_of_the_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_there_is_no_way_out_of_the_folder_with_dev, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_paths_of_an_application_get_its_page, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dev_shows_changes_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_folder_that_is_not_there_is_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
