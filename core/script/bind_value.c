/* bind_value.c: values of fields ↔ Lua, and JSON ↔ Lua.
 *
 *   text, option, code → string      integer → integer             decimal, money, percent → number (exact up
 * to 2^53 scaled) boolean → boolean                date, datetime → string as in the API    reference → id or
 * code (string) refs, options → list of strings  json → table                  missing → nil */
#include "base/calendar.h"
#include "base/decimal.h"
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "script/state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void push_str(lua_State *L, struct str s)
{
    lua_pushlstring(L, s.p ? s.p : "", s.n);
}

static void push_json_text(lua_State *L, struct str text)
{
    struct context *c = state_of(L)->context;
    struct error ignored;
    error_init(&ignored, c->arena, LANG_EN);
    struct json_value *v = json_parse(c->arena, text, &ignored);
    if (v)
        bind_push_json(L, v);
    else
        lua_pushnil(L);
}

void bind_push_value(lua_State *L, const struct field *f, struct value v)
{
    char text[40];
    switch (v.type) {
    case VALUE_NULL: lua_pushnil(L); break;
    case VALUE_BOOL: lua_pushboolean(L, v.i != 0); break;
    case VALUE_NUMBER:
        if (v.scale == 0)
            lua_pushinteger(L, v.i);
        else {
            decimal_format(v.i, v.scale, text);
            if (!lua_stringtonumber(L, text)) lua_pushnil(L);
        }
        break;
    case VALUE_DATE:
        calendar_format_date(v.i, text);
        lua_pushstring(L, text);
        break;
    case VALUE_DATETIME:
        calendar_format_datetime(v.i, text);
        lua_pushstring(L, text);
        break;
    case VALUE_ID:
        id_format(v.i, text);
        lua_pushstring(L, text);
        break;
    case VALUE_SET: push_json_text(L, v.s); break;
    case VALUE_TEXT:
        if (f->type == FIELD_JSON)
            push_json_text(L, v.s);
        else
            push_str(L, v.s);
        break;
    }
}

/* ---- JSON ---- */

#define JSON_NEST 32

static void push_json(lua_State *L, const struct json_value *v, int depth)
{
    luaL_checkstack(L, 4, "JSON");
    if (depth > JSON_NEST) luaL_error(L, "JSON nested more than %d deep", JSON_NEST);
    lua_Number number;
    switch (v->type) {
    case JSON_NULL: lua_pushnil(L); break;
    case JSON_FALSE: lua_pushboolean(L, 0); break;
    case JSON_TRUE: lua_pushboolean(L, 1); break;
    case JSON_STRING: push_str(L, v->text); break;
    case JSON_NUMBER:
        push_str(L, v->text);
        number = lua_tonumber(L, -1);
        if (!lua_stringtonumber(L, lua_tostring(L, -1))) lua_pushnumber(L, number);
        lua_remove(L, -2);
        break;
    case JSON_ARRAY: {
        lua_createtable(L, v->count < 1000 ? (int)v->count : 1000, 0);
        lua_Integer n = 0;
        for (const struct json_value *i = v->first; i; i = i->next) {
            push_json(L, i, depth + 1);
            lua_rawseti(L, -2, ++n);
        }
        break;
    }
    case JSON_OBJECT:
        lua_newtable(L);
        for (const struct json_value *i = v->first; i; i = i->next) {
            push_str(L, i->key);
            push_json(L, i, depth + 1);
            lua_rawset(L, -3);
        }
        break;
    }
}

void bind_push_json(lua_State *L, const struct json_value *v)
{
    push_json(L, v, 0);
}

static void write_json(lua_State *L, int at, struct buf *out, int depth);

static void write_number(lua_State *L, int at, struct buf *out)
{
    if (lua_isinteger(L, at)) {
        json_int(out, lua_tointeger(L, at));
        return;
    }
    lua_Number n = lua_tonumber(L, at);
    if (!isfinite(n)) luaL_error(L, "a number that is not finite has no JSON");
    char text[40];
    int length = snprintf(text, sizeof text, "%.15g", n);
    if (strtod(text, NULL) != n) length = snprintf(text, sizeof text, "%.17g", n);
    json_raw(out, (struct str){text, (size_t)length});
}

