/* problem_texts.h: the codes of errors, with the words of the pages that explain them. Static data; any
 * thread. */
#ifndef API_PROBLEM_TEXTS_H
#define API_PROBLEM_TEXTS_H

#include "base/error.h"

struct problem_words {
    const char *code; /* "not_found"; its page is /problems/not-found */
    int status;
    const char *title[LANG_COUNT]; /* NULL: that of the error kind */
    const char *words[LANG_COUNT]; /* what it means and what to do */
};

const struct problem_words *problem_words_nth(size_t n);             /* NULL past the end */
const struct problem_words *problem_words_find(const char *code);    /* NULL: there is none */
const char *problem_title(const struct problem_words *w, enum lang); /* never NULL */

#endif
