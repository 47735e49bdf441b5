/* Our patterns (pattern.c) are Lua's: a property test holds both against each other; the seed and the case
 * are printed. */
#include "unit/unit.h"

#include "script/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char program[] =
    "local ours, seed, rounds = ...\n"
    "math.randomseed(seed)\n"
    "local pieces = { 'a', 'b', '1', ' ', '.', '%a', '%d', '%w', '%s', '%S', '%A', '%p', '%x', '[ab]', "
    "'[^a]', '[a-c1]', '[%w_]', '[]]', '[^]a]',\n"
    "  '%%', '%.', '(', ')', '()', '(a)', '(.)', '(.-)', '(%w+)', '%1', '%2', '%b()', '%bab', '%f[%w]', "
    "'%f[^a]', '^', '$', '*', '+', '-', '?',\n"
    "  '[', '%', '%b', '%f', '[a-', '(.*)', '\\0', 'é' }\n"
    "local letters = { 'a', 'b', 'c', '1', '2', ' ', '(', ')', '.', '%', '_', '-', ']', '\\0', 'é', 'A' }\n"
    "local repls = { 'x', '', '%0', '%1', '<%1>', '%2', '%%', '%x', 5 }\n"
    "local function pick(t) return t[math.random(#t)] end\n"
    "local function build(t, most)\n"
    "  local parts = {}\n"
    "  for i = 1, math.random(0, most) do parts[i] = pick(t) end\n"
    "  return table.concat(parts)\n"
    "end\n"
    "local function all(find, s, p)\n"
    "  local list = {}\n"
    "  for a, b, c in find(s, p) do\n"
    "    list[#list + 1] = tostring(a) .. '|' .. tostring(b) .. '|' .. tostring(c)\n"
    "    if #list > 100 then break end\n"
    "  end\n"
    "  return table.concat(list, ',')\n"
    "end\n"
    "local function show(...)\n"
    "  local r = table.pack(...)\n"
    "  if not r[1] then return 'error' end\n"
    "  for i = 1, r.n do r[i] = tostring(r[i]) end\n"
    "  return table.concat(r, '|')\n"
    "end\n"
    "local function check(what, s, p, a, b)\n"
    "  if a ~= b then error(string.format('seed %d: string.%s(%q, %q): Lua gives %s, we give %s', seed, "
    "what, s, p, a, b), 0) end\n"
    "end\n"
    "for _ = 1, rounds do\n"
    "  local s, p = build(letters, 12), build(pieces, 6)\n"
    "  local at = math.random(-14, 14)\n"
    "  check('find', s, p, show(pcall(string.find, s, p)), show(pcall(ours.find, s, p)))\n"
    "  check('find', s, p, show(pcall(string.find, s, p, at)), show(pcall(ours.find, s, p, at)))\n"
    "  check('find', s, p, show(pcall(string.find, s, p, at, true)), show(pcall(ours.find, s, p, at, "
    "true)))\n"
    "  check('match', s, p, show(pcall(string.match, s, p, at)), show(pcall(ours.match, s, p, at)))\n"
    "  check('gmatch', s, p, show(pcall(all, string.gmatch, s, p)), show(pcall(all, ours.gmatch, s, p)))\n"
    "  local repl, most = pick(repls), math.random(3) == 1 and math.random(0, 3) or nil\n"
    "  check('gsub', s, p, show(pcall(string.gsub, s, p, repl, most)), show(pcall(ours.gsub, s, p, repl, "
    "most)))\n"
    "  local t = { a = 'T', b = false, ['1'] = 1 }\n"
    "  check('gsub', s, p, show(pcall(string.gsub, s, p, t)), show(pcall(ours.gsub, s, p, t)))\n"
    "  local f = function(x, y) if x == 'a' then return nil end return y or 'F' end\n"
    "  check('gsub', s, p, show(pcall(string.gsub, s, p, f)), show(pcall(ours.gsub, s, p, f)))\n"
    "end\n";

static void run(lua_Integer seed, lua_Integer rounds)
{
    static struct script_state state; /* no deadline */
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    *(struct script_state **)lua_getextraspace(L) = &state;
    luaL_openlibs(L);
    assert_int_equal(luaL_loadstring(L, program), LUA_OK);
    pattern_library(L);
    lua_pushinteger(L, seed);
    lua_pushinteger(L, rounds);
    if (lua_pcall(L, 3, 0, 0) != LUA_OK) fail_msg("%s", lua_tostring(L, -1));
    lua_close(L);
}

static void test_patterns_do_what_those_of_lua_do(void **unused)
{
    (void)unused;
    run(1, 20000);
}

static void test_patterns_do_what_those_of_lua_do_with_another_seed_each_time(void **unused)
{
    (void)unused;
    run((lua_Integer)time(NULL), 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns_do_what_those_of_lua_do),
        cmocka_unit_test(test_patterns_do_what_those_of_lua_do_with_another_seed_each_time),
    };
    return cmocka_run_group_tests_name("script: patterns", tests, NULL, NULL);
}
