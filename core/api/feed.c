/* feed.c: a person's calendar as iCalendar (RFC 5545): open tasks by their due time, activities by their own.
 * Calendars cannot sign in, so the address carries a secret of its own: a token whose scope is "calendar" and
 * that opens nothing else. Making a new address takes the old one back. */
#include "api/app.h"
#include "base/text.h"

#include <stdio.h>

#define EVENTS_MAX 500
#define LINE_MAX_BYTES 75 /* RFC 5545 §3.1: longer lines are folded */

/* ---- the address ---- */

static bool drop(void *ctx, const struct token_row *row)
{
    int64_t *id = ctx;
    if (!str_is(row->scope, TOKEN_CALENDAR)) return true;
    *id = row->id;
    return false;
}

/* Takes back every calendar address of the caller. */
static bool take_back(struct call *c)
{
    for (;;) {
        int64_t id = 0;
        bool found;
        if (!token_list(c->worker->db, c->who->id, drop, &id, &c->error)) return false;
        if (id == 0) return true;
        if (!token_delete(c->worker->db, id, c->who->id, &found, &c->error)) return false;
    }
}

static bool make(struct call *c)
{
    char text[64];
    int64_t id;
    if (!call_members(c, "") || !take_back(c) ||
        !token_create(c->worker->db, c->who->id, STR("calendar"), STR(TOKEN_CALENDAR), 0, clock_now(), text,
                      &id, &c->error))
        return false;
    json_object(c->out);
    json_key(c->out, STR("path"));
    const char *path = arena_printf(c->arena, "/api/v1/calendar.ics?key=%s", text);
    if (!path) return error_no_memory(&c->error);
    json_cstr(c->out, path);
    json_end_object(c->out);
    call_field(c, "Cache-Control", STR("no-store"));
    return call_json(c, 201);
}

static bool end(struct call *c)
{
    return take_back(c) && call_empty(c, 204);
}

/* ---- the feed ---- */

/* Content lines are folded between characters, and commas, semicolons, backslashes and line ends escaped. */
static void line(struct buf *b, const char *name, struct str value, bool is_text)
{
    char piece[8];
    size_t used = strlen(name) + 1;
    buf_printf(b, "%s:", name);
    while (value.n) {
        struct str rest = value;
        text_next(&rest);
        struct str one = {value.p, (size_t)(rest.p - value.p)};
        value = rest;
        if (is_text && one.n == 1 && strchr(",;\\", one.p[0])) {
            snprintf(piece, sizeof piece, "\\%c", one.p[0]);
            one = str_of(piece);
        } else if (is_text && one.p[0] == '\n') {
            one = STR("\\n");
        } else if (one.n == 1 && (unsigned char)one.p[0] < ' ') {
            continue;
        }
        if (used + one.n > LINE_MAX_BYTES) {
            buf_cstr(b, "\r\n ");
            used = 1;
        }
        buf_add(b, one.p, one.n);
        used += one.n;
    }
    buf_cstr(b, "\r\n");
}

/* "20261125T093000Z" */
static void instant(struct buf *b, const char *name, int64_t ms)
{
    char text[32], compact[24];
    size_t n = 0;
    calendar_format_datetime(ms, text);
    for (const char *p = text; *p && *p != '.' && n + 2 < sizeof compact; p++)
        if (*p != '-' && *p != ':') compact[n++] = *p;
    compact[n++] = 'Z';
    line(b, name, (struct str){compact, n}, false);
}

static struct value value_of_field(const struct record *r, const char *name)
{
    const struct field *f = entity_field(r->entity, str_of(name));
    return f ? r->values[f->index] : value_null();
}

/* A localized text in the reader's language. */
static struct str shown(struct call *c, struct value v)
{
    if (v.type != VALUE_TEXT || v.s.n == 0 || v.s.p[0] != '{') return v.type == VALUE_TEXT ? v.s : STR("");
    struct error ignored;
    error_init(&ignored, c->arena, LANG_EN);
    struct json_value *both = json_parse(c->arena, v.s, &ignored);
    const struct json_value *m = both ? json_member(both, str_of(lang_code(c->lang))) : NULL;
    if (both && !m) m = both->first;
    return m && m->type == JSON_STRING ? m->text : v.s;
}

