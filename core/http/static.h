/* static.h: files of a folder, served from memory.
 *
 * Everything is read when the folder is opened: content, gzip form, strong ETag (BLAKE2b of the content),
 * type. With `dev` a file is looked at again (stat) at each request. Names come only from the folder's
 * listing, so no request can reach outside of it. Immutable after opening (without `dev`): any thread may
 * serve from it. */
#ifndef HTTP_STATIC_H
#define HTTP_STATIC_H

#include "http/server.h"

struct http_static;

struct http_static_config {
    const char *prefix;   /* "/desk/": the path that the folder appears under; begins and ends with "/" */
    const char *root;     /* the folder */
    const char *fallback; /* file for unknown paths without a dot in the last part ("index.html", for
                             applications that route by themselves); NULL: 404 */
    const char *content_security_policy; /* for HTML; NULL: 'self' for everything */
    const char *
        cache_control; /* NULL: "no-cache"; files with a hash in their name (app.3f9a12bc.js) are immutable */
    bool dev;          /* see changes of files at once */
};

/* NULL with an English sentence in `why`. Hidden files and symbolic links are left out; at most 64 MiB. */
struct http_static *http_static_open(const struct http_static_config *config, char *why, size_t why_size);
void http_static_free(struct http_static *s);

/* Answers (and ends the exchange) when the path lies under the prefix: 200, 304, 404 with an empty body when
 * `or_404`, 405; "index.html" for a path that ends in "/". False: not ours, the exchange is untouched. */
bool http_static_serve(const struct http_static *s, struct http_exchange *x, bool or_404);

#endif
