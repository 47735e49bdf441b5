/* suggest.h: the nearest of some names to a misspelt one. */
#ifndef BASE_SUGGEST_H
#define BASE_SUGGEST_H

#include "base/str.h"

/* Feed candidates one after the other, then read `best` (.p NULL: nothing near enough). The distance is
 * Damerau-Levenshtein (optimal string alignment), at most a third of the length and never more than 3. */
struct suggest {
    struct str wanted, best;
    size_t distance;
};

void suggest_start(struct suggest *s, struct str wanted);
void suggest_try(struct suggest *s, struct str candidate);

#endif
