/* import_job.c: see import_job.h. */
#include "record/import_job.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "record/import_keys.h"
#include "store/trail.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK_ROWS 4000
#define CHUNK_BYTES ((size_t)4 << 20)
#define SCRIPT_TRIES 3
#define GROUP_FIRST 16 /* rows in one savepoint */
#define GROUP_MOST 4096
#define GRACE_NS UINT64_C(4000000)
#define ROW_ARENA ((size_t)64 << 20)

struct import_chunk {
    struct arena arena;
    struct import_row rows[CHUNK_ROWS];
    size_t count, at, next; /* next: where `at` will be when what was applied is committed */
};

/* ---- options as JSON ---- */

bool import_options_write(struct buf *b, const struct import_options *o, bool dry_run, enum lang lang)
{
    char delimiter[2] = {o->delimiter ? o->delimiter : ',', 0};
    json_object(b);
    json_key(b, STR("format"));
    json_cstr(b, import_format_name(o->format));
    json_key(b, STR("mode"));
    json_cstr(b, import_mode_name(o->mode));
    json_key(b, STR("match"));
    json_str(b, o->match.p ? o->match : STR(""));
    json_key(b, STR("automation"));
    json_bool(b, o->automation);
    json_key(b, STR("dry_run"));
    json_bool(b, dry_run);
    json_key(b, STR("delimiter"));
    json_cstr(b, delimiter);
    json_key(b, STR("charset"));
    json_cstr(b, o->charset == CSV_UTF8 ? "utf-8" : "windows-1251");
    json_key(b, STR("language"));
    json_cstr(b, lang_code(lang));
    json_end_object(b);
    return !b->failed;
}

static struct str member(const struct json_value *o, const char *name)
{
    const struct json_value *m = json_member(o, str_of(name));
    return m && m->type == JSON_STRING ? m->text : STR("");
}

static bool flag(const struct json_value *o, const char *name)
{
    const struct json_value *m = json_member(o, str_of(name));
    return m && m->type == JSON_TRUE;
}

bool import_options_read(struct str json, struct arena *arena, struct import_options *o, bool *dry_run,
                         enum lang *lang, struct error *e)
{
    const struct json_value *v = json_parse(arena, json, e);
    if (!v) return false;
    struct str delimiter = member(v, "delimiter");
    *o = (struct import_options){.match = member(v, "match"),
                                 .automation = flag(v, "automation"),
                                 .delimiter = delimiter.n ? delimiter.p[0] : ',',
                                 .charset = str_is(member(v, "charset"), "windows-1251") ? CSV_WINDOWS_1251
                                                                                         : CSV_UTF8};
    *dry_run = flag(v, "dry_run");
    *lang = LANG_EN;
    (void)lang_parse(member(v, "language"), lang);
    return (import_format_named(member(v, "format"), &o->format) &&
            import_mode_named(member(v, "mode"), &o->mode)) ||
           error_set(e, ERROR_INTERNAL, "the import's options are damaged", "параметры импорта повреждены");
}

struct str import_request(int64_t id, struct arena *arena)
{
    char text[ID_TEXT + 1];
    id_format(id, text);
    return str_of(arena_printf(arena, "import:%s", text));
}

/* ---- the whole file ---- */

static bool first_bytes(const char *path, char *to, size_t *n, struct error *e)
{
    FILE *f = fopen(path, "rbe");
    if (!f) return error_set(e, ERROR_UNAVAILABLE, "the file cannot be read", "файл не читается");
    *n = fread(to, 1, *n, f);
    bool ok = !ferror(f);
    fclose(f);
    return ok ? true : error_set(e, ERROR_UNAVAILABLE, "the file cannot be read", "файл не читается");
}

/* UTF-8 when all of it is, or when the header is and has letters past ASCII (then single rows are at fault);
 * else what Russian spreadsheets write. */
