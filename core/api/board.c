/* board.c: …/board and …/aggregate: the same records in columns, and as figures. */
#include "api/app.h"

static bool group_by(struct call *c, struct str *value)
{
    *value = call_parameter(c, "group_by");
    if (value->p && value->n) return true;
    error_add(&c->error, "group_by", "required", "group_by is required", "не указано: group_by");
    return error_set(&c->error, ERROR_BAD_REQUEST, "group_by is required", "не указано: group_by");
}

static bool board(struct call *c)
{
    struct query q = records_query(c);
    struct str group;
    if (!group_by(c, &group) || !call_number(c, "limit", 1, 500, 20, &q.limit) ||
        !query_board(&c->context, &q, group, call_parameter(c, "sum"), call_parameter(c, "column"), c->out))
        return false;
    return call_json(c, 200);
}

static bool aggregate(struct call *c)
{
    struct query q = records_query(c);
    struct aggregate a = {
        .group_by = call_parameter(c, "group_by"),
        .sum = call_parameter(c, "sum"),
        .avg = call_parameter(c, "avg"),
        .min = call_parameter(c, "min"),
        .max = call_parameter(c, "max"),
    };
    if (!call_flag(c, "count", &a.count) || !query_aggregate(&c->context, &q, &a, c->out)) return false;
    return call_json(c, 200);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/{collection}/board", LANE_READ, 0,
     "group_by filter sort fields expand limit column cursor q sum", board,
     "The records in columns, with counts and sums", NULL, "board", 200},
    {HTTP_METHOD_GET, "/api/v1/{collection}/aggregate", LANE_READ, 0,
     "group_by filter q count sum avg min max", aggregate, "Counts, sums, averages by group", NULL,
     "aggregate", 200},
};

const struct endpoint_table board_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
