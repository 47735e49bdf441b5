/* address.c: see address.h. The peer's address is a fact; what X-Forwarded-For says is a claim, and only the
 * part of it that trusted proxies wrote is believed: read from its end, up to the first address that is not
 * one of them. */
#include "http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#define V4_PREFIX 96

static const unsigned char v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool parse_plain(struct str s, struct address *out, bool *v4)
{
    char text[HTTP_ADDRESS_TEXT];
    if (s.n == 0 || s.n >= sizeof text) return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    out->prefix = 128;
    *v4 = true;
    memcpy(out->bytes, v4_mapped, sizeof v4_mapped);
    if (inet_pton(AF_INET, text, out->bytes + 12) == 1) return true;
    *v4 = false;
    return inet_pton(AF_INET6, text, out->bytes) == 1;
}

static bool parse_bits(struct str s, int max, int *bits)
{
    *bits = 0;
    if (s.n == 0 || s.n > 3) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        *bits = *bits * 10 + (s.p[i] - '0');
    }
    return *bits <= max;
}

/* Takes "[…]" and, when asked, a port away. */
static struct str without_port(struct str s, bool port)
{
    if (s.n > 2 && s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.n);
        if (!end || (!port && end != s.p + s.n - 1)) return (struct str){0};
        return (struct str){s.p + 1, (size_t)(end - s.p) - 1};
    }
    const char *colon = port && s.n ? memchr(s.p, ':', s.n) : NULL;
    if (colon && !memchr(colon + 1, ':', s.n - (size_t)(colon + 1 - s.p))) s.n = (size_t)(colon - s.p);
    return s;
}

bool address_parse(struct str s, bool port, struct address *out)
{
    bool v4 = false;
    struct str bits = str_trim(s);
    struct str text = str_cut(&bits, '/');
    if (!parse_plain(without_port(text, port), out, &v4)) return false;
    if (!bits.p) return true;
    if (!parse_bits(bits, v4 ? 32 : 128, &out->prefix)) return false;
    if (v4) out->prefix += V4_PREFIX;
    return true;
}

bool address_in(const struct address *a, const struct address *range)
{
    size_t whole = (size_t)range->prefix / 8;
    if (memcmp(a->bytes, range->bytes, whole) != 0) return false;
    int rest = range->prefix % 8;
    if (rest == 0) return true;
    unsigned mask = 0xffU << (8 - rest) & 0xffU;
    return (a->bytes[whole] & mask) == (range->bytes[whole] & mask);
}

bool address_of_socket(const struct sockaddr *sa, struct address *out)
{
    *out = (struct address){.prefix = 128};
    if (sa->sa_family == AF_INET) {
        memcpy(out->bytes, v4_mapped, sizeof v4_mapped);
        memcpy(out->bytes + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
        return true;
    }
    if (sa->sa_family != AF_INET6) return false;
    memcpy(out->bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    return true;
}

static void format_v4(const unsigned char bytes[4], char *out)
{
    for (int i = 0; i < 4; i++) {
        unsigned b = bytes[i];
        if (i) *out++ = '.';
        if (b >= 100) *out++ = (char)('0' + b / 100);
        if (b >= 10) *out++ = (char)('0' + b / 10 % 10);
        *out++ = (char)('0' + b % 10);
    }
    *out = '\0';
}

void address_format(const struct address *a, char out[HTTP_ADDRESS_TEXT])
{
    /* Twice for each request, and inet_ntop prints through sprintf. */
    if (memcmp(a->bytes, v4_mapped, sizeof v4_mapped) == 0) {
        format_v4(a->bytes + 12, out);
        return;
    }
    if (!inet_ntop(AF_INET6, a->bytes, out, HTTP_ADDRESS_TEXT)) out[0] = '\0';
}

static bool is_trusted(const struct address *a, const struct address *trusted, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (address_in(a, &trusted[i])) return true;
    return false;
}

/* Goes through one field from its end. True when the client was found (or the claim is no address: then
 * `client` stays at the last proxy that was). */
static bool walk_back(struct str list, struct address *client, const struct address *trusted, size_t n)
{
    while (list.p) {
        size_t at = list.n;
        while (at > 0 && list.p[at - 1] != ',')
            at--;
        struct str last = {list.p + at, list.n - at};
        list = at > 0 ? (struct str){list.p, at - 1} : (struct str){0};
        struct address claim;
        if (!address_parse(last, true, &claim) || claim.prefix != 128) return true;
        *client = claim;
        if (!is_trusted(&claim, trusted, n)) return true;
    }
    return false;
}

void address_client(struct http_exchange *x, const struct address *peer, const struct address *trusted,
                    size_t n)
{
    struct address client = *peer;
    x->secure = false;
    if (n > 0 && is_trusted(peer, trusted, n)) {
        bool found = false;
        for (size_t i = x->fields_n; i-- > 0;) {
            const struct http_field *f = &x->fields[i];
            if (!found && str_eq_nocase(f->name, STR("x-forwarded-for")))
                found = walk_back(f->value, &client, trusted, n);
            else if (str_eq_nocase(f->name, STR("x-forwarded-proto")))
                x->secure = str_eq_nocase(f->value, STR("https"));
        }
    }
    address_format(&client, x->remote);
}