static bool find_charset(const char *path, struct str start, struct str charset, struct import_options *o,
                         struct error *e)
{
    bool utf8 = true;
    if (str_eq_nocase(charset, STR("utf-8")) || str_eq_nocase(charset, STR("utf8"))) return true;
    if (str_eq_nocase(charset, STR("windows-1251")) || str_eq_nocase(charset, STR("cp1251"))) {
        o->charset = CSV_WINDOWS_1251;
        return true;
    }
    if (charset.n)
        return error_set(e, ERROR_UNSUPPORTED_MEDIA_TYPE, "the charset is utf-8 or windows-1251",
                         "кодировка: utf-8 или windows-1251");
    if (str_starts(start, STR("\xFF\xFE")) || str_starts(start, STR("\xFE\xFF")))
        return error_set(e, ERROR_UNSUPPORTED_MEDIA_TYPE, "the file is UTF-16; save it as UTF-8",
                         "файл в UTF-16; сохраните его в UTF-8");
    if (!import_is_utf8(path, &utf8, e)) return false;
    const char *end = memchr(start.p, '\n', start.n);
    struct str header = {start.p, end ? (size_t)(end - start.p) : start.n};
    bool ascii = true;
    for (size_t i = 0; i < header.n; i++)
        ascii = ascii && (unsigned char)header.p[i] < 0x80;
    if (!utf8 && (ascii || !text_valid(header))) o->charset = CSV_WINDOWS_1251;
    return true;
}

bool import_probe(struct context *c, const struct entity *e, const char *path, struct str charset,
                  struct import_options *o)
{
    char start[8192];
    size_t n = sizeof start;
    if (!first_bytes(path, start, &n, c->error)) return false;
    if (o->format == IMPORT_CSV) {
        if (!find_charset(path, (struct str){start, n}, charset, o, c->error)) return false;
        o->delimiter = csv_delimiter((struct str){start, n});
    }
    struct import_reader *r =
        import_reader_open(path, o->format, o->delimiter, o->charset, (struct import_place){0}, c->error);
    if (!r) return false;
    const struct str *header = NULL;
    size_t columns = o->format == IMPORT_CSV ? import_header(r, &header) : 0;
    bool ok = import_compile(c, e, o, header, columns) != NULL;
    import_reader_close(r);
    return ok;
}

/* ---- opening ---- */

static bool note_key(struct import_job *j, struct arena *arena, struct import_row *row, struct error *e)
{
    struct str key = import_key(j->mine, arena, row);
    bool seen = false;
    if (!key.n) return true;
    if (!import_keys_add(j->keys, key, &seen)) return error_no_memory(e);
    if (!seen) return true;
    row->code = "repeated_key";
    row->mistake[LANG_EN] = "an earlier row of the file has the same key";
    row->mistake[LANG_RU] = "такой же ключ уже есть в одной из строк выше";
    return true;
}

/* From the start: counts the rows, and notes the keys of those that are done. */
static bool look_through(struct import_job *j, const char *path, struct error *e)
{
    const struct import_options *o = &j->options;
    struct import_reader *r =
        import_reader_open(path, o->format, o->delimiter, o->charset, (struct import_place){0}, e);
    struct import_row row;
    struct arena arena;
    int64_t rows = 0;
    bool ok = r != NULL, count = j->state.total < 0;
    arena_init(&arena, ROW_ARENA);
    while (ok && (count || rows < j->state.done) && import_read(r, &row, e)) {
        if (++rows <= j->state.done) ok = note_key(j, &arena, &row, e);
        arena_reset(&arena);
    }
    if (count) j->state.total = rows;
    ok = ok && (e->kind == ERROR_NONE || (count && e->kind == ERROR_BAD_REQUEST));
    if (ok) error_clear(e); /* where the file breaks off is said when the import comes there */
    arena_free(&arena);
    import_reader_close(r);
    return ok;
}

static bool compile_mine(struct import_job *j, struct context *c, const struct entity *e, const char *path)
{
    const struct import_options *o = &j->options;
    struct import_reader *r =
        import_reader_open(path, o->format, o->delimiter, o->charset, (struct import_place){0}, c->error);
    if (!r) return false;
    const struct str *header = NULL;
    size_t columns = o->format == IMPORT_CSV ? import_header(r, &header) : 0;
    struct context mine = *c;
    mine.arena = &j->arena;
    j->mine = import_compile(&mine, e, o, header, columns);
    j->my_catalog = j->mine ? catalog_ref(c->catalog) : NULL;
    import_reader_close(r);
    return j->mine != NULL;
}

