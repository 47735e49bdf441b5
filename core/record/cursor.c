/* cursor.c: sorting and keyset cursors. A cursor is base64url of a keyed hash over (entity, filter, sort, q,
 * payload) and the payload, a JSON array [phase, id, keys…]: one of another query, or a changed one, does not
 * verify. */
#include "base/id.h"
#include "base/json.h"
#include "record/plan.h"

#include <sodium.h>
#include <stdlib.h>

#define MAC 16

/* ---- sort ---- */

static bool sortable(const struct field *f)
{
    enum value_type t = field_value_type(f);
    return f->type != FIELD_COMPUTED && f->type != FIELD_JSON && f->type != FIELD_FILE && t != VALUE_SET;
}

static bool nullable(const struct context *c, const struct entity *e, const struct field *f)
{
    if (!c->trusted && access_field(c->who, e, f, ACTION_READ) != ACCESS_ALWAYS) return true;
    bool stamped = f->index == SYSTEM_ID || f->index == SYSTEM_CREATED_AT || f->index == SYSTEM_UPDATED_AT ||
                   f->index == SYSTEM_VERSION || f->index == SYSTEM_ACTIVE;
    return !stamped && !(f->required && !f->when);
}

static bool bad_sort(struct context *c, const char *code, const char *en, const char *ru)
{
    error_add(c->error, "sort", code, "%s", "%s", c->error->lang == LANG_RU ? ru : en);
    return error_set(c->error, ERROR_BAD_REQUEST, "%s", "%s", c->error->lang == LANG_RU ? ru : en);
}

bool sort_parse(struct context *c, const struct entity *e, struct str text, struct sort *out)
{
    *out = (struct sort){.id_descending = true};
    bool unique = false;
    if (text.n == 0) return true;
    do {
        struct str part = str_trim(str_cut(&text, ','));
        bool descending = part.n && part.p[0] == '-';
        if (descending) part.p++, part.n--;
        if (part.n == 0)
            return bad_sort(c, "syntax", "\"sort\" has an empty name: use sort=-amount,name",
                            "пустое имя в sort: пишите sort=-amount,name");
        const struct field *f = readable_field(c, e, part, "sort");
        if (!f) return false;
        if (!sortable(f)) {
            error_add(c->error, "sort", "not_sortable", "cannot sort by \"%s\"",
                      "по полю «%s» нельзя сортировать", f->name);
            return error_set(c->error, ERROR_BAD_REQUEST, "cannot sort by \"%s\"",
                             "по полю «%s» нельзя сортировать", f->name);
        }
        if (unique) continue; /* nothing behind the id matters */
        out->id_descending = descending;
        unique = f->index == SYSTEM_ID;
        if (unique) continue;
        if (out->count == SORT_MAX)
            return bad_sort(c, "too_many", "at most 4 fields to sort by",
                            "сортировать можно не более чем по 4 полям");
        out->terms[out->count++] =
            (struct sort_term){f, descending, nullable(c, e, f), field_value_type(f) == VALUE_TEXT,
                               field_value_type(f) == VALUE_TEXT && f->index != SYSTEM_NUMBER};
    } while (text.p);
    return true;
}

/* ---- cursors ---- */

/* Texts in two languages have an order in each. */
static struct str language(const struct context *c, const struct sort *sort)
{
    for (size_t i = 0; i < sort->count; i++)
        if (sort->terms[i].field->localized) return str_of(lang_code(c->env.lang));
    return (struct str){NULL, 0};
}

static bool mac(struct context *c, const struct query *q, const struct sort *sort, struct str payload,
                unsigned char out[MAC])
{
    crypto_generichash_state s;
    const unsigned char *secret = plan_secret(c);
    struct str parts[] = {str_of(q->entity->name), q->filter, q->sort, q->q, q->part,
                          language(c, sort),       payload};
    if (crypto_generichash_init(&s, secret, secret ? 32 : 0, MAC) != 0) return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint64_t n = parts[i].n;
        crypto_generichash_update(&s, (const unsigned char *)&n, sizeof n);
        if (n) crypto_generichash_update(&s, (const unsigned char *)parts[i].p, n);
    }
    return crypto_generichash_final(&s, out, MAC) == 0;
}

static bool bad_cursor(struct context *c)
{
    error_add(c->error, "cursor", "bad_cursor", "the cursor does not belong to this query",
              "курсор не от этого запроса");
    return error_set(c->error, ERROR_BAD_REQUEST, "the cursor does not belong to this query, or was changed",
                     "курсор не от этого запроса или изменён");
}

static bool read_int(const struct json_value *v, int64_t *out)
{
    if (!v || v->type != JSON_NUMBER || v->text.n > 20) return false;
    char digits[24] = "", *end;
    memcpy(digits, v->text.p, v->text.n);
    *out = strtoll(digits, &end, 10);
    return *end == '\0';
}

bool cursor_parse(struct context *c, const struct query *q, const struct sort *sort, struct cursor *out)
{
    *out = (struct cursor){.given = q->cursor.n > 0};
    if (!out->given) return true;
    unsigned char *bytes = arena_alloc(c->arena, q->cursor.n + 1), expected[MAC];
    size_t n = 0;
    if (!bytes) return error_no_memory(c->error);
    if (sodium_base642bin(bytes, q->cursor.n, q->cursor.p, q->cursor.n, NULL, &n, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        n < MAC)
        return bad_cursor(c);
    struct str payload = {(const char *)bytes + MAC, n - MAC};
    if (!mac(c, q, sort, payload, expected) || sodium_memcmp(expected, bytes, MAC) != 0) return bad_cursor(c);
    struct json_value *all = json_parse(c->arena, payload, c->error), *v = all ? all->first : NULL;
    int64_t phase;
    if (!v || !read_int(v, &phase) || !(v = v->next) || !read_int(v, &out->id)) return bad_cursor(c);
    out->phase = (int)phase;
    for (size_t i = 0; i < sort->count; i++) {
        v = v->next;
        int64_t n64 = 0;
        if (!v) return bad_cursor(c);
        if (v->type == JSON_NULL)
            out->keys[i] = value_null();
        else if (v->type == JSON_STRING)
            out->keys[i] = value_text(v->text);
        else if (read_int(v, &n64))
            out->keys[i] = value_of(VALUE_ID, n64);
        else
            return bad_cursor(c);
    }
    return true;
}

bool cursor_write(struct context *c, const struct query *q, const struct sort *sort,
                  const struct cursor *cursor, struct buf *out)
{
    struct buf b;
    unsigned char hash[MAC];
    buf_init(&b, 65536);
    json_array(&b);
    json_int(&b, cursor->phase);
    json_int(&b, cursor->id);
    for (size_t i = 0; i < sort->count; i++) {
        if (cursor->keys[i].type == VALUE_NULL)
            json_null(&b);
        else if (cursor->keys[i].type == VALUE_TEXT)
            json_str(&b, cursor->keys[i].s);
        else
            json_int(&b, cursor->keys[i].i);
    }
    json_end_array(&b);
    size_t size = MAC + b.n,
           encoded = sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    unsigned char *raw = arena_alloc(c->arena, size);
    char *text = arena_alloc(c->arena, encoded);
    bool ok = !b.failed && raw && text && mac(c, q, sort, buf_view(&b), hash);
    if (ok) {
        memcpy(raw, hash, MAC);
        memcpy(raw + MAC, b.p, b.n);
        sodium_bin2base64(text, encoded, raw, size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        json_cstr(out, text);
    }
    buf_free(&b);
    return ok ? true : error_no_memory(c->error);
}
