/* openapi.h: the parts of the description: paths and operations (openapi.c), records as the catalog declares
 * them (openapi_record.c), and the shapes that are fixed (openapi_schemas.c). */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include "api/app.h"

struct openapi_schema {
    const char *name; /* "problem": #/components/schemas/api.problem */
    const char *json;
};

/* All fixed schemas; static. Any thread. */
const struct openapi_schema *openapi_schemas(size_t *count);

/* Writes the member "<entity>" of components/schemas, or "<entity>.write", into c->out. */
void openapi_record(struct call *c, const struct entity *e, bool write);
/* Whether the caller may ever write that field. */
bool openapi_writable(const struct call *c, const struct entity *e, const struct field *f);

#endif
