/* filter_tree.h: the checked tree behind `struct filter`; private to the filter_*.c files. */
#ifndef STORE_FILTER_TREE_H
#define STORE_FILTER_TREE_H

#include "store/filter.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,
    TOKEN_STRING, /* text: unescaped */
    TOKEN_NUMBER,
    TOKEN_DATE,
    TOKEN_DATETIME,
    TOKEN_DURATION,
    TOKEN_MACRO,  /* text: without "@" */
    TOKEN_PARAM,  /* text: the number behind "$" */
    TOKEN_SYMBOL, /* text: "=", "!=", "<=", "(", … */
    TOKEN_BAD
};

struct token {
    enum token_kind kind;
    struct str text; /* what it means */
    size_t at;       /* byte offset */
    size_t bad_at;   /* TOKEN_BAD: where exactly; */
    const char *bad; /* why, English; Russian in bad_ru */
    const char *bad_ru;
};

/* Reads the token that starts at or after `at`; *next is the offset behind it. */
struct token filter_lex(struct arena *arena, struct str text, size_t at, size_t *next);

struct path {
    const struct field *fields[FILTER_PATH_MAX];
    size_t n;
};

enum node_kind {
    NODE_AND,
    NODE_OR,
    NODE_NOT,
    NODE_COMPARE, /* path op operand */
    NODE_TEXT,    /* path contains|starts|ends operand */
    NODE_NULL,    /* path is null */
    NODE_IN,      /* path in (operands) */
    NODE_IN_SET,  /* path in macro */
    NODE_BETWEEN, /* path between operands[0] and operands[1] */
    NODE_ROLE,    /* @role.code */
    NODE_LITERAL, /* values, in formulas */
    NODE_FIELD,
    NODE_ARITHMETIC, /* op: + - * / */
    NODE_COALESCE,
    NODE_ROUND, /* scale: digits */
    NODE_DAYS,
    NODE_IF /* test, left, right */
};

enum node_op {
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_CONTAINS,
    OP_STARTS,
    OP_ENDS,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV
};

struct operand {
    struct bind bind;
    bool whole_day; /* a date against a datetime: "=" means the whole day */
    bool null;      /* a parameter that is nil: no comparison holds */
    bool missing;   /* the word null: "=" asks whether the value is missing, nothing else holds */
    const struct entity *setting; /* the text may be the id of a record of this setting */
};

struct node {
    enum node_kind kind;
    enum node_op op;
    struct node *left, *right, *test;
    struct path path;
    struct operand *operands;
    size_t count;
    enum value_type type; /* of a value */
    int scale;
};

struct filter {
    const struct entity *entity;
    const struct catalog *catalog;
    struct node *root;
    enum value_type type; /* formulas */
    int scale;
};

/* The last field of a path, and whether it holds several values. */
static inline const struct field *path_last(const struct path *p)
{
    return p->fields[p->n - 1];
}
static inline bool path_is_set(const struct path *p)
{
    return field_value_type(path_last(p)) == VALUE_SET;
}

/* How many elements a set has that are worth writing out one by one; -1: too many, or not plain. */
int set_elements(const struct bind *b, const struct filter_env *env);

/* "2d" and the like into the bind's additions; false when it is no duration. */
bool duration_add(struct str text, bool minus, struct bind *b);

/* A macro by its name ("my.directions"); false when there is none. *set: it is a set. */
bool macro_find(struct str name, struct bind *b, enum value_type *type, bool *set);
/* Names of all macros, NULL-terminated, for suggestions. */
extern const char *const macro_names[];

#endif
