/* log.c: see log.h. A line is put together in a buffer and written by one write(2), so lines of threads never
 * mix. */
#include "base/log.h"

#include "base/calendar.h"
#include "base/clock.h"
#include "base/json.h"

#include <stdatomic.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384

static enum log_level least = LOG_INFO;
static atomic_int as_json = -1; /* -1: not decided yet; the first line decides, whichever thread writes it */
static _Thread_local struct str request;

static const char *const names[] = {"debug", "info", "warn", "error"};

void log_configure(enum log_level level, bool json)
{
    least = level;
    as_json = json;
}

bool log_level_parse(struct str name, enum log_level *level)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (!str_is(name, names[i])) continue;
        *level = (enum log_level)i;
        return true;
    }
    return false;
}

void log_request(struct str request_id)
{
    request = request_id;
}

static void json_line(struct buf *b, enum log_level level, const char *time, const char *message,
                      const struct log_field *f, size_t n)
{
    json_object(b);
    json_key(b, STR("time")), json_cstr(b, time);
    json_key(b, STR("level")), json_cstr(b, names[level]);
    json_key(b, STR("message")), json_cstr(b, message);
    if (request.n) json_key(b, STR("request")), json_str(b, request);
    for (size_t i = 0; i < n; i++) {
        if (!f[i].key) continue;
        json_key(b, str_of(f[i].key));
        if (f[i].is_int)
            json_int(b, f[i].i);
        else
            json_str(b, f[i].s);
    }
    json_end_object(b);
}

/* Values are quoted as JSON strings, so that no input can forge a line. */
static void text_line(struct buf *b, enum log_level level, const char *time, const char *message,
                      const struct log_field *f, size_t n)
{
    buf_printf(b, "%s %-5s %s", time, names[level], message);
    if (request.n) buf_printf(b, "  request=%.*s", STR_ARG(request));
    for (size_t i = 0; i < n; i++) {
        if (!f[i].key) continue;
        buf_printf(b, "  %s=", f[i].key);
        if (f[i].is_int)
            buf_int(b, f[i].i);
        else
            json_quote(b, f[i].s);
    }
}

void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t n)
{
    if (level < least) return;
    char time[32];
    calendar_format_datetime(clock_now(), time);
    struct buf b;
    buf_init(&b, LINE_MAX_BYTES);
    if (as_json < 0) as_json = !isatty(STDERR_FILENO);
    if (as_json)
        json_line(&b, level, time, message, fields, n);
    else
        text_line(&b, level, time, message, fields, n);
    b.failed = false; /* what fitted is better than nothing */
    buf_char(&b, '\n');
    if (b.failed && b.n) b.p[b.n - 1] = '\n';
    ssize_t written = write(STDERR_FILENO, b.p, b.n);
    (void)written; /* there is nobody left to tell */
    buf_free(&b);
}
