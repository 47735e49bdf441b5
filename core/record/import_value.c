/* import_value.c: what people write in the cells of a table → JSON as the API takes it. */
#include "base/calendar.h"
#include "base/csv.h"
#include "base/id.h"
#include "base/text.h"
#include "base/timezone.h"
#include "record/import.h"
#include "record/internal.h"

#include <stdio.h>

/* Without spaces at both ends, no-break spaces too (spreadsheets leave them behind). */
static struct str trimmed(struct str s)
{
    for (;;) {
        struct str before = s;
        s = str_trim(s);
        if (str_starts(s, STR("\xC2\xA0"))) s = (struct str){s.p + 2, s.n - 2};
        if (s.n >= 2 && memcmp(s.p + s.n - 2, "\xC2\xA0", 2) == 0) s.n -= 2;
        if (s.n == before.n) return s;
    }
}

static bool same_text(struct str a, struct str b)
{
    return text_starts(a, b) && text_starts(b, a);
}

static bool json_text(struct context *c, struct json_value *out, const char *text)
{
    *out = (struct json_value){.type = JSON_STRING, .text = str_of(text)};
    return text ? true : error_no_memory(c->error);
}

/* ---- numbers, booleans ---- */

/* "1 234,50" → 1234.50: spaces between thousands and a decimal comma, where no point says otherwise. */
static bool number(struct context *c, struct str cell, struct json_value *out)
{
    struct buf b;
    bool point = cell.n && memchr(cell.p, '.', cell.n);
    buf_init(&b, 256);
    for (struct str rest = cell; rest.n;) {
        uint32_t ch = text_next(&rest);
        if (ch == ' ' || ch == 0xA0 || ch == 0x202F) continue;
        if (ch == 0x2212) ch = '-';
        text_put(&b, ch == ',' && !point ? '.' : ch);
    }
    struct str text = b.failed ? cell : arena_str(c->arena, buf_view(&b));
    buf_free(&b);
    if (!text.p) return error_no_memory(c->error);
    if (text.n > 1 && text.p[0] == '+') text = (struct str){text.p + 1, text.n - 1};
    *out = (struct json_value){.type = JSON_NUMBER, .text = text};
    return true;
}

static void boolean(struct str cell, struct json_value *out)
{
    static const char *const yes[] = {"true", "1", "yes", "да", "истина"};
    static const char *const no[] = {"false", "0", "no", "нет", "ложь"};
    *out = (struct json_value){.type = JSON_STRING, .text = cell};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (same_text(cell, str_of(yes[i]))) out->type = JSON_TRUE;
        if (same_text(cell, str_of(no[i]))) out->type = JSON_FALSE;
    }
}

/* ---- dates ---- */

/* "23.11.2026" → "2026-11-23"; anything else stays. */
static struct str iso_date(struct context *c, struct str s)
{
    int day, month, year, n = 0;
    char text[16];
    if (s.n < 8 || s.n > 10) return s;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (sscanf(text, "%2d.%2d.%4d%n", &day, &month, &year, &n) != 3 || (size_t)n != s.n || year < 1000)
        return s;
    const char *iso = arena_printf(c->arena, "%04d-%02d-%02d", year, month, day);
    return iso ? str_of(iso) : s;
}

/* "2026-11-23 09:30[:15]" and "23.11.2026 9:30" without an offset are local times of whoever imports. */
static bool instant(struct context *c, struct str cell, struct json_value *out)
{
    int64_t days, ms;
    int hour = 0, minute = 0, second = 0, n = 0;
    *out = (struct json_value){.type = JSON_STRING, .text = cell};
    if (calendar_parse_datetime(cell, &ms)) return true;
    struct str rest = cell, date = str_cut(&rest, memchr(cell.p, 'T', cell.n) ? 'T' : ' ');
    if (!calendar_parse_date(iso_date(c, date), &days)) return true; /* refused with words later */
    if (rest.p) {
        const char *clock = arena_dup(c->arena, rest);
        if (!clock) return error_no_memory(c->error);
        int parts = sscanf(clock, "%2d:%2d%n:%2d%n", &hour, &minute, &n, &second, &n);
        if (parts < 2 || clock[n] != '\0' || hour > 23 || minute > 59 || second > 59 || hour < 0 ||
            minute < 0 || second < 0)
            return true;
    }
    int64_t local = days * DAY_MS + ((hour * INT64_C(60) + minute) * 60 + second) * 1000;
    ms = local - timezone_offset(c->env.zone, local) * INT64_C(1000);
    ms = local - timezone_offset(c->env.zone, ms) * INT64_C(1000);
    char text[32];
    calendar_format_datetime(ms, text);
    return json_text(c, out, arena_dup(c->arena, str_of(text)));
}

