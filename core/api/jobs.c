/* jobs.c: jobs of the outbox for administrators: what waits, what failed and why, once more, never mind. */
#include "api/app.h"

#include "store/outbox.h"

#define LIST_MAX 500
#define RUNS_SHOWN 100

static bool may_look(struct call *c)
{
    if (c->who->all_read) return true;
    return error_set(&c->error, ERROR_FORBIDDEN, "jobs are for administrators",
                     "задания видят только администраторы");
}

static bool may_change(struct call *c)
{
    if (c->who->all_write) return true;
    return error_set(&c->error, ERROR_FORBIDDEN, "only administrators change jobs",
                     "изменять задания могут только администраторы");
}

static void member_text(struct buf *b, struct str key, struct stmt *s, int at)
{
    json_key(b, key);
    if (stmt_null(s, at))
        json_null(b);
    else
        json_str(b, stmt_text(s, at));
}

#define COLUMNS                                                                                              \
    "id, job, state, attempts, due_at, created_at, created_by, finished_at, key, error, args, steps"

static void write_job(struct buf *b, struct stmt *s, bool whole)
{
    json_object(b);
    json_key(b, STR("id"));
    json_id(b, stmt_int(s, 0));
    member_text(b, STR("job"), s, 1);
    member_text(b, STR("state"), s, 2);
    json_key(b, STR("attempts"));
    json_int(b, stmt_int(s, 3));
    json_time(b, STR("due_at"), stmt_int(s, 4));
    json_time(b, STR("created_at"), stmt_int(s, 5));
    json_key(b, STR("created_by"));
    json_id(b, stmt_int(s, 6));
    json_time(b, STR("finished_at"), stmt_int(s, 7));
    member_text(b, STR("key"), s, 8);
    member_text(b, STR("error"), s, 9);
    if (whole) {
        json_key(b, STR("args"));
        json_raw(b, stmt_text(s, 10));
        json_key(b, STR("steps"));
        json_raw(b, stmt_text(s, 11));
    }
}

static bool read_state(struct call *c, struct str *state)
{
    static const char *const known[] = {"waiting", "running", "done", "dead", "cancelled"};
    *state = call_parameter(c, "state");
    if (!state->p) return true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_is(*state, known[i])) return true;
    error_add(&c->error, "state", "bad_value", "state is waiting, running, done, dead or cancelled",
              "state: waiting, running, done, dead или cancelled");
    return error_set(&c->error, ERROR_BAD_REQUEST, "there is no such state", "нет такого состояния");
}

static bool list(struct call *c)
{
    int64_t limit, before = INT64_MAX, last = 0, n = 0;
    struct str state, cursor = call_parameter(c, "cursor"), job = call_parameter(c, "job");
    if (!may_look(c) || !read_state(c, &state) || !call_number(c, "limit", 1, LIST_MAX, 50, &limit))
        return false;
    if (cursor.p && !id_parse(cursor, &before)) {
        error_add(&c->error, "cursor", "bad_value", "the cursor is not one of this list",
                  "курсор не от этого списка");
        return error_set(&c->error, ERROR_BAD_REQUEST, "wrong cursor", "неверный курсор");
    }
    struct stmt *s = db_prepare(c->worker->db,
                                STR("SELECT " COLUMNS " FROM perigee_outbox WHERE id < ?1"
                                    " AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR job = ?3)"
                                    " ORDER BY id DESC LIMIT ?4"),
                                &c->error);
    if (!s) return false;
    stmt_bind_int(s, 1, before);
    stmt_bind_text(s, 2, state);
    stmt_bind_text(s, 3, job);
    stmt_bind_int(s, 4, limit + 1);
    json_object(c->out);
    json_key(c->out, STR("items"));
    json_array(c->out);
    enum step step;
    bool more = false;
    while ((step = stmt_step(s, &c->error)) == STEP_ROW && !(more = n == limit)) {
        write_job(c->out, s, false);
        json_end_object(c->out);
        last = stmt_int(s, 0);
        n++;
    }
    db_release(s);
    if (step == STEP_ERROR) return false;
    json_end_array(c->out);
    if (more) {
        json_key(c->out, STR("next"));
        json_id(c->out, last);
    }
    json_end_object(c->out);
    return call_json(c, 200);
}

static bool write_runs(struct call *c, int64_t id)
{
    struct stmt *s =
        db_prepare(c->worker->db,
                   STR("SELECT attempt, started_at, took_ms, outcome, output, error, place FROM perigee_run"
                       " WHERE job = ? ORDER BY id DESC LIMIT ?"),
                   &c->error);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    stmt_bind_int(s, 2, RUNS_SHOWN);
    json_key(c->out, STR("runs"));
    json_array(c->out);
    enum step step;
    while ((step = stmt_step(s, &c->error)) == STEP_ROW) {
        json_object(c->out);
        json_key(c->out, STR("attempt"));
        json_int(c->out, stmt_int(s, 0));
        json_time(c->out, STR("started_at"), stmt_int(s, 1));
        json_key(c->out, STR("took_ms"));
        json_int(c->out, stmt_int(s, 2));
        member_text(c->out, STR("outcome"), s, 3);
        member_text(c->out, STR("output"), s, 4);
        member_text(c->out, STR("error"), s, 5);
        member_text(c->out, STR("place"), s, 6);
        json_end_object(c->out);
    }
    db_release(s);
    json_end_array(c->out);
    return step == STEP_DONE;
}

static bool job_id(struct call *c, int64_t *id)
{
    return id_parse(call_capture(c, "id"), id) ||
           error_set(&c->error, ERROR_NOT_FOUND, "there is no such job", "нет такого задания");
}

static bool write_one(struct call *c, int64_t id)
{
    struct stmt *s =
        db_prepare(c->worker->db, STR("SELECT " COLUMNS " FROM perigee_outbox WHERE id = ?"), &c->error);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, &c->error);
    if (step == STEP_ROW) write_job(c->out, s, true);
    db_release(s);
    if (step == STEP_DONE)
        return error_set(&c->error, ERROR_NOT_FOUND, "there is no such job", "нет такого задания");
    if (step == STEP_ERROR || !write_runs(c, id)) return false;
    json_end_object(c->out);
    return call_json(c, 200);
}

static bool show(struct call *c)
{
    int64_t id;
    return may_look(c) && job_id(c, &id) && write_one(c, id);
}

static bool requeue(struct call *c)
{
    int64_t id;
    return may_change(c) && job_id(c, &id) && outbox_requeue(c->worker->db, id, clock_now(), &c->error) &&
           write_one(c, id);
}

static bool cancel(struct call *c)
{
    int64_t id;
    return may_change(c) && job_id(c, &id) && outbox_cancel(c->worker->db, id, clock_now(), &c->error) &&
           write_one(c, id);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/jobs", LANE_READ, 0, "state job limit cursor", list,
     "Jobs for the outside world, newest first (administrators)", NULL, "jobs", 200},
    {HTTP_METHOD_GET, "/api/v1/jobs/{id}", LANE_READ, 0, "", show, "A job with its attempts", NULL, "job",
     200},
    {HTTP_METHOD_POST, "/api/v1/jobs/{id}/requeue", LANE_WRITE, BODY_MAY, "", requeue,
     "Try a job once more that gave up or was cancelled", NULL, "job", 200},
    {HTTP_METHOD_POST, "/api/v1/jobs/{id}/cancel", LANE_WRITE, BODY_MAY, "", cancel,
     "Give a job up that waits", NULL, "job", 200},
};

const struct endpoint_table jobs_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
