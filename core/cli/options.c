/* options.c: the words of a command line: "--name value", "--name=value", flags, and the words between them.
 * What is not understood is refused: a mistyped option that was quietly ignored would do something else than
 * its writer meant. */
#include "base/suggest.h"
#include "cli/cli.h"

#include <stdio.h>

static bool refuse(const char *en, const char *ru, const char *what)
{
    fputs("perigee: ", stderr);
    fprintf(stderr, say_language() == LANG_RU ? "%s «%s»" : "%s \"%s\"", say_language() == LANG_RU ? ru : en,
            what);
    return false;
}

static bool end_line(const char *more)
{
    fprintf(stderr, "%s\n", more);
    return false;
}

/* One entry of a list of known names. */
struct known {
    struct str name;
    bool value;   /* "name=" */
    size_t words; /* "+2": that many words that are no options */
};

static bool next_known(struct str *rest, struct known *out)
{
    if (!rest->p || !rest->n) return false;
    struct str one = str_cut(rest, ' ');
    *out = (struct known){.name = one};
    if (one.n == 2 && one.p[0] == '+') {
        out->words = (size_t)(one.p[1] - '0');
        out->name = (struct str){"", 0};
    } else if (one.n && one.p[one.n - 1] == '=') {
        out->value = true;
        out->name.n--;
    }
    return true;
}

static bool find(const char *list, struct str name, struct known *out)
{
    struct str rest = str_of(list);
    while (next_known(&rest, out))
        if (name.n && str_eq(out->name, name)) return true;
    return false;
}

static size_t words_allowed(const char *list)
{
    struct str rest = str_of(list);
    struct known k;
    size_t n = 0;
    while (next_known(&rest, &k))
        n += k.words;
    return n;
}

static bool unknown_option(const char *list, const char *arg, struct str name)
{
    struct str rest = str_of(list);
    struct suggest s;
    struct known k;
    suggest_start(&s, name);
    while (next_known(&rest, &k))
        suggest_try(&s, k.name);
    refuse("there is no option", "нет параметра", arg);
    if (!s.best.p) return end_line(say_language() == LANG_RU ? "; см. --help" : "; see --help");
    fprintf(stderr, say_language() == LANG_RU ? "; может быть, --%.*s?" : "; did you mean --%.*s?",
            STR_ARG(s.best));
    return end_line("");
}

static bool add_word(const char *list, const char *arg, struct options *out)
{
    if (out->word_count < words_allowed(list)) {
        out->words[out->word_count++] = arg;
        return true;
    }
    refuse("nothing is known to do with", "непонятно, что делать с", arg);
    return end_line(say_language() == LANG_RU ? "; см. --help" : "; see --help");
}

bool options_parse(int argc, char **argv, const char *known, struct options *out)
{
    *out = (struct options){0};
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i], *equals = strchr(arg, '=');
        if (strncmp(arg, "--", 2) != 0) {
            if (!add_word(known, arg, out)) return false;
            continue;
        }
        struct str name = {arg + 2, equals ? (size_t)(equals - arg) - 2 : strlen(arg) - 2};
        struct known k;
        if (!find(known, name, &k)) return unknown_option(known, arg, name);
        for (size_t n = 0; n < out->count; n++)
            if (str_eq(out->names[n], name))
                return refuse("given twice:", "указано дважды:", arg), end_line("");
        if (!k.value && equals)
            return refuse("no value belongs to", "значение не нужно параметру", arg), end_line("");
        bool next = i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0;
        if (k.value && !equals && !next)
            return refuse("a value is missing behind", "нет значения у параметра", arg), end_line("");
        out->names[out->count] = name;
        out->values[out->count++] = !k.value ? "" : equals ? equals + 1 : argv[++i];
    }
    return true;
}

const char *option(const struct options *o, const char *name, const char *absent)
{
    for (size_t i = 0; i < o->count; i++)
        if (str_is(o->names[i], name)) return o->values[i];
    return absent;
}

bool option_given(const struct options *o, const char *name)
{
    return option(o, name, NULL) != NULL;
}

bool options_need(const struct options *o, const struct command *c, const char *needed)
{
    struct str rest = str_of(needed);
    bool ok = true;
    while (rest.p && rest.n) {
        struct str one = str_cut(&rest, ' ');
        bool there = false;
        for (size_t i = 0; i < o->count; i++)
            there = there || str_eq(o->names[i], one);
        if (there) continue;
        fprintf(stderr,
                say_language() == LANG_RU ? "perigee: нужен параметр --%.*s\n"
                                          : "perigee: --%.*s is needed\n",
                STR_ARG(one));
        ok = false;
    }
    if (!ok) fprintf(stderr, "usage: perigee %s %s\n", c->name, c->usage);
    return ok;
}

const char *options_verb(int argc, char **argv, const char *verbs, const struct command *c)
{
    struct str given = str_of(argc ? argv[0] : ""), rest = str_of(verbs);
    struct suggest s;
    suggest_start(&s, given);
    while (rest.p && rest.n) {
        struct str one = str_cut(&rest, ' ');
        if (str_eq(one, given)) return argv[0];
        suggest_try(&s, one);
    }
    if (argc && s.best.p)
        fprintf(stderr,
                say_language() == LANG_RU ? "perigee: нет команды «%s %s»; может быть, %s %.*s?\n"
                                          : "perigee: there is no \"%s %s\"; did you mean \"%s %.*s\"?\n",
                c->name, argv[0], c->name, STR_ARG(s.best));
    fprintf(stderr, "usage: perigee %s %s\n", c->name, c->usage);
    return NULL;
}
