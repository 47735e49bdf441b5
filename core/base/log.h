/* log.h: one line for each thing worth knowing: text on a terminal, JSON otherwise (stderr).
 *
 *     LOG(LOG_INFO, "listening", log_s("address", "127.0.0.1:8080"), log_i("threads", 2));
 *
 * Each line has time, level, message and, when set for this thread, the request id. Never pass a password,
 * token, cookie or the value of a field. Thread-safe: one write(2) for a line. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *key;
    bool is_int;
    int64_t i;
    struct str s;
};

static inline struct log_field log_i(const char *key, int64_t i)
{
    return (struct log_field){.key = key, .is_int = true, .i = i};
}
static inline struct log_field log_str(const char *key, struct str s)
{
    return (struct log_field){.key = key, .s = s};
}
static inline struct log_field log_s(const char *key, const char *s)
{
    return log_str(key, str_of(s ? s : ""));
}

/* Default: LOG_INFO, text when stderr is a terminal. Call before threads start. */
void log_configure(enum log_level least, bool json);
bool log_level_parse(struct str name, enum log_level *level);

/* The id shown in this thread's lines until the next call; pass an empty str to clear. Borrowed. */
void log_request(struct str request_id);

void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t n);

#define LOG(level, message, ...)                                                                             \
    log_write(level, message, (const struct log_field[]){{0}, __VA_ARGS__},                                  \
              sizeof((const struct log_field[]){{0}, __VA_ARGS__}) / sizeof(struct log_field))

#endif
