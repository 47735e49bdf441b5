/* suggest.c: see suggest.h. */
#include "base/suggest.h"

#define LENGTH_MAX 64

void suggest_start(struct suggest *s, struct str wanted)
{
    *s = (struct suggest){.wanted = wanted, .distance = LENGTH_MAX};
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Optimal string alignment: three rows of the usual table. */
static size_t distance(struct str a, struct str b)
{
    size_t rows[3][LENGTH_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.n; j++)
        above[j] = before[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t cost = a.p[i - 1] != b.p[j - 1];
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost);
            bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
            if (swapped && before[j - 2] + 1 < row[j]) row[j] = before[j - 2] + 1;
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b.n];
}

void suggest_try(struct suggest *s, struct str candidate)
{
    if (s->wanted.n == 0 || s->wanted.n > LENGTH_MAX || candidate.n == 0 || candidate.n > LENGTH_MAX) return;
    size_t bound = s->wanted.n < 3 ? 1 : (s->wanted.n + 2) / 3;
    if (bound > 3) bound = 3;
    size_t d = distance(s->wanted, candidate);
    if (d > bound || d >= s->distance) return;
    s->distance = d;
    s->best = candidate;
}
