/* script_fuzz.c: arbitrary text as a file of workflows. Whatever it is, loading ends within its limits; a set
 * that is refused says why, in words, with a file and a line inside it; one that loads does so again and
 * alike, and a state of it can be opened, whose functions are those that the catalog counts. */
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "script/script.h"
#include "script/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TIME_MS 500
#define GRACE_MS 3000 /* sanitizers, and machines that do other things too */

static char workflows[64], file[96];
static struct script_config config;

static const char base[] =
    "entity \"thing\" { fields = { name = text { required = true }, count = integer {}, step = stage { "
    "pipeline = \"p\" } } }\n"
    "entity \"stage\" { fields = { code = text { required = true, unique = true }, name = text {} } }\n"
    "pipeline \"p\" { entity = \"thing\", stage \"one\" {}, stage \"two\" {} }\n";

static void require(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static void write_file(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    require(f && fwrite(p, 1, n, f) == n && fclose(f) == 0, "the file can be written");
}

static void clean_up(void)
{
    char path[128];
    unlink(file);
    snprintf(path, sizeof path, "%s/a.lua", workflows);
    unlink(path);
    rmdir(workflows);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char path[128];
    (void)argc, (void)argv;
    snprintf(workflows, sizeof workflows, "/tmp/perigee-fuzz-XXXXXX");
    require(mkdtemp(workflows) != NULL, "there is a folder");
    snprintf(path, sizeof path, "%s/a.lua", workflows);
    snprintf(file, sizeof file, "%s/x.lua", workflows);
    write_file(path, base, sizeof base - 1);
    atexit(clean_up);
    log_configure(LOG_ERROR, false);
    script_config_defaults(&config);
    config.workflows = workflows;
    config.limits[SCRIPT_LOAD] = (struct script_limits){.time_ms = TIME_MS, .memory = (size_t)16 << 20};
    return 0;
}

static void check_refusal(const struct error *e, size_t lines)
{
    require(e->kind == ERROR_SCRIPT_ERROR && e->detail && e->detail[0], "a refusal says what it is");
    for (const struct error_entry *i = e->first; i; i = i->next) {
        require(i->message && i->message[0] && text_valid(str_of(i->message)), "in words");
        require(i->line >= 0, "a line is a number");
        if (i->file && strcmp(i->file, "workflows/x.lua") == 0)
            require((size_t)i->line <= lines, "the line is inside the file");
    }
}

static void check_set(struct script_set *set, struct arena *arena)
{
    struct error e;
    error_init(&e, arena, LANG_RU);
    struct script_state *s = script_state_new(set, &e);
    require(s != NULL, "a state of what loaded can be opened");
    require(s->functions == set->catalog->function_count, "every state has the same functions");
    script_state_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena;
    struct error e;
    size_t lines = 1;
    for (size_t i = 0; i < n; i++)
        lines += data[i] == '\n';
    arena_init(&arena, (size_t)64 << 20);
    error_init(&e, &arena, LANG_EN);
    write_file(file, data, n);
    uint64_t begun = clock_mono();
    struct script_set *set = script_load(&config, &e);
    require(clock_mono() - begun < (uint64_t)(TIME_MS + GRACE_MS) * 1000000u,
            "loading ends within its limit");
    if (set)
        check_set(set, &arena);
    else
        check_refusal(&e, lines);
    script_set_unref(set);
    arena_free(&arena);
    return 0;
}
