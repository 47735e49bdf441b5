/* settings.c: where the project lies, and the order of force: option on the command line, config.lua
 * (config.c), default. */
#include "cli/cli.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Settings live as long as the process: the list says so to leak checkers. */
static struct kept {
    struct kept *next;
    void *p;
} * kept;

void *settings_owned(void *p)
{
    struct kept *k = p ? calloc(1, sizeof *k) : NULL;
    if (k) {
        *k = (struct kept){kept, p};
        kept = k;
        return p;
    }
    fputs("perigee: out of memory\n", stderr);
    exit(1);
}

char *settings_copy(const char *s)
{
    return settings_owned(strdup(s));
}

char *settings_join(const char *folder, const char *name)
{
    char *out;
    if (name[0] == '/') return settings_copy(name);
    if (asprintf(&out, "%s/%s", folder, name) < 0) out = NULL;
    return settings_owned(out);
}

/* "host:port", "[::1]:port"; numeric, since a name may mean another address tomorrow. */
bool settings_address(struct serve_options *o, const char *given)
{
    char *host = settings_copy(given), *colon = strrchr(host, ':'), *end = NULL;
    unsigned char address[16];
    long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : -1;
    bool ok = end && *end == '\0' && port <= 65535;
    if (colon) *colon = '\0';
    size_t n = strlen(host);
    if (n > 1 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        memmove(host, host + 1, n - 1);
        ok = ok && inet_pton(AF_INET6, host, address) == 1;
    } else {
        if (strcmp(host, "localhost") == 0) strcpy(host, "127.0.0.1"); /* both have nine letters */
        ok = ok && inet_pton(AF_INET, host, address) == 1;
    }
    if (!ok) {
        free(host);
        return false;
    }
    o->address = host;
    o->port = (uint16_t)port;
    return true;
}

const char *settings_address_words(void)
{
    return say_language() == LANG_RU ? "АДРЕС:ПОРТ, например 127.0.0.1:8080 или [::1]:8080"
                                     : "ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080";
}

/* ---- where the project lies ---- */

static bool is_home(const char *folder)
{
    char *probe = settings_join(folder, "scripts/words");
    struct stat st;
    bool yes = stat(probe, &st) == 0 && S_ISDIR(st.st_mode);
    free(probe);
    return yes;
}

/* The folder that holds scripts/: above the executable (build/perigee, lib/perigee/bin/perigee), else the
 * current one. Not the current one first: whoever may write into a folder should not decide what an admin's
 * command runs. */
static const char *find_home(void)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    for (char *slash; (slash = strrchr(exe, '/')) && slash != exe;) {
        *slash = '\0';
        if (is_home(exe)) return settings_copy(exe);
    }
    return is_home(".") ? "." : NULL;
}

/* The desk as it was built, or installed. NULL: only the small page. */
static const char *find_desk(const char *home)
{
    static const char *const places[] = {"build/desk", "desk"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *folder = settings_join(home, places[i]), *page = settings_join(folder, "index.html");
        struct stat st;
        if (stat(page, &st) == 0 && S_ISREG(st.st_mode)) return folder;
    }
    return NULL;
}

static void use_home(struct serve_options *o, const char *home)
{
    if (home) o->static_folder = find_desk(home);
    if (!home || strcmp(home, ".") == 0) return; /* the defaults are relative already */
    o->scripts.scripts = settings_join(home, "scripts");
    o->scripts.workflows = settings_join(home, "workflows");
    o->scripts.plugins = settings_join(home, "plugins");
}

bool settings_read(const struct options *o, struct serve_options *out)
{
    const char *home = find_home(), *file = option(o, "config", NULL);
    struct stat st;
    serve_options_defaults(out);
    use_home(out, home);
    if (!file && home) {
        char *beside = settings_join(home, "config.lua");
        if (stat(beside, &st) == 0) file = beside;
    }
    if (file && !config_read(file, out)) return false;
    if (!out->mail.password) out->mail.password = getenv("PERIGEE_MAIL_PASSWORD");
    if (!out->mail.url != !out->mail.from)
        return fprintf(stderr, "perigee: %s: mail needs both url and from\n", file ? file : "config.lua"),
               false;
    out->data = option(o, "data", out->data);
    out->scripts.workflows = option(o, "workflows", out->scripts.workflows);
    out->dev = option_given(o, "dev");
    out->insecure = option_given(o, "insecure");
    const char *listen = option(o, "listen", NULL);
    if (!listen || settings_address(out, listen)) return true;
    fprintf(stderr,
            say_language() == LANG_RU ? "perigee: --listen «%s»: нужно %s\n"
                                      : "perigee: --listen \"%s\" must be %s\n",
            listen, settings_address_words());
    return false;
}
