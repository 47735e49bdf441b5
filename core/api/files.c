/* files.c: uploads, editions, and taking them away (api.md §9); download.c sends the bytes.
 *
 *   head: who, which record ─► DIR/spool (upload.c) ─► slow lane: its place by its hash ─► writer: document
 *   and row, in one transaction ─► 201
 *
 * The contents are on disk before the row is committed; a crash in between leaves contents that nobody names,
 * which are collected later (store/files.h). */
#include "api/files.h"

#include "base/text.h"

#include <sodium.h>
#include <stdio.h>
#include <sys/statvfs.h>

#define NAME_MOST 300
#define TYPE_MOST 100
#define EDITIONS_MOST 500
#define ROOM ((int64_t)64 << 20) /* left for the database */

struct request {
    struct str name, type, kind;
    const char *collection; /* NULL: at no record */
    int64_t record;
    unsigned char hash[FILES_HASH];
};

/* ── What a file looks like ──────────────────────────────────────────────────────────────────── */

static void write_text(struct buf *b, const char *name, struct str text)
{
    json_key(b, str_of(name));
    if (text.p)
        json_str(b, text);
    else
        json_null(b);
}

static void write_id(struct buf *b, const char *name, int64_t id)
{
    json_key(b, str_of(name));
    json_id(b, id);
}

static void write_file(struct call *c, const struct file_row *f)
{
    struct buf *b = c->out;
    char hex[2 * FILES_HASH + 1];
    const struct entity *e = f->entity.p ? catalog_entity(c->worker->set->catalog, f->entity) : NULL;
    sodium_bin2hex(hex, sizeof hex, f->hash, sizeof f->hash);
    json_object(b);
    write_id(b, "id", f->id);
    write_text(b, "name", f->name);
    write_text(b, "type", f->type);
    json_key(b, STR("size"));
    json_int(b, f->size);
    write_text(b, "hash", str_of(hex));
    json_key(b, STR("edition"));
    json_int(b, f->edition);
    write_text(b, "kind", f->kind);
    write_text(b, "entity", e ? str_of(e->collection) : f->entity);
    write_id(b, "record", f->record);
    write_id(b, "document", f->document);
    json_key(b, STR("created_at"));
    json_datetime(b, f->created_at);
    write_id(b, "created_by", f->created_by);
    json_end_object(b);
}

/* ── Uploading ───────────────────────────────────────────────────────────────────────────────── */

static bool bad(struct call *c, const char *name, const char *en, const char *ru)
{
    error_add(&c->error, name, "bad_value", "%s: %s", "%s: %s", name, c->error.lang == LANG_RU ? ru : en);
    return error_set(&c->error, ERROR_BAD_REQUEST, "%s: %s", "%s: %s", name,
                     c->error.lang == LANG_RU ? ru : en);
}

/* Marks that turn the direction of writing hide what a name ends in. */
static bool turns_text(uint32_t ch)
{
    return (ch >= 0x202A && ch <= 0x202E) || (ch >= 0x2066 && ch <= 0x2069) || ch == 0x200E || ch == 0x200F;
}

/* A name, not a path: no separators, nothing invisible. */
static bool read_name(struct call *c, struct str *name)
{
    *name = str_trim(call_parameter(c, "name"));
    if (name->n == 0) return bad(c, "name", "the file's name is missing", "не указано имя файла");
    if (text_length(*name) > NAME_MOST)
        return bad(c, "name", "it is longer than 300 characters", "длиннее 300 знаков");
    if (str_is(*name, ".") || str_is(*name, "..")) return bad(c, "name", "that is no name", "это не имя");
    for (struct str rest = *name; rest.n;) {
        uint32_t ch = text_next(&rest);
        if (ch < 0x20 || ch == 0x7F || ch == '/' || ch == '\\' || turns_text(ch))
            return bad(c, "name", "it has a slash or a character that cannot be seen",
                       "в имени косая черта или невидимый знак");
    }
    return true;
}

