/* load.h: from what the words declared in a Lua state to the catalog. Private to core/script. */
#ifndef SCRIPT_LOAD_H
#define SCRIPT_LOAD_H

#include "store/catalog.h"

#include <lua.h>

/* Reads the declarations of REGISTRY_DECLARED. Adds an entry (file, line, message, suggestion) for each
 * mistake; NULL when there is one or memory is out. One reference belongs to the caller. May raise Lua
 * errors: call it protected. */
const struct catalog *catalog_build(lua_State *L, uint64_t version, struct error *e);

#endif
