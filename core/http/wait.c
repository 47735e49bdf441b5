/* wait.c: timeouts of connections. Every kind of waiting has one constant timeout, so a list to which one
 * appends is always in order, and starting or ending a wait costs a few pointers; one timer serves them all.
 */
#include "http/connection.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#define TICK_MS 10 /* deadlines are met this much late at most, to wake up less often */

static void remove_from(struct wait_list *list, struct connection *c)
{
    if (c->wait_prev)
        c->wait_prev->wait_next = c->wait_next;
    else
        list->first = c->wait_next;
    if (c->wait_next)
        c->wait_next->wait_prev = c->wait_prev;
    else
        list->last = c->wait_prev;
    c->wait_next = c->wait_prev = NULL;
}

static void append(struct wait_list *list, struct connection *c)
{
    c->wait_prev = list->last;
    c->wait_next = NULL;
    if (list->last)
        list->last->wait_next = c;
    else
        list->first = c;
    list->last = c;
}

static void on_timer(uv_timer_t *timer);

/* The nearest deadline; a timer that already runs fires earlier than any deadline added now, or near enough.
 */
static void arm(struct http_loop *loop)
{
    uint64_t now = uv_now(&loop->uv), nearest = UINT64_MAX;
    for (int i = WAIT_FIRST; i < WAIT_COUNT; i++) {
        const struct connection *c = loop->waits[i].first;
        if (c && c->wait_since + loop->waits[i].timeout < nearest)
            nearest = c->wait_since + loop->waits[i].timeout;
    }
    if (nearest == UINT64_MAX) return;
    uv_timer_start(&loop->timer, on_timer, nearest > now + TICK_MS ? nearest - now : TICK_MS, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct http_loop *loop = timer->data;
    uint64_t now = uv_now(&loop->uv);
    for (int i = WAIT_FIRST; i < WAIT_COUNT; i++) {
        struct connection *c = NULL;
        while ((c = loop->waits[i].first) && c->wait_since + loop->waits[i].timeout <= now) {
            wait_set(c, WAIT_NOTHING);
            connection_expired(c, (enum wait)i);
        }
    }
    arm(loop);
}

void wait_init(struct http_loop *loop)
{
    const struct http_limits *l = &loop->server->config.limits;
    const int64_t timeouts[WAIT_COUNT] = {
        [WAIT_FIRST] = l->idle_ms, [WAIT_KEEP_ALIVE] = l->keep_alive_ms, [WAIT_HEAD] = l->head_ms,
        [WAIT_BODY] = l->body_ms,  [WAIT_WRITE] = l->write_ms,           [WAIT_LINGER] = LINGER_MS,
    };
    for (int i = 0; i < WAIT_COUNT; i++)
        loop->waits[i].timeout = (uint64_t)timeouts[i];
}

/* What lies in libuv's queue or in the kernel has not moved yet: the kernel may hold megabytes for a slow
 * client. */
uint64_t wait_progress(const struct connection *c)
{
    int fd = -1, kernel = 0;
    uint64_t waiting = output_pending(c);
    if (waiting > 0 && uv_fileno((const uv_handle_t *)&c->handle, &fd) == 0 &&
        ioctl(fd, SIOCOUTQ, &kernel) == 0 && kernel > 0)
        waiting += (uint64_t)kernel;
    return c->moved > waiting ? c->moved - waiting : 0;
}

void wait_set(struct connection *c, enum wait wait)
{
    struct http_loop *loop = c->loop;
    if (c->wait != WAIT_NOTHING) remove_from(&loop->waits[c->wait], c);
    c->wait = (uint8_t)wait;
    if (wait == WAIT_NOTHING) return;
    c->wait_since = uv_now(&loop->uv);
    c->wait_mark = wait == WAIT_WRITE || wait == WAIT_BODY ? wait_progress(c) : 0;
    append(&loop->waits[wait], c);
    if (!uv_is_active((uv_handle_t *)&loop->timer) ||
        uv_timer_get_due_in(&loop->timer) > loop->waits[wait].timeout + TICK_MS)
        arm(loop);
}

static void on_turn(uv_idle_t *idle)
{
    struct http_loop *loop = idle->data;
    struct connection *c = loop->turn_first;
    loop->turn_first = loop->turn_last = NULL;
    uv_idle_stop(idle);
    while (c) {
        struct connection *next = c->turn_next;
        c->turn_next = NULL;
        c->in_turn = false;
        connection_resume(c);
        c = next;
    }
}

void wait_turn(struct connection *c)
{
    struct http_loop *loop = c->loop;
    if (c->in_turn) return;
    c->in_turn = true;
    if (loop->turn_last)
        loop->turn_last->turn_next = c;
    else
        loop->turn_first = c;
    loop->turn_last = c;
    uv_idle_start(&loop->turn_idle, on_turn);
}

/* Only for a connection that is about to be freed. */
void wait_forget_turn(struct connection *c)
{
    struct http_loop *loop = c->loop;
    struct connection *before = NULL;
    if (!c->in_turn) return;
    for (struct connection *i = loop->turn_first; i && i != c; i = i->turn_next)
        before = i;
    if (before)
        before->turn_next = c->turn_next;
    else
        loop->turn_first = c->turn_next;
    if (loop->turn_last == c) loop->turn_last = before;
    c->in_turn = false;
}
