/* json_fuzz.c: bytes into the reader of JSON. What is accepted must come back the same when it is written and
 * read again; what is refused must be refused with words. */
#include "base/json.h"
#include "base/json_parse.h"
#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void require(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static void require_same(const struct json_value *a, const struct json_value *b)
{
    require(a->type == b->type && a->count == b->count && str_eq(a->text, b->text) && str_eq(a->key, b->key),
            "what is written is read again");
    const struct json_value *i = a->first, *k = b->first;
    for (; i && k; i = i->next, k = k->next)
        require_same(i, k);
    require(!i && !k, "no child is lost");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena;
    struct error e;
    arena_init(&arena, (size_t)64 << 20);
    error_init(&e, &arena, n & 1 ? LANG_RU : LANG_EN);
    struct str text = {(const char *)data, n};
    struct json_value *v = json_parse(&arena, text, &e);
    if (!v) {
        require(e.kind == ERROR_BAD_REQUEST && e.detail && text_valid(str_of(e.detail)),
                "a refusal has words");
    } else {
        struct buf out;
        buf_init(&out, (size_t)64 << 20);
        require(text_valid(text), "JSON is UTF-8");
        json_value_write(&out, v);
        struct json_value *again = json_parse(&arena, buf_view(&out), &e);
        require(again != NULL, "what is written is JSON");
        require_same(v, again);
        buf_free(&out);
    }
    arena_free(&arena);
    return 0;
}
