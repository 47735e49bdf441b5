/* filter_parser.h: the state of a parse, shared by filter_parse.c (logic), filter_operand.c (values) and
 * filter_formula.c (arithmetic). */
#ifndef STORE_FILTER_PARSER_H
#define STORE_FILTER_PARSER_H

#include "store/filter_tree.h"

struct parser {
    struct arena *arena;
    const struct catalog *catalog;
    const struct entity *entity;
    struct str text;
    const char *pointer;
    const struct value *params;
    size_t param_count;
    const struct filter_scope *scope;
    struct error *error;
    struct token token;
    size_t next;
    int depth, terms;
};

/* Moves to the next token; false (with the error) when it is a bad one. */
bool parser_advance(struct parser *p);
bool parser_is(const struct parser *p, const char *symbol_or_word);
/* Takes it when it is there. */
bool parser_accept(struct parser *p, const char *symbol_or_word);
bool parser_expect(struct parser *p, const char *symbol);
/* The same; what else would do here stands in `expected`. */
bool parser_expect_of(struct parser *p, const char *symbol, const char *expected);

/* Fails at byte offset `at`. `expected` is a list of token names with spaces between, or NULL. Always false.
 */
bool parser_fail(struct parser *p, size_t at, const char *code, const char *expected, const char *en,
                 const char *ru, ...) __attribute__((format(printf, 5, 7), format(printf, 6, 7)));
void parser_suggest(struct parser *p, struct str best);

bool parser_enter(struct parser *p); /* depth and number of terms */
struct node *parser_node(struct parser *p, enum node_kind kind);

/* name ("." name)* from the current token on. */
bool parse_path(struct parser *p, struct path *out);
/* One value for comparison with `field`. */
bool parse_operand(struct parser *p, const struct field *field, struct operand *out);
/* ("+"|"-") duration, any number of times, into the bind. */
bool macro_duration(struct parser *p, struct bind *b);
bool unknown_macro(struct parser *p, struct str name, size_t at); /* always false */
/* or-expression: the whole grammar of tests. */
struct node *parse_or(struct parser *p);
/* A value expression of formulas. */
struct node *parse_sum(struct parser *p);

#endif
