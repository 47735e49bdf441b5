/* expensive.c: a read was stopped because it took too long: which part of it was expensive, so that its
 * author knows what to change. Names of fields are those that the author wrote, so nothing hidden is told. */
#include "api/app.h"
#include "store/schema.h"

static void blame(struct call *c, const char *pointer, const char *en, const char *ru)
{
    error_add(&c->error, pointer, "expensive", "%s", "%s", c->error.lang == LANG_RU ? ru : en);
}

/* Fields of the filter without an index, as "name, description". */
static const char *unindexed(struct call *c, const struct filter *f)
{
    const char *list = NULL;
    for (size_t i = 0; i < c->entity->field_count; i++) {
        const struct field *field = c->entity->fields[i];
        if (!filter_names(f, field) || schema_indexed(c->worker->db, c->entity, field, c->arena)) continue;
        list = list ? arena_printf(c->arena, "%s, %s", list, field->name) : field->name;
    }
    return list;
}

static void blame_filter(struct call *c)
{
    struct str text = call_parameter(c, "filter");
    struct filter_scope scope = access_scope(c->who);
    struct error ignored;
    error_init(&ignored, c->arena, LANG_EN);
    const struct filter *f = text.n ? filter_parse(c->arena, c->context.catalog, c->entity, text, "filter",
                                                   NULL, 0, &scope, &ignored)
                                    : NULL;
    if (!f) return;
    const char *fields = unindexed(c, f);
    if (fields)
        error_add(&c->error, "filter", "expensive",
                  "the filter looks at every record: there is no index on %s",
                  "фильтр просматривает все записи: нет индекса по полям %s", fields);
    else
        blame(c, "filter", "too many records match the filter", "фильтру отвечает слишком много записей");
}

static void blame_sort(struct call *c)
{
    struct str sort = call_parameter(c, "sort"), first = str_trim(str_cut(&sort, ','));
    if (first.n && first.p[0] == '-') first = (struct str){first.p + 1, first.n - 1};
    const struct field *f = first.n ? entity_field(c->entity, first) : NULL;
    if (f && !schema_indexed(c->worker->db, c->entity, f, c->arena))
        error_add(&c->error, "sort", "expensive", "to sort by %s every match is read: it has no index",
                  "для сортировки по %s читаются все подходящие записи: индекса нет", f->name);
}

void expensive_explain(struct call *c)
{
    if (c->error.kind != ERROR_QUERY_LIMIT || c->error.count || !c->entity || !c->who) return;
    db_budget(c->worker->db, 0, false); /* it is spent: what follows is small */
    blame_filter(c);
    blame_sort(c);
    if (call_parameter(c, "q").n)
        blame(c, "q", "too many records match the words", "словам отвечает слишком много записей");
    if (call_parameter(c, "count").n || call_parameter(c, "sum").n)
        blame(c, call_parameter(c, "count").n ? "count" : "sum", "every match is counted",
              "подсчитываются все подходящие записи");
    if (call_parameter(c, "group_by").n)
        blame(c, "group_by", "every match is read to group them",
              "для группировки читаются все подходящие записи");
}