static const struct entity *entity_of(const struct import_job *j, const struct catalog *c, struct error *e)
{
    const struct entity *found = catalog_entity(c, j->state.entity);
    if (!found)
        error_set(e, ERROR_NOT_FOUND, "there is no entity %.*s any more", "сущности %.*s больше нет",
                  STR_ARG(j->state.entity));
    return found;
}

static bool open_job(struct import_job *j, struct context *c, int64_t id, const char *path)
{
    bool found;
    if (!imports_get(c->db, id, &j->arena, &j->state, &found, c->error)) return false;
    if (!found) return error_set(c->error, ERROR_NOT_FOUND, "there is no such import", "нет такого импорта");
    j->request = import_request(id, &j->arena);
    if (!j->request.p) return error_no_memory(c->error);
    if (!import_options_read(j->state.options, &j->arena, &j->options, &j->dry_run, &j->lang, c->error))
        return false;
    c->error->lang = j->lang;
    if (j->dry_run) { /* always from the start: what an interrupted one did is gone with its copy */
        struct import_state *s = &j->state;
        s->done = s->position = s->first_seq = s->created = s->updated = s->unchanged = s->failed = 0;
        s->line = 1;
    }
    const struct entity *e = entity_of(j, c->catalog, c->error);
    if (!e || !compile_mine(j, c, e, path) || !look_through(j, path, c->error)) return false;
    struct import_place from = {j->state.position, j->state.line, j->state.done};
    j->reader =
        import_reader_open(path, j->options.format, j->options.delimiter, j->options.charset, from, c->error);
    return j->reader != NULL;
}

struct import_job *import_job_open(struct context *c, int64_t id, const char *path)
{
    struct import_job *j = calloc(1, sizeof *j);
    if (!j) return error_no_memory(c->error), NULL;
    arena_init(&j->arena, (size_t)8 << 20);
    arena_init(&j->compiled, (size_t)8 << 20);
    j->keys = import_keys_new();
    if (!j->keys)
        error_no_memory(c->error);
    else if (open_job(j, c, id, path))
        return j;
    import_job_close(j);
    return NULL;
}

void import_job_close(struct import_job *j)
{
    if (!j) return;
    import_reader_close(j->reader);
    import_keys_free(j->keys);
    catalog_unref(j->my_catalog);
    catalog_unref(j->catalog);
    arena_free(&j->compiled);
    arena_free(&j->arena);
    free(j);
}

/* ---- reading ---- */

struct import_chunk *import_chunk_new(void)
{
    struct import_chunk *k = calloc(1, sizeof *k);
    if (k) arena_init(&k->arena, ROW_ARENA);
    return k;
}

void import_chunk_free(struct import_chunk *k)
{
    if (!k) return;
    arena_free(&k->arena);
    free(k);
}

bool import_chunk_empty(const struct import_chunk *k)
{
    return k->at == k->count;
}

static bool keep_row(struct import_chunk *k, const struct import_row *row)
{
    struct import_row *mine = &k->rows[k->count];
    *mine = *row;
    if (row->json.p) mine->json = arena_str(&k->arena, row->json);
    if (row->json.p && !mine->json.p) return false;
    struct str *cells = arena_array(&k->arena, row->count ? row->count : 1, sizeof *cells);
    if (!cells) return false;
    for (size_t i = 0; i < row->count; i++) {
        cells[i] = arena_str(&k->arena, row->cells[i]);
        if (!cells[i].p) return false;
    }
    mine->cells = cells;
    k->count++;
    return true;
}

bool import_job_read(struct import_job *j, struct import_chunk *k, struct error *e)
{
    struct import_row row;
    struct arena scratch;
    bool ok = true;
    arena_reset(&k->arena);
    k->count = k->at = k->next = 0;
    arena_init(&scratch, ROW_ARENA);
    while (ok && k->count < CHUNK_ROWS && k->arena.used < CHUNK_BYTES && !j->ended) {
        if (!import_read(j->reader, &row, e)) {
            j->ended = true;
            break;
        }
        ok = note_key(j, &scratch, &row, e) && (keep_row(k, &row) || error_no_memory(e));
        if (row.json.p) arena_reset(&scratch);
    }
    arena_free(&scratch);
    return ok && e->kind == ERROR_NONE;
}