/* "Type/Subtype; …" → "type/subtype"; what is none is application/octet-stream. */
static bool read_type(struct call *c, struct str *out)
{
    struct str field = call_header(c, "content-type"), media = str_trim(str_cut(&field, ';'));
    char *type = media.n && media.n <= TYPE_MOST ? arena_dup(c->arena, media) : NULL;
    size_t slashes = 0;
    bool good = type != NULL;
    for (char *p = type; good && *p; p++) {
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p + 32);
        slashes += *p == '/';
        good = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || strchr("/.+-_", *p);
    }
    good = good && slashes == 1 && type[0] != '/' && type[strlen(type) - 1] != '/';
    *out = good ? str_of(type) : STR("application/octet-stream");
    const char *const *allowed = c->app->options->file_types;
    if (!allowed) return true;
    for (size_t i = 0; allowed[i]; i++) {
        struct str one = str_of(allowed[i]);
        bool family = one.n > 2 && memcmp(one.p + one.n - 2, "/*", 2) == 0;
        if (family ? str_starts(*out, (struct str){one.p, one.n - 1}) : str_eq(*out, one)) return true;
    }
    return error_set(&c->error, ERROR_UNSUPPORTED_MEDIA_TYPE, "files of the type %.*s are not taken here",
                     "файлы типа %.*s здесь не принимаются", STR_ARG(*out));
}

static bool no_record(struct call *c)
{
    error_add(&c->error, "record", "no_such_record", "there is no such record", "нет такой записи");
    return error_set(&c->error, ERROR_NOT_FOUND, "there is no such record", "нет такой записи");
}

/* The record that the file is for: there, and readable. */
static bool find_record(struct call *c, struct request *r, const struct entity **entity)
{
    struct context *x = &c->context;
    const struct field *denied;
    bool yes = false;
    const struct entity *e = catalog_collection(x->catalog, str_of(r->collection));
    if (!e || !access_may(c->who, e, ACTION_READ)) {
        error_add(&c->error, "entity", "unknown_collection", "there is no collection %s", "нет коллекции %s",
                  r->collection);
        return error_set(&c->error, ERROR_NOT_FOUND, "there is no collection %s", "нет коллекции %s",
                         r->collection);
    }
    if (!access_check(x->db, c->who, e, r->record, ACTION_READ, NULL, &x->env, c->arena, &yes, &denied,
                      &c->error))
        return false;
    *entity = e;
    return yes ? true : no_record(c);
}

static bool read_record(struct call *c, struct request *r)
{
    struct str entity = call_parameter(c, "entity"), record = call_parameter(c, "record");
    const struct entity *e, *document = c->context.catalog->document;
    r->kind = call_parameter(c, "kind");
    if (!entity.p && !record.p)
        return r->kind.p ? bad(c, "record", "kind needs a record", "kind без записи") : true;
    if (!entity.p) return bad(c, "entity", "it is missing", "не указано");
    if (!record.p) return bad(c, "record", "it is missing", "не указано");
    if (!r->kind.n)
        return bad(c, "kind", "it is missing: contract, proposal, …", "не указан: contract, proposal, …");
    r->collection = arena_dup(c->arena, entity);
    if (!r->collection) return error_no_memory(&c->error);
    if (!id_parse(record, &r->record)) return no_record(c);
    if (!find_record(c, r, &e)) return false;
    if (document && access_may(c->who, document, ACTION_CREATE)) return true;
    return error_set(&c->error, ERROR_FORBIDDEN, "your roles do not allow you to add files",
                     "ваши роли не позволяют добавлять файлы");
}

static bool place(struct call *c);

static bool admit(struct call *c)
{
    struct request *r = arena_alloc(c->arena, sizeof *r);
    if (!r) return error_no_memory(&c->error);
    c->data = r;
    return read_name(c, &r->name) && read_type(c, &r->type) && read_record(c, r) &&
           upload_accept(c, c->app->options->file_bytes, LANE_SLOW, place);
}

static bool room_for(struct call *c)
{
    const struct serve_options *o = c->app->options;
    struct statvfs fs;
    int64_t total = 0;
    if (o->files_bytes && !files_total(c->worker->db, &total, &c->error)) return false;
    bool full = o->files_bytes && total + c->upload->size > o->files_bytes;
    if (!full && statvfs(o->data, &fs) == 0) full = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize < ROOM;
    if (!full) return true;
    c->error.retry_after = 3600;
    return error_set(&c->error, ERROR_UNAVAILABLE, "there is no room for more files",
                     "для новых файлов нет места");
}

static bool insert(struct call *c);