/* ---- options ---- */

static struct str option_value(const struct field *f, struct str cell)
{
    for (size_t i = 0; i < f->option_count; i++)
        if (str_is(cell, f->options[i].value)) return cell;
    for (size_t i = 0; i < f->option_count; i++)
        for (int lang = 0; lang < LANG_COUNT; lang++)
            if (same_text(cell, str_of(f->options[i].label.text[lang]))) return str_of(f->options[i].value);
    return cell;
}

/* ---- references ---- */

/* What a reference may be looked up by: the number and every unique field of its own kind that holds text. */
static bool names_record(const struct entity *e, const struct field *f)
{
    if (f->index == SYSTEM_NUMBER) return e->number_prefix != NULL;
    bool text = f->type == FIELD_TEXT || f->type == FIELD_EMAIL || f->type == FIELD_URL;
    bool unique = f->unique;
    for (size_t i = 0; i < e->unique_count && !unique; i++)
        unique = e->unique[i].count == 1 && e->unique[i].fields[0] == f;
    return text && unique && !f->localized;
}

static bool look_up(struct context *c, const struct entity *e, const char *column, struct value v,
                    int64_t *id)
{
    char *sql = arena_printf(c->arena, "SELECT id FROM %s WHERE %s = ?", e->table, column);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_value(s, 1, v);
    enum step step = stmt_step(s, c->error);
    *id = step == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return step != STEP_ERROR;
}

static bool find_in(struct context *c, const struct entity *e, struct str text, int64_t *id)
{
    if (id_parse(text, id) && !look_up(c, e, "id", value_of(VALUE_ID, *id), id)) return false;
    for (size_t i = 0; i < e->field_count && *id == 0; i++)
        if (names_record(e, e->fields[i]) && !look_up(c, e, e->fields[i]->column, value_text(text), id))
            return false;
    return true;
}

/* An id stays one; what is no id is looked up, and becomes one. Codes of settings are taken as they are. */
static bool reference(struct context *c, const struct field *f, const char *pointer, struct str text,
                      struct json_value *out)
{
    int64_t id = 0, given = 0;
    *out = (struct json_value){.type = JSON_STRING, .text = text};
    if (f->type == FIELD_STAGE || (f->to && f->to->setting) || (f->any && id_parse(text, &id))) return true;
    if (f->to && !find_in(c, f->to, text, &id)) return false;
    for (size_t i = 0; f->any && i < c->catalog->entity_count && id == 0; i++) {
        const struct entity *e = c->catalog->entities[i];
        struct str prefix = str_of(e->number_prefix);
        if (e->number_prefix && str_starts(text, prefix) &&
            !look_up(c, e, e->fields[SYSTEM_NUMBER]->column, value_text(text), &id))
            return false;
    }
    if (id) {
        char shown[ID_TEXT + 1];
        id_format(id, shown);
        return json_text(c, out, arena_dup(c->arena, str_of(shown)));
    }
    if (id_parse(text, &given))
        return true; /* looks like an id: the record's own checks say that it is none */
    error_add(c->error, pointer, "no_such_record", "%s: there is no record \"%.*s\"",
              "Поле «%s»: нет записи «%.*s»", field_label(c, f), STR_ARG(text));
    return false;
}

/* ---- sets ---- */

