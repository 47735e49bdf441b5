/* filter_fuzz.c: texts into the filter language. A text that is refused must be refused at a place inside it
 * and with words; one that is accepted must run as SQL and give, on every record, what direct evaluation
 * gives. A text that begins with "=" is a formula. */
#include "base/text.h"
#include "unit/world.h"

#define THINGS 12

static struct world w;

static void require(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "broken promise: %s\n%s\n", what, w.error.detail ? w.error.detail : "");
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    world_open(&w, THINGS);
    w.context.env.now = INT64_C(1774742400000); /* the same for every run */
    w.context.env.zone = timezone_find(STR("Europe/Berlin"));
    return 0;
}

static void check_refusal(struct str text, const char *pointer)
{
    const struct error_entry *first = w.error.first;
    require(w.error.kind == ERROR_BAD_FILTER && first != NULL, "a refusal says what it is");
    require(first->pointer && strcmp(first->pointer, pointer) == 0 && first->code && first->message[0],
            "and where");
    require(text_valid(str_of(first->message)) && text_valid(str_of(w.error.detail)), "in words");
    require(first->offset >= 0, "a place has an offset");
    if (text_valid(text)) require((size_t)first->offset <= text_length(text), "the place is inside the text");
}

static struct stmt *prepare(const struct filter *f, bool formula, bool from_people)
{
    struct sql q;
    sql_init(&q, &w.scratch);
    q.from_people = from_people;
    sql_add(&q, "SELECT t.id, ");
    require(formula ? formula_sql(&q, f, "t", NULL) : filter_sql(&q, f, "t", NULL),
            "what is accepted has SQL");
    sql_add(&q, " FROM \"thing\" AS t");
    struct stmt *s = db_prepare(w.db, buf_view(&q.text), &w.error);
    require(s != NULL, "SQLite takes the SQL");
    sql_free(&q);
    require(sql_bind_all(s, 1, q.binds, q.bind_count, &w.context.env, &w.scratch), "every bind has a value");
    return s;
}

static void check_answers(const struct filter *f, bool formula, bool from_people)
{
    struct stmt *s = prepare(f, formula, from_people);
    enum step step;
    while ((step = stmt_step(s, &w.error)) == STEP_ROW) {
        struct record *r = record_load(&w.context, w.thing, stmt_int(s, 0));
        require(r != NULL, "the record is there");
        struct filter_record get = record_filter(&w.context, r);
        struct value v;
        bool yes;
        if (formula) {
            require(formula_eval(f, &get, &w.context.env, &w.scratch, &v, &w.error), "a formula has a value");
            require(stmt_null(s, 1) == (v.type == VALUE_NULL), "both ways are missing, or neither");
            require(stmt_null(s, 1) || stmt_int(s, 1) == v.i, "both ways are the same");
        } else {
            require(filter_eval(f, &get, &w.context.env, &w.scratch, &yes, &w.error),
                    "a filter holds or not");
            require((!stmt_null(s, 1) && stmt_int(s, 1) != 0) == yes, "both ways are the same");
        }
    }
    require(step == STEP_DONE, "the statement runs");
    db_release(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    bool formula = n && data[0] == '=';
    struct str text = {(const char *)data + formula, n - formula};
    const struct catalog *c = w.set->catalog;
    world_next(&w);
    const struct filter *f =
        formula ? filter_parse_formula(&w.scratch, c, w.thing, text, FIELD_MONEY, 2, &w.error)
                : filter_parse(&w.scratch, c, w.thing, text, NULL, NULL, 0, NULL, &w.error);
    if (f)
        check_answers(f, formula, n & 1);
    else
        check_refusal(text, formula ? "expr" : "filter");
    return 0;
}
