/* accept.c: what a client would rather have (RFC 9110 §12.4.2, §12.5.1): qualities in thousandths. */
#include "api/app.h"

/* Of "q=0.8" among the parameters behind an item; 1000 when there is none, 0 when it is no number. */
int accept_quality(struct str parameters)
{
    for (struct str one = str_cut(&parameters, ';'); one.p; one = str_cut(&parameters, ';')) {
        struct str value = one, name = str_trim(str_cut(&value, '='));
        if (!str_eq_nocase(name, STR("q"))) continue;
        value = str_trim(value);
        if (value.n == 0 || (value.p[0] != '0' && value.p[0] != '1')) return 0;
        if (value.p[0] == '1') return 1000;
        int quality = 0, digit = 100;
        for (size_t i = 2; i < value.n && value.p[1] == '.' && digit > 0; i++, digit /= 10) {
            if (value.p[i] < '0' || value.p[i] > '9') return 0;
            quality += (value.p[i] - '0') * digit;
        }
        return quality;
    }
    return 1000;
}

/* 3: that very type; 2: its kind ("text" and an asterisk); 1: any; 0: another. */
static int closeness(struct str range, const char *type)
{
    const char *slash = strchr(type, '/');
    if (str_eq_nocase(range, str_of(type))) return 3;
    if (str_is(range, "*/*")) return 1;
    size_t kind = (size_t)(slash - type) + 1;
    return range.n == kind + 1 && range.p[kind] == '*' &&
                   str_eq_nocase((struct str){range.p, kind}, (struct str){type, kind})
               ? 2
               : 0;
}

int accept_media(struct str accept, const char *type)
{
    int best = 0, quality = accept.p ? 0 : 1000;
    for (struct str one = str_cut(&accept, ','); one.p; one = str_cut(&accept, ',')) {
        struct str range = str_trim(str_cut(&one, ';'));
        int close = closeness(range, type);
        if (close <= best) continue;
        best = close;
        quality = accept_quality(one);
    }
    return quality;
}