/* ---- applying ---- */

/* Anew when the catalog or the rights of the user are others than before. */
static bool compile_there(struct import_job *j, const struct context *c, struct error *e)
{
    if (j->there && j->catalog == c->catalog && j->user_epoch == c->who->epoch) return true;
    catalog_unref(j->catalog);
    j->catalog = catalog_ref(c->catalog);
    j->user_epoch = c->who->epoch;
    j->there = NULL;
    arena_reset(&j->compiled);
    struct context mine = *c;
    mine.arena = &j->compiled;
    mine.error = e;
    const struct entity *entity = entity_of(j, c->catalog, e);
    size_t columns;
    const struct str *header = import_names(j->mine, &columns);
    j->there = entity ? import_compile(&mine, entity, &j->options, header, columns) : NULL;
    return j->there != NULL;
}

static bool keep_mistake(struct import_job *j, struct db *d, const struct import_row *row,
                         const struct error *found, int64_t *n, struct error *e)
{
    struct import_mistake m = {.row = row->number, .line = row->line};
    if (*n >= IMPORT_ERRORS_MAX) return true;
    for (const struct error_entry *entry = found->first; entry; entry = entry->next) {
        const char *pointer = entry->pointer;
        m.pointer = pointer ? str_of(pointer) : (struct str){NULL, 0};
        m.code = str_of(entry->code ? entry->code : "invalid");
        m.message = str_of(entry->message ? entry->message : "");
        if (!imports_mistake(d, j->state.id, IMPORT_PHASE_RUN, (*n)++, &m, e)) return false;
    }
    if (found->first) return true;
    m.code = str_of(error_kind_code(found->kind));
    m.message = str_of(found->detail ? found->detail : "");
    return imports_mistake(d, j->state.id, IMPORT_PHASE_RUN, (*n)++, &m, e);
}

static void count(struct import_state *s, enum import_outcome outcome)
{
    s->created += outcome == IMPORT_CREATED;
    s->updated += outcome == IMPORT_UPDATED;
    s->unchanged += outcome == IMPORT_UNCHANGED;
    s->failed += outcome == IMPORT_FAILED;
}

struct applying {
    struct import_job *job;
    struct context context; /* of the row */
    struct arena arena;
    struct error error;
    struct import_state state; /* as it will be */
    int64_t mistakes;
    uint64_t until; /* clock_mono: then it is the others' turn */
};

static void fresh_row(struct applying *a)
{
    arena_reset(&a->arena);
    error_init(&a->error, &a->arena, a->job->lang);
    a->context.created = NULL;
    a->context.env.now = clock_now();
}

static bool settle(struct applying *a, const struct import_row *row, enum import_outcome outcome,
                   struct error *e)
{
    if (outcome == IMPORT_BROKEN)
        return error_set(e, a->error.kind ? a->error.kind : ERROR_UNAVAILABLE, "%s", "%s",
                         a->error.detail ? a->error.detail : "the database does not take it");
    count(&a->state, outcome);
    a->state.done = row->after.rows;
    a->state.position = row->after.position;
    a->state.line = row->after.line;
    return outcome != IMPORT_FAILED || keep_mistake(a->job, a->context.db, row, &a->error, &a->mistakes, e);
}

/* In a savepoint of its own. Nobody waits for a row, so a script that ran out of time may have been held up
 * by others: it is tried again. */
static bool apply_alone(struct applying *a, const struct import_row *row, struct error *e)
{
    enum import_outcome outcome;
    int64_t record;
    int tries = 0;
    do {
        fresh_row(a);
        outcome = import_row(a->job->there, &a->context, row, &record);
    } while (outcome == IMPORT_FAILED && a->error.kind == ERROR_SCRIPT_LIMIT && ++tries < SCRIPT_TRIES);
    return settle(a, row, outcome, e);
}

/* Rows in one savepoint, up to the end of the group, the time, or the first one that spoils it (then nothing
 * of them is there any more; *spoiler is its place, else n). */
