/* guard.c: addresses that a server must not be talked into reaching (server-side request forgery): everything
 * that is not globally reachable in IANA's special-purpose registries (RFC 6890 and its successors), and the
 * IPv6 forms that carry an IPv4 address inside. */
#include "http/client.h"

static const char *const inner[] = {
    "0.0.0.0/8",      "10.0.0.0/8",   "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24",   "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",  "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4",  "240.0.0.0/4",    "::/128",         "::1/128",        "64:ff9b::/96",
    "64:ff9b:1::/48", "100::/64",     "2001::/23",      "2001:db8::/32",  "2002::/16",      "3fff::/20",
    "5f00::/16",      "fc00::/7",     "fe80::/10",      "fec0::/10",      "ff00::/8",
};

static bool in_any(const struct address *a, const struct address *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (address_in(a, &ranges[i])) return true;
    return false;
}

bool guard_allows(const struct address *a, const struct address *open, size_t open_n)
{
    if (in_any(a, open, open_n)) return true;
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        struct address range;
        if (!address_parse(str_of(inner[i]), false, &range) || address_in(a, &range)) return false;
    }
    return true;
}
