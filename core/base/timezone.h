/* timezone.h: instants to and from local time by the IANA database that Debian's tzdata installs
 * (/usr/share/zoneinfo, TZif version 2+, RFC 8536, with its closing TZ string for years past the table). */
#ifndef BASE_TIMEZONE_H
#define BASE_TIMEZONE_H

#include "base/str.h"

#include <stdint.h>

struct timezone_data;

/* A zone by name ("Europe/Moscow", "UTC"); loaded once and kept for the life of the process. NULL when there
 * is none (names with ".." or a leading "/" are refused). Thread-safe. */
const struct timezone_data *timezone_find(struct str name);

/* The name it was found by. */
const char *timezone_name(const struct timezone_data *z);

/* Seconds to add to UTC at that instant. NULL zone means UTC. */
int timezone_offset(const struct timezone_data *z, int64_t ms);

/* The local day of an instant, and the instant at which a local day starts. */
int64_t timezone_day(const struct timezone_data *z, int64_t ms);
int64_t timezone_day_start(const struct timezone_data *z, int64_t days);

/* The instant of a local time (milliseconds since 1970-01-01 by the wall clock): of two the earlier one; for
 * a time that the clock skips, the one that it would have been without the change. */
int64_t timezone_instant(const struct timezone_data *z, int64_t local);

#endif
