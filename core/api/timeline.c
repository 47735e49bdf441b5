/* timeline.c: what happened to a record, and what people say about it. */
#include "api/app.h"

#define COMMENT_MAX 20000

static bool timeline(struct call *c)
{
    int64_t limit;
    if (!call_number(c, "limit", 1, 500, 50, &limit) ||
        !query_timeline(&c->context, c->entity, c->id, limit, call_parameter(c, "cursor"), c->out))
        return false;
    return call_json(c, 200);
}

static bool comment(struct call *c)
{
    struct str text;
    int64_t id;
    if (!call_members(c, "text") || !call_text(c, "text", true, COMMENT_MAX, &text) ||
        !record_comment(&c->context, c->entity, c->id, text, &id))
        return false;
    const struct entity *comments = c->context.catalog->comment;
    if (comments) return call_record(c, 201, comments, id);
    json_object(c->out);
    json_key(c->out, STR("id"));
    json_id(c->out, id);
    json_end_object(c->out);
    return call_json(c, 201);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/{collection}/{id}/timeline", LANE_READ, 0, "limit cursor", timeline,
     "Changes, comments, tasks, files and moves, newest first", NULL, "timeline", 200},
    {HTTP_METHOD_POST, "/api/v1/{collection}/{id}/comments", LANE_WRITE, BODY, "fields expand", comment,
     "Comment on a record", "comment", "made_comment", 201},
};

const struct endpoint_table timeline_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
