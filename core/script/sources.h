/* sources.h: the scripts as read from their folders: in memory, immutable, shared by all states that run
 * them. */
#ifndef SCRIPT_SOURCES_H
#define SCRIPT_SOURCES_H

#include "script/script.h"

enum source_kind {
    SOURCE_SANDBOX,  /* scripts/sandbox.lua: trusted, run first */
    SOURCE_WORD,     /* scripts/words/NAME.lua: trusted, in order of name */
    SOURCE_START,    /* scripts/start.lua: trusted, run last: it runs those of users */
    SOURCE_LIBRARY,  /* scripts/lib/…: modules that any script may require */
    SOURCE_WORKFLOW, /* workflows/…: run in order of path */
    SOURCE_MANIFEST, /* plugins/NAME/plugin.lua */
    SOURCE_MAIN,     /* plugins/NAME/main.lua */
    SOURCE_MODULE    /* workflows/…/lib/…, plugins/NAME/….lua: by require */
};

struct source {
    enum source_kind kind;
    const char *name;   /* as messages show it: "workflows/sales.lua" */
    const char *plugin; /* NULL but for plugins */
    struct str text;
};

struct script_sources {
    struct arena arena;
    const struct source *all; /* in the order in which they run */
    size_t count;
    const char *plugin_config; /* JSON: what config.lua says for plugins; NULL */
    uint64_t hash;             /* of names, texts and that */
};

/* Reads everything. NULL with ERROR_SCRIPT_ERROR and an entry for each file that cannot be read, is no UTF-8
 * text, or is too large. */
struct script_sources *sources_read(const struct script_config *config, struct error *e);
void sources_free(struct script_sources *s);

#endif