static bool apply_among(struct applying *a, const struct import_row *rows, size_t n, size_t *spoiler,
                        size_t *applied, struct error *e)
{
    struct import_state before = a->state;
    int64_t mistakes = a->mistakes, record;
    bool ok = db_savepoint(a->context.db, e), spoilt = false;
    *spoiler = n;
    *applied = 0;
    while (ok && *applied < n) {
        fresh_row(a);
        enum import_outcome outcome =
            import_row_among(a->job->there, &a->context, &rows[*applied], &record, &spoilt);
        if (spoilt) break;
        ok = settle(a, &rows[*applied], outcome, e);
        ++*applied;
        if (clock_mono() >= a->until) break;
    }
    if (!spoilt) return ok && db_savepoint_release(a->context.db, e);
    db_savepoint_rollback(a->context.db);
    trail_forget(a->context.db);
    a->state = before;
    a->mistakes = mistakes;
    *spoiler = *applied;
    *applied = 0;
    return ok;
}

/* A group, and if one of its rows spoils it: those before it again, and that one by itself. Groups grow while
 * all goes well. */
static bool apply_group(struct applying *a, struct import_chunk *k, size_t *at, struct error *e)
{
    struct import_job *j = a->job;
    size_t n = k->count - *at < j->group ? k->count - *at : j->group, spoiler, applied, again;
    if (n <= 1) {
        j->group = j->group < GROUP_MOST ? j->group + 1 : j->group;
        return apply_alone(a, &k->rows[(*at)++], e);
    }
    if (!apply_among(a, &k->rows[*at], n, &spoiler, &applied, e)) return false;
    if (spoiler == n) {
        *at += applied;
        if (applied == n && j->group < GROUP_MOST) j->group *= 2;
        return true;
    }
    j->group = j->group / 4 + 1;
    for (again = 0; again < spoiler && clock_mono() < a->until + GRACE_NS; again++)
        if (!apply_alone(a, &k->rows[(*at)++], e)) return false;
    return again < spoiler || apply_alone(a, &k->rows[(*at)++], e);
}

static bool save(struct applying *a, struct error *e)
{
    int64_t first, last;
    struct import_state *s = &a->state;
    s->state = STR("running");
    if (!s->started_at) s->started_at = clock_now();
    if (!trail_range(a->context.db, &first, &last, e)) return false;
    s->last_seq = last;
    return imports_save(a->context.db, s, e);
}

bool import_job_apply(struct import_job *j, struct import_chunk *k, const struct context *c,
                      uint64_t budget_ns, bool *left, struct error *e)
{
    struct applying a = {.job = j, .context = *c, .state = j->state};
    int64_t first, last;
    size_t at = k->at;
    a.until = clock_mono() + budget_ns;
    if (!j->group) j->group = GROUP_FIRST;
    arena_init(&a.arena, ROW_ARENA);
    a.context.arena = &a.arena;
    a.context.error = &a.error;
    a.context.request = j->request;
    a.context.env.lang = j->lang;
    bool ok = compile_there(j, c, e) &&
              imports_mistake_count(c->db, j->state.id, IMPORT_PHASE_RUN, &a.mistakes, e) &&
              (a.state.first_seq || trail_range(c->db, &first, &last, e));
    if (ok && !a.state.first_seq) a.state.first_seq = last + 1;
    while (ok && at < k->count && clock_mono() < a.until)
        ok = apply_group(&a, k, &at, e);
    ok = ok && save(&a, e);
    arena_free(&a.arena);
    *left = at < k->count;
    if (!ok) return false;
    j->next = a.state;
    k->next = at;
    return true;
}

void import_job_committed(struct import_job *j, struct import_chunk *k)
{
    j->state = j->next;
    k->at = k->next;
}

bool import_job_finish(struct import_job *j, struct db *d, const struct error *why, struct error *e)
{
    struct import_state s = j->state;
    s.state = why ? STR("failed") : STR("done");
    if (why) s.detail = str_of(why->detail ? why->detail : "");
    if (!why) s.total = s.done;
    if (!s.started_at) s.started_at = clock_now();
    s.finished_at = clock_now();
    return imports_save(d, &s, e);
}