/* In the slow lane: the contents to their place. */
static bool place(struct call *c)
{
    struct request *r = c->data;
    struct upload *u = c->upload;
    size_t n;
    if (!u || u->size == 0) {
        error_add(&c->error, NULL, "empty", "the file is empty", "файл пуст");
        return error_set(&c->error, ERROR_VALIDATION_FAILED, "the file is empty", "файл пуст");
    }
    if (!room_for(c)) return false;
    sodium_hex2bin(r->hash, sizeof r->hash, u->hash, strlen(u->hash), NULL, &n, NULL);
    if (!files_place(c->app->options->data, u->path, r->hash, u->size, &c->error)) return false;
    upload_keep(u);
    return call_continue(c, LANE_WRITE, insert);
}

static bool insert(struct call *c)
{
    const struct request *r = c->data;
    const struct entity *e;
    struct file_row f = {.id = id_next(),
                         .size = c->upload->size,
                         .name = r->name,
                         .type = r->type,
                         .kind = r->kind,
                         .edition = 1,
                         .created_at = clock_now(),
                         .created_by = c->who->id};
    memcpy(f.hash, r->hash, sizeof f.hash);
    /* Collecting removes contents on this thread alone, so that what is there now stays. */
    if (!files_there(c->app->options->data, f.hash, f.size)) {
        c->error.retry_after = 1;
        return error_set(&c->error, ERROR_UNAVAILABLE, "the file was lost on its way; send it again",
                         "файл потерян по дороге; отправьте ещё раз");
    }
    if (r->collection) {
        struct request again = *r;
        if (!find_record(c, &again, &e) || !record_file_attach(&c->context, e, r->record, &f)) return false;
    } else if (!file_add(c->worker->db, &f, &c->error)) {
        return false;
    }
    char text[ID_TEXT + 1];
    id_format(f.id, text);
    const char *location = arena_printf(c->arena, "/api/v1/files/%s", text);
    if (location) call_field(c, "Location", str_of(location));
    buf_reset(c->out);
    write_file(c, &f);
    return call_json(c, 201);
}

/* ── Looking and taking away ─────────────────────────────────────────────────────────────────── */

bool file_find(struct call *c, struct file_row *f)
{
    struct str text = call_capture(c, "id");
    int64_t id;
    bool yes = false;
    if (id_parse(text, &id) && !file_get(c->worker->db, id, c->arena, f, &yes, &c->error)) return false;
    if (yes && !record_file_readable(&c->context, f, &yes)) return false;
    return yes ? true
               : error_set(&c->error, ERROR_NOT_FOUND, "there is no file %.*s", "нет файла %.*s",
                           STR_ARG(text));
}

/* The editions of a document. */
static bool list(struct call *c)
{
    struct str text = call_parameter(c, "document");
    int64_t document, ids[EDITIONS_MOST];
    size_t n;
    if (!text.p || !id_parse(text, &document))
        return bad(c, "document", "an id is needed", "нужен идентификатор");
    if (!file_editions(c->worker->db, document, ids, EDITIONS_MOST, &n, &c->error)) return false;
    struct buf *b = c->out;
    json_object(b);
    json_key(b, STR("items"));
    json_array(b);
    for (size_t i = 0; i < n; i++) {
        struct file_row f;
        bool yes;
        if (!file_get(c->worker->db, ids[i], c->arena, &f, &yes, &c->error)) return false;
        if (yes && !record_file_readable(&c->context, &f, &yes)) return false;
        if (yes) write_file(c, &f);
    }
    json_end_array(b);
    json_end_object(b);
    return call_json(c, 200);
}

static bool destroy(struct call *c)
{
    struct file_row f;
    if (!file_find(c, &f) || !record_file_remove(&c->context, &f)) return false;
    files_touch(c->app->options->data, f.hash);
    return call_empty(c, 204);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/files", LANE_READ, 0, "document", list,
     "The editions of a document, newest first", NULL, "files", 200},
    {HTTP_METHOD_POST, "/api/v1/files", LANE_READ, UPLOAD | NOT_IN_BATCH, "name entity record kind", admit,
     "Upload a file, as a document of a record", "bytes", "file", 201},
    {HTTP_METHOD_GET, "/api/v1/files/{id}", LANE_READ, NOT_IN_BATCH, "disposition", file_download,
     "The bytes of a file, or a range of them", NULL, "bytes", 200},
    {HTTP_METHOD_DELETE, "/api/v1/files/{id}", LANE_WRITE, 0, "", destroy, "Take a file away", NULL, NULL,
     204},
};

const struct endpoint_table files_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
