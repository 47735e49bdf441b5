/* codes.c: what scripts mention and data lacks, and the reverse: `check` compares with masterdata/crm.json,
 * `doctor` with the database. A script or a record that speaks of something unknown works as if it were not
 * there, which nobody sees; so it is said. */
#include "cli/cli.h"
#include "record/query.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct comparison {
    const struct catalog *catalog;
    const struct json_value *stages, *roles, *chains, *steps, *kinds;
    const char *data; /* what the records are: a file, or the database */
    size_t found;
};

static void say(struct comparison *k, const char *where, const char *en, const char *ru, ...)
    __attribute__((format(printf, 3, 5), format(printf, 4, 5)));

static void say(struct comparison *k, const char *where, const char *en, const char *ru, ...)
{
    va_list args;
    k->found++;
    fprintf(stderr, "%s: ", where);
    va_start(args, ru);
    vfprintf(stderr, say_language() == LANG_RU ? ru : en, args);
    va_end(args);
    fputc('\n', stderr);
}

static bool has_code(const struct json_value *records, struct str code)
{
    for (const struct json_value *r = records ? records->first : NULL; r; r = r->next) {
        const struct json_value *c = json_member(r, STR("code"));
        if (c && c->type == JSON_STRING && str_eq(c->text, code)) return true;
    }
    return false;
}

static struct str member(const struct json_value *record, const char *name)
{
    const struct json_value *m = json_member(record, str_of(name));
    return m && m->type == JSON_STRING ? m->text : (struct str){"", 0};
}

/* ---- scripts → data ---- */

static void stages_of_scripts(struct comparison *k)
{
    for (size_t i = 0; i < k->catalog->pipeline_count; i++) {
        const struct pipeline *p = &k->catalog->pipelines[i];
        for (size_t s = 0; s < p->stage_count; s++) {
            const struct stage_decl *d = &p->stages[s];
            char where[512];
            snprintf(where, sizeof where, "%s:%d", d->place.file, d->place.line);
            if (!has_code(k->stages, str_of(d->code)))
                say(k, where, "warning: stage \"%s\" is not in %s: it exists by the script alone",
                    "предупреждение: этапа «%s» нет в %s: он есть только в сценарии", d->code, k->data);
        }
    }
}

/* ---- data → scripts ---- */

static void roles_of_data(struct comparison *k)
{
    for (const struct json_value *r = k->roles ? k->roles->first : NULL; r; r = r->next)
        if (!catalog_role(k->catalog, member(r, "code")))
            say(k, k->data, "warning: role \"%.*s\" is declared by no script: it allows nothing",
                "предупреждение: роль «%.*s» не объявлена ни одним сценарием: она ничего не разрешает",
                STR_ARG(member(r, "code")));
}

static void requirements(struct comparison *k, const struct json_value *stage, const struct entity *e)
{
    const struct json_value *names = json_member(stage, STR("require"));
    for (const struct json_value *n = names && names->type == JSON_ARRAY ? names->first : NULL; n;
         n = n->next) {
        struct str rest = n->text;
        if (n->type == JSON_STRING && !entity_field(e, str_cut(&rest, '.')))
            say(k, k->data, "warning: stage \"%.*s\" asks for \"%.*s\", which is no field",
                "предупреждение: этап «%.*s» требует «%.*s», а такого поля нет",
                STR_ARG(member(stage, "code")), STR_ARG(n->text));
    }
    const struct json_value *kinds = json_member(stage, STR("documents"));
    for (const struct json_value *n = kinds && kinds->type == JSON_ARRAY ? kinds->first : NULL; n;
         n = n->next)
        if (n->type == JSON_STRING && !has_code(k->kinds, n->text))
            say(k, k->data, "warning: stage \"%.*s\" asks for documents of the unknown kind \"%.*s\"",
                "предупреждение: этап «%.*s» требует документ неизвестного вида «%.*s»",
                STR_ARG(member(stage, "code")), STR_ARG(n->text));
}

