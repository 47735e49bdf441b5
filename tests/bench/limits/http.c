/* http.c: the limit of point reads: a bare libuv + llhttp server that gives the same bytes to every request.
 *
 *   http THREADS ANSWER      ANSWER: a file with the whole answer, head and body
 *
 * Prints its port and serves until standard input ends. Each thread has a loop and a socket of its own
 * (SO_REUSEPORT), as the product has. */
#include <errno.h>
#include <llhttp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

static char *answer;
static size_t answer_length;
static uint16_t port;

struct client {
    uv_tcp_t tcp;
    llhttp_t parser;
    uv_write_t write;
    char in[16384];
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "http: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

static int on_complete(llhttp_t *p)
{
    struct client *c = p->data;
    uv_buf_t b = uv_buf_init(answer, (unsigned)answer_length);
    int n = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
    if (n >= 0 && (size_t)n < answer_length) {
        b = uv_buf_init(answer + n, (unsigned)(answer_length - (size_t)n));
        uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, NULL);
    }
    return 0;
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    (void)hint;
    struct client *c = h->data;
    *b = uv_buf_init(c->in, sizeof c->in);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct client *c = s->data;
    if (n > 0 && llhttp_execute(&c->parser, b->base, (size_t)n) == HPE_OK) return;
    if (n != 0) uv_close((uv_handle_t *)s, on_closed);
}

static llhttp_settings_t settings = {.on_message_complete = on_complete};

static void on_connection(uv_stream_t *server, int status)
{
    struct client *c = status == 0 ? malloc(sizeof *c) : NULL;
    if (!c) return;
    uv_tcp_init(server->loop, &c->tcp);
    c->tcp.data = c;
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
    if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0) die("accept");
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

static int listening_socket(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof at;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        die("listen");
    port = ntohs(at.sin_port);
    return fd;
}

static void *serve(void *arg)
{
    uv_loop_t loop;
    uv_tcp_t server;
    uv_loop_init(&loop);
    uv_tcp_init(&loop, &server);
    uv_tcp_open(&server, *(int *)arg);
    if (uv_listen((uv_stream_t *)&server, 1024, on_connection) != 0) die("listen");
    uv_run(&loop, UV_RUN_DEFAULT);
    return NULL;
}

static void read_answer(const char *path)
{
    FILE *f = fopen(path, "rb");
    answer = malloc(1 << 20);
    if (!f || !answer) die(path);
    answer_length = fread(answer, 1, 1 << 20, f);
    fclose(f);
}

int main(int argc, char **argv)
{
    int sockets[64], threads = argc == 3 ? atoi(argv[1]) : 0;
    pthread_t thread;
    char c;
    if (threads < 1 || threads > 64) {
        fprintf(stderr, "usage: http THREADS ANSWER\n");
        return 2;
    }
    read_answer(argv[2]);
    for (int i = 0; i < threads; i++)
        sockets[i] = listening_socket();
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread, NULL, serve, &sockets[i]) != 0) die("thread");
    printf("%u\n", (unsigned)port);
    fflush(stdout);
    while (read(0, &c, 1) > 0)
        continue;
    return 0;
}