static void event(struct call *c, const struct record *r, int64_t start, int64_t minutes, struct str summary,
                  struct str description)
{
    char id[ID_TEXT + 1];
    struct buf *b = c->out;
    id_format(r->id, id);
    const char *uid = arena_printf(c->arena, "%s@perigee", id);
    buf_cstr(b, "BEGIN:VEVENT\r\n");
    line(b, "UID", str_of(uid ? uid : id), false);
    instant(b, "DTSTAMP", r->values[SYSTEM_UPDATED_AT].i);
    instant(b, "DTSTART", start);
    instant(b, "DTEND", start + minutes * 60000);
    line(b, "SUMMARY", summary, true);
    if (description.n) line(b, "DESCRIPTION", description, true);
    buf_cstr(b, "END:VEVENT\r\n");
}

static bool each(struct call *c, const char *entity, const char *filter, const char *sort,
                 void (*write)(struct call *c, const struct record *r))
{
    struct query q = {.entity = catalog_entity(c->context.catalog, str_of(entity)),
                      .filter = str_of(filter),
                      .sort = str_of(sort),
                      .limit = EVENTS_MAX};
    int64_t *ids;
    size_t n;
    if (!q.entity || !access_may(c->who, q.entity, ACTION_READ)) return true;
    if (!query_ids(&c->context, &q, &ids, &n)) return false;
    for (size_t i = 0; i < n; i++) {
        struct record *r = record_load(&c->context, q.entity, ids[i]);
        if (!r) return false;
        write(c, r);
    }
    return true;
}

static void write_task(struct call *c, const struct record *r)
{
    event(c, r, value_of_field(r, "due").i, 15, shown(c, value_of_field(r, "title")),
          shown(c, value_of_field(r, "description")));
}

static void write_activity(struct call *c, const struct record *r)
{
    struct value minutes = value_of_field(r, "duration");
    struct str subject = shown(c, value_of_field(r, "subject"));
    event(c, r, value_of_field(r, "when").i, minutes.type == VALUE_NUMBER && minutes.i > 0 ? minutes.i : 15,
          subject.n ? subject : shown(c, value_of_field(r, "kind")), shown(c, value_of_field(r, "text")));
}

static bool feed(struct call *c)
{
    struct str key = call_parameter(c, "key");
    struct worker *w = c->worker;
    c->who = principal_by_token(w->principals, w->db, w->set->catalog, key.p ? key : STR(""), clock_now(),
                                &c->token_id, &c->error);
    if (!c->who) return false;
    if (!str_is(c->who->scope, TOKEN_CALENDAR))
        return error_set(&c->error, ERROR_UNAUTHENTICATED, "this is not the key of a calendar",
                         "это не ключ календаря");
    c->lang = c->error.lang = c->who->env.lang;
    call_context(c);
    buf_cstr(c->out,
             "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Perigee//CRM//EN\r\nCALSCALE:GREGORIAN\r\n");
    line(c->out, "X-WR-CALNAME", c->who->name, true);
    if (!each(c, "task", "assignee = @me and status in (\"open\", \"in_progress\") and due is not null",
              "due", write_task) ||
        !each(c, "activity", "(created_by = @me or colleagues = @me) and when >= @today - 90d", "-when",
              write_activity))
        return false;
    buf_cstr(c->out, "END:VCALENDAR\r\n");
    call_field(c, "Cache-Control", STR("private, no-cache"));
    c->status = 200;
    c->content_type = "text/calendar; charset=utf-8";
    return true;
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_POST, "/api/v1/me/calendar", LANE_WRITE, BODY_MAY, "", make,
     "A new secret address of one's own calendar; the old one ends", NULL, "calendar", 201},
    {HTTP_METHOD_DELETE, "/api/v1/me/calendar", LANE_WRITE, 0, "", end, "Take the address back", NULL, NULL,
     204},
    {HTTP_METHOD_GET, "/api/v1/calendar.ics", LANE_READ, OPEN | NOT_IN_BATCH, "key", feed,
     "Open tasks and activities as iCalendar", NULL, NULL, 200},
};

const struct endpoint_table feed_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