static bool set_item(struct context *c, const struct field *f, const char *pointer, struct str text,
                     struct json_value *out)
{
    if (f->type == FIELD_REFS) return reference(c, f, pointer, text, out);
    *out = (struct json_value){.type = JSON_STRING, .text = option_value(f, text)};
    return true;
}

/* "a|b|c" */
static bool set(struct context *c, const struct field *f, const char *pointer, struct str cell,
                struct json_value *out)
{
    struct json_value **last = &out->first;
    *out = (struct json_value){.type = JSON_ARRAY};
    for (struct str rest = cell; rest.p;) {
        struct str one = trimmed(str_cut(&rest, '|'));
        if (one.n == 0) continue;
        struct json_value *v = arena_alloc(c->arena, sizeof *v);
        if (!v) return error_no_memory(c->error);
        if (!set_item(c, f, pointer, one, v)) return false;
        *last = v;
        last = &v->next;
        out->count++;
    }
    return true;
}

/* A cell that holds JSON: an object, an array. */
static bool cell_of_json(struct context *c, const struct field *f, const char *pointer, struct str cell,
                         struct json_value *out)
{
    struct error found;
    error_init(&found, c->arena, c->error->lang);
    struct json_value *v = json_parse(c->arena, cell, &found);
    if (v) {
        *out = *v;
        out->next = NULL;
        return true;
    }
    error_add(c->error, pointer, "wrong_type", "%s: the cell is not JSON: %s",
              "Поле «%s»: в ячейке не JSON: %s", field_label(c, f), found.detail ? found.detail : "");
    return false;
}

bool import_cell(struct context *c, const struct field *f, const char *pointer, struct str raw,
                 struct json_value *out)
{
    struct str cell = trimmed(raw);
    *out = (struct json_value){.type = JSON_NULL};
    if (cell.n == 0) return true;
    switch (f->type) {
    case FIELD_INTEGER:
    case FIELD_DECIMAL:
    case FIELD_MONEY:
    case FIELD_PERCENT: return number(c, cell, out);
    case FIELD_BOOLEAN: boolean(cell, out); return true;
    case FIELD_DATE: *out = (struct json_value){.type = JSON_STRING, .text = iso_date(c, cell)}; return true;
    case FIELD_DATETIME: return instant(c, cell, out);
    case FIELD_OPTION:
        *out = (struct json_value){.type = JSON_STRING, .text = option_value(f, cell)};
        return true;
    case FIELD_REF:
    case FIELD_STAGE: return reference(c, f, pointer, csv_unguard(cell), out);
    case FIELD_REFS:
    case FIELD_OPTIONS:
        if (cell.p[0] != '[') return set(c, f, pointer, csv_unguard(cell), out);
        return cell_of_json(c, f, pointer, cell, out) && import_json(c, f, pointer, out);
    case FIELD_JSON: return cell_of_json(c, f, pointer, csv_unguard(cell), out);
    case FIELD_EMAIL:
    case FIELD_PHONE:
    case FIELD_URL: *out = (struct json_value){.type = JSON_STRING, .text = csv_unguard(cell)}; return true;
    default: break;
    }
    if (f->localized && cell.p[0] == '{') return cell_of_json(c, f, pointer, cell, out);
    *out = (struct json_value){.type = JSON_STRING, .text = csv_unguard(raw)};
    return true;
}

/* JSON has types of its own: only references are looked up. */
bool import_json(struct context *c, const struct field *f, const char *pointer, struct json_value *v)
{
    if ((f->type == FIELD_REF || f->type == FIELD_STAGE) && v->type == JSON_STRING) {
        struct json_value found;
        if (!reference(c, f, pointer, v->text, &found)) return false;
        v->text = found.text;
    }
    if (f->type != FIELD_REFS || v->type != JSON_ARRAY) return true;
    for (struct json_value *i = v->first; i; i = i->next) {
        struct json_value found;
        if (i->type != JSON_STRING) continue;
        if (!reference(c, f, pointer, i->text, &found)) return false;
        i->text = found.text;
    }
    return true;
}
