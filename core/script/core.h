/* core.h: the table `core` of C primitives that the trusted files of scripts/ work with. Private to
 * core/script. */
#ifndef SCRIPT_CORE_H
#define SCRIPT_CORE_H

#include "script/state.h"

/* Pushes the table. */
void core_open(lua_State *L);
/* Adds to REGISTRY_MISTAKES; `suggestion` may be NULL. */
void core_mistake(lua_State *L, const char *file, int line, const char *message, const char *suggestion,
                  bool warning);

#endif
