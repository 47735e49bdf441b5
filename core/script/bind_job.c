/* bind_job.c: what scripts may ask of the outside world, in jobs only: http, mail, sharepoint, and the steps
 * of a job. Arguments are one table, handed over as JSON; whoever does the work checks what is in it. */
#include "script/bind_job.h"

#include "base/json.h"

#define ARGUMENTS_MAX ((size_t)1 << 20)

static int answered(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    return job_push_answer(L);
}

/* Upvalue 1: the name of the question. */
static int ask(lua_State *L)
{
    const char *name = lua_tostring(L, lua_upvalueindex(1));
    if (!job_running(L)) return luaL_error(L, "%s works in jobs and timers only: use crm.enqueue", name);
    luaL_checktype(L, 1, LUA_TTABLE);
    struct str json = bind_json(L, 1); /* may raise: before the buffer is there */
    struct buf b;
    buf_init(&b, ARGUMENTS_MAX);
    buf_str(&b, json);
    return job_ask(L, name, &b, answered);
}

static void add(lua_State *L, const char *table, const char *const *names)
{
    lua_newtable(L);
    for (; *names; names++) {
        lua_pushfstring(L, "%s.%s", table, *names);
        lua_pushcclosure(L, ask, 1);
        lua_setfield(L, -2, *names);
    }
    lua_setfield(L, -2, table);
}

void bind_job_open(lua_State *L)
{
    add(L, "http", (const char *const[]){"request", NULL});
    add(L, "mail", (const char *const[]){"send", NULL});
    add(L, "sharepoint",
        (const char *const[]){"ensure_folder", "upload", "list", "link", "rename", "changes", "check", NULL});
}

/* ---- steps ---- */

static int step_kept(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    job_push_answer(L); /* raises when it was not kept */
    lua_pop(L, 1);
    return 1; /* the result of f, below */
}

static int step_ran(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    struct str result = bind_json(L, -1);
    struct buf b;
    buf_init(&b, ARGUMENTS_MAX);
    json_object(&b);
    json_key(&b, STR("name"));
    json_str(&b, str_of(lua_tostring(L, 1)));
    json_key(&b, STR("result"));
    json_raw(&b, result);
    json_end_object(&b);
    return job_ask(L, "step", &b, step_kept);
}

int crm_step(lua_State *L)
{
    struct str name;
    name.p = luaL_checklstring(L, 1, &name.n);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (!job_running(L)) return luaL_error(L, "crm.step works in jobs only");
    if (name.n == 0 || name.n > 100 || strpbrk(name.p, "\"\\") || strlen(name.p) != name.n)
        return luaL_error(L, "a step's name has 1 to 100 bytes, no quotes or backslashes");
    const struct json_value *known = job_step(L, name);
    if (known) {
        bind_push_json(L, known);
        return 1;
    }
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    lua_callk(L, 0, 1, 0, step_ran);
    return step_ran(L, LUA_OK, 0);
}

int crm_retry(lua_State *L)
{
    const char *after = luaL_checkstring(L, 1), *why = luaL_optstring(L, 2, "the job asked for another try");
    if (!job_running(L)) return luaL_error(L, "crm.retry works in jobs only");
    struct buf b;
    buf_init(&b, ARGUMENTS_MAX);
    json_object(&b);
    json_key(&b, STR("after"));
    json_cstr(&b, after);
    json_key(&b, STR("why"));
    json_cstr(&b, why);
    json_end_object(&b);
    return job_ask(L, "retry", &b, answered);
}