static void stages_of_data(struct comparison *k)
{
    for (const struct json_value *s = k->stages ? k->stages->first : NULL; s; s = s->next) {
        struct str pipeline = member(s, "pipeline"), chain = member(s, "chain");
        const struct pipeline *p = catalog_pipeline(k->catalog, pipeline.n ? pipeline : STR("sales"));
        if (!p)
            say(k, k->data, "warning: stage \"%.*s\" belongs to the unknown pipeline \"%.*s\"",
                "предупреждение: этап «%.*s» относится к неизвестной воронке «%.*s»",
                STR_ARG(member(s, "code")), STR_ARG(pipeline));
        else if (p->entity)
            requirements(k, s, p->entity);
        if (chain.n && !has_code(k->chains, chain) && !catalog_chain(k->catalog, chain))
            say(k, k->data, "warning: stage \"%.*s\" starts the unknown chain \"%.*s\"",
                "предупреждение: этап «%.*s» начинает неизвестную цепочку «%.*s»", STR_ARG(member(s, "code")),
                STR_ARG(chain));
    }
}

static void steps_of_data(struct comparison *k)
{
    for (const struct json_value *s = k->steps ? k->steps->first : NULL; s; s = s->next) {
        const struct json_value *rule = json_member(s, STR("assignee"));
        struct str role = rule && rule->type == JSON_OBJECT ? member(rule, "role") : (struct str){"", 0};
        if (role.n && !catalog_role(k->catalog, role))
            say(k, k->data, "warning: step \"%.*s\" goes to the unknown role \"%.*s\"",
                "предупреждение: шаг «%.*s» назначается неизвестной роли «%.*s»", STR_ARG(member(s, "code")),
                STR_ARG(role));
    }
}

static size_t compare(struct comparison *k)
{
    stages_of_scripts(k);
    roles_of_data(k);
    stages_of_data(k);
    steps_of_data(k);
    return k->found;
}

/* ---- the two sources ---- */

static char *read_whole(const char *path, struct arena *arena, size_t *n)
{
    FILE *f = fopen(path, "rb");
    char *text = f ? arena_alloc(arena, (size_t)16 << 20) : NULL;
    *n = text ? fread(text, 1, (size_t)16 << 20, f) : 0;
    if (f) fclose(f);
    return text;
}

size_t codes_of_file(const struct catalog *c, const char *workflows, struct arena *arena)
{
    const char *path = arena_printf(arena, "%s/../masterdata/crm.json", workflows);
    struct error ignored;
    size_t n = 0;
    char *text = path ? read_whole(path, arena, &n) : NULL;
    if (!text || n == 0) return 0; /* a project need not have one */
    error_init(&ignored, arena, LANG_EN);
    const struct json_value *all = json_parse(arena, (struct str){text, n}, &ignored),
                            *in = all ? json_member(all, STR("collections")) : NULL;
    if (!in) return 0; /* the import says what is wrong with it */
    struct comparison k = {.catalog = c,
                           .stages = json_member(in, STR("stages")),
                           .roles = json_member(in, STR("roles")),
                           .chains = json_member(in, STR("chains")),
                           .steps = json_member(in, STR("chain_steps")),
                           .kinds = json_member(in, STR("document_kinds")),
                           .data = "masterdata/crm.json"};
    return compare(&k);
}

/* The active records of a setting as the API would answer them. */
static const struct json_value *records(struct desk *d, const char *entity)
{
    struct query q = {.entity = catalog_entity(d->set->catalog, str_of(entity)), .limit = 500};
    struct buf b;
    buf_init(&b, (size_t)16 << 20);
    bool ok = q.entity && query_list(&d->context, &q, &b) && !b.failed;
    struct str text = ok ? arena_str(&d->arena, buf_view(&b)) : (struct str){NULL, 0};
    buf_free(&b);
    const struct json_value *all = text.p ? json_parse(&d->arena, text, &d->error) : NULL;
    return all ? json_member(all, STR("items")) : NULL;
}

size_t codes_of_database(struct desk *d)
{
    struct comparison k = {.catalog = d->set->catalog,
                           .stages = records(d, "stage"),
                           .roles = records(d, "role"),
                           .chains = records(d, "chain"),
                           .steps = records(d, "chain_step"),
                           .kinds = records(d, "document_kind"),
                           .data = say_language() == LANG_RU ? "базе данных" : "the database"};
    return compare(&k);
}
