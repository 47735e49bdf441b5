/* lua.c: the limit of hooks: the same function in a bare Lua loop over a plain table.
 *
 *   lua SECONDS FILE         FILE returns the function
 *
 * Prints {"calls","nanoseconds"}: for one call. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char record[] =
    "return { name = 'server migration licence 17', amount = 250000.5, status = 'open',"
    " probability = 10, competitor = nil }";

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    if (argc != 3 || !L) {
        fprintf(stderr, "usage: lua SECONDS FILE\n");
        return 2;
    }
    luaL_openlibs(L);
    if (luaL_dofile(L, argv[2]) != LUA_OK || luaL_dostring(L, record) != LUA_OK) {
        fprintf(stderr, "lua: %s\n", lua_tostring(L, -1));
        return 1;
    }
    double begin = now(), seconds = atof(argv[1]);
    unsigned long long calls = 0;
    do {
        for (int i = 0; i < 1000; i++, calls++) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
                fprintf(stderr, "lua: %s\n", lua_tostring(L, -1));
                return 1;
            }
        }
    } while (now() - begin < seconds);
    printf("{\"calls\":%llu,\"nanoseconds\":%.1f}\n", calls, (now() - begin) / (double)calls * 1e9);
    lua_close(L);
    return 0;
}
