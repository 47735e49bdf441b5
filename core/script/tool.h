/* tool.h: trusted Lua files of scripts/ that commands run: shell.lua, lua_meta.lua. */
#ifndef SCRIPT_TOOL_H
#define SCRIPT_TOOL_H

#include "script/script.h"

/* Runs the text of a tool in a state, under the limits of a job and the rights of the context; it is called
 * with the table `core` and `input`, and what it returns becomes *output (in the context's arena). false:
 * c->error. */
bool script_tool(struct script_state *s, struct context *c, struct str tool, const char *name,
                 struct str input, struct str *output);

/* Records that earlier runs gave out live on until this is called: before the context's arena is reset. */
void script_tool_forget(struct script_state *s);

#endif
