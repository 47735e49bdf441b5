/* fixture.h: a CRM in memory for the tests of core/script: scripts of the test in a folder of its own, the
 * words of the repository, a database in memory that follows them, and a context with the system's rights. */
#ifndef TESTS_SCRIPT_FIXTURE_H
#define TESTS_SCRIPT_FIXTURE_H

#include "unit/unit.h"

#include "access/principal.h"
#include "base/clock.h"
#include "base/log.h"
#include "script/script.h"
#include "script/state.h"
#include "store/schema.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct crm {
    char folder[64], workflows[96], plugins[96];
    struct script_config config;
    struct arena arena;
    struct error error;
    struct db *db;
    struct script_set *set;
    struct script_state *script;
    struct principal *system;
    struct context context;
};

/* The entity that tests write: a text, a number, and what hooks of the test do to it. */
static const char thing[] =
    "entity \"thing\" { fields = { name = text { required = true }, count = integer {}, "
    "other = ref { to = \"thing\" }, price = money {}, day = date {}, flag = boolean {}, "
    "tags = options { \"a\", \"b\" }, data = json {}, "
    "twice = formula { type = \"integer\", expr = \"count * 2\" } } }\n";

static void crm_write(struct crm *c, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", c->folder, name);
    for (char *p = path + strlen(c->folder) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(path, 0700);
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, 1);
    fclose(f);
}

static void crm_begin(struct crm *c)
{
    *c = (struct crm){.folder = "/tmp/perigee-script-XXXXXX"};
    assert_non_null(mkdtemp(c->folder));
    arena_init(&c->arena, (size_t)64 << 20);
    error_init(&c->error, &c->arena, LANG_EN);
    script_config_defaults(&c->config);
    snprintf(c->workflows, sizeof c->workflows, "%s/workflows", c->folder);
    snprintf(c->plugins, sizeof c->plugins, "%s/plugins", c->folder);
    c->config.workflows = c->workflows;
    c->config.plugins = c->plugins;
    mkdir(c->config.workflows, 0700);
}

/* Loads what was written and opens everything; the scripts must be right. */
static void crm_start(struct crm *c)
{
    struct schema_plan plan;
    c->set = script_load(&c->config, &c->error);
    for (const struct error_entry *e = c->error.first; !c->set && e; e = e->next)
        fprintf(stderr, "%s:%d: %s\n", e->file, e->line, e->message);
    assert_non_null(c->set);
    error_clear(&c->error);
    c->db = db_open(":memory:", DB_MEMORY, &c->error);
    assert_non_null(c->db);
    assert_true(store_prepare(c->db, &c->error));
    assert_true(db_begin(c->db, true, &c->error));
    assert_true(schema_plan(c->db, c->set->catalog, &c->arena, &plan, &c->error));
    assert_true(schema_apply(c->db, c->set->catalog, &plan, false, &c->error));
    assert_true(db_commit(c->db, &c->error));
    c->script = script_state_new(c->set, &c->error);
    assert_non_null(c->script);
    c->system = principal_system(c->set->catalog, &c->error);
    assert_non_null(c->system);
    context_init(&c->context, c->set->catalog, c->db, c->system, &c->arena, &c->error);
    c->context.hooks = &script_hooks;
    c->context.script = c->script;
    c->context.trusted = true;
    c->context.automation = true;
    c->context.env.now = clock_now();
}

static void crm_end(struct crm *c)
{
    char command[128];
    principal_unref(c->system);
    script_state_free(c->script);
    script_set_unref(c->set);
    db_close(c->db);
    arena_free(&c->arena);
    snprintf(command, sizeof command, "rm -rf '%s'", c->folder);
    assert_int_equal(system(command), 0);
}

/* One request: creates a thing of that name inside a savepoint; false: it was refused, c->error says why, and
 * the savepoint is rolled back. */
static bool crm_create_thing(struct crm *c, const char *name)
{
    const struct entity *e = catalog_entity(c->set->catalog, STR("thing"));
    struct value *values = arena_array(&c->arena, e->field_count, sizeof *values);
    const char **any = arena_array(&c->arena, e->field_count, sizeof *any);
    bool *touched = arena_array(&c->arena, e->field_count, sizeof *touched);
    struct record *out = NULL;
    const struct field *f = entity_field(e, STR("name"));
    values[f->index] = value_text(str_of(name));
    touched[f->index] = true;
    error_clear(&c->error);
    assert_true(db_begin(c->db, true, &c->error));
    assert_true(db_savepoint(c->db, &c->error));
    bool ok = record_create(&c->context, e, values, any, touched, &out);
    if (ok)
        assert_true(db_savepoint_release(c->db, &c->error));
    else
        db_savepoint_rollback(c->db);
    struct error kept = c->error;
    assert_true(db_commit(c->db, &kept));
    return ok;
}

static int64_t crm_count(struct crm *c, const char *sql)
{
    struct error e;
    error_init(&e, &c->arena, LANG_EN);
    struct stmt *s = db_prepare(c->db, str_of(sql), &e);
    assert_non_null(s);
    assert_int_equal(stmt_step(s, &e), STEP_ROW);
    int64_t n = stmt_int(s, 0);
    db_release(s);
    return n;
}

#endif