static void write_table(lua_State *L, int at, struct buf *out, int depth)
{
    size_t n = lua_rawlen(L, at);
    luaL_checkstack(L, 6, "JSON");
    if (n > 0) {
        json_array(out);
        for (size_t i = 1; i <= n && !out->failed; i++) {
            lua_rawgeti(L, at, (lua_Integer)i);
            write_json(L, lua_gettop(L), out, depth + 1);
            lua_pop(L, 1);
        }
        json_end_array(out);
        return;
    }
    /* Empty tables are objects; an empty list is written as crm.json.list{}. */
    bool list = luaL_getmetafield(L, at, "__jsonlist") != LUA_TNIL;
    if (list) lua_pop(L, 1);
    if (list)
        json_array(out);
    else
        json_object(out);
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
        if (out->failed) luaL_error(L, "more than 1 MiB of JSON");
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "a JSON object has texts as keys, not a %s", luaL_typename(L, -2));
        struct str key;
        key.p = lua_tolstring(L, -2, &key.n);
        json_key_any(out, key);
        write_json(L, lua_gettop(L), out, depth + 1);
    }
    if (list)
        json_end_array(out);
    else
        json_end_object(out);
}

static void write_json(lua_State *L, int at, struct buf *out, int depth)
{
    struct str s;
    if (depth > JSON_NEST) luaL_error(L, "JSON nested more than %d deep", JSON_NEST);
    switch (lua_type(L, at)) {
    case LUA_TLIGHTUSERDATA: /* crm.null */
    case LUA_TNIL: json_null(out); break;
    case LUA_TBOOLEAN: json_bool(out, lua_toboolean(L, at)); break;
    case LUA_TNUMBER: write_number(L, at, out); break;
    case LUA_TSTRING:
        s.p = lua_tolstring(L, at, &s.n);
        json_str(out, s);
        break;
    case LUA_TTABLE: write_table(L, at, out, depth); break;
    case LUA_TUSERDATA: /* a record stands for its id */ json_id(out, bind_record_check(L, at)->id); break;
    default: luaL_error(L, "a %s has no JSON", luaL_typename(L, at));
    }
}

struct str bind_json(lua_State *L, int at)
{
    struct buf *b = &state_of(L)->scratch;
    buf_reset(b);
    write_json(L, lua_absindex(L, at), b, 0);
    if (b->failed) luaL_error(L, "more than 1 MiB of JSON");
    return buf_view(b);
}

/* ---- Lua → value: through JSON, so that scripts and clients meet the same checks ---- */

struct value bind_to_value(lua_State *L, int at, const struct field *f, struct record *r)
{
    struct context *c = state_of(L)->context;
    at = lua_absindex(L, at);
    if (lua_isnil(L, at) || lua_islightuserdata(L, at)) return value_null(); /* nil, crm.null */
    if (lua_type(L, at) == LUA_TNUMBER && field_value_type(f) == VALUE_NUMBER && !lua_isinteger(L, at)) {
        /* Rounded to the field's decimals: 0.1 + 0.2 is 0.3 here. */
        lua_Number n = lua_tonumber(L, at), scaled = round(n * pow(10, f->scale));
        if (!(fabs(scaled) < 9e15)) luaL_error(L, "field \"%s\" cannot hold this number", f->name);
        return value_number((int64_t)scaled, f->scale);
    }
    if (lua_type(L, at) == LUA_TFUNCTION || lua_type(L, at) == LUA_TTHREAD)
        luaL_error(L, "field \"%s\" cannot hold a %s", f->name, luaL_typename(L, at));
    if (lua_type(L, at) == LUA_TSTRING) {
        struct str given;
        given.p = lua_tolstring(L, at, &given.n);
        if (!text_valid(given)) luaL_error(L, "field \"%s\": the text is not UTF-8", f->name);
    }
    struct str text = arena_str(c->arena, bind_json(L, at));
    struct json_value *json = text.p ? json_parse(c->arena, text, c->error) : NULL;
    /* A table for a set may be empty: {} is [] there. */
    if (json && json->type == JSON_OBJECT && !json->first && field_value_type(f) == VALUE_SET)
        json->type = JSON_ARRAY;
    struct value v = value_null();
    const char *any = NULL;
    struct error mine;
    struct error *outer = c->error;
    error_init(&mine, c->arena, outer->lang);
    c->error = &mine;
    bool ok = json && record_value_json(c, f, json, f->name, &v, &any);
    c->error = outer;
    if (!ok)
        luaL_error(L, "field \"%s\": %s", f->name,
                   mine.first  ? mine.first->message
                   : mine.kind ? mine.detail
                               : "the value does not fit");
    if (f->any && r) r->any_entity[f->index] = any;
    return v;
}
