/* send.c: the call's answer becomes the exchange's. On the loop thread; the call is gone afterwards. */
#include "api/app.h"

void call_send(struct call *c)
{
    struct http_exchange *x = c->x;
    upload_free(c->upload);
    c->upload = NULL;
    http_reply(x, c->status ? c->status : 500);
    for (const struct answer_field *f = c->fields; f; f = f->next)
        http_reply_field(x, f->name, f->value);
    if (c->status != 204 && c->status != 304) http_reply_field(x, STR("Vary"), STR("Accept-Language"));
    if (c->content_type && c->out == &c->own)
        http_reply_take(x, c->content_type, &c->own);
    else if (c->content_type && !c->out->failed)
        http_reply_bytes(x, c->content_type, buf_view(c->out));
    else if (c->content_type) {
        http_reply(x, 0); /* no memory for the answer: http says so */
        buf_free(c->out);
        buf_init(c->out, ANSWER_MAX);
    }
    buf_free(&c->own);
    struct buf *scratch = c->out == &c->own ? NULL : c->out;
    http_send(x);
    if (scratch && scratch->cap > (1 << 20)) { /* one huge answer must not stay for ever */
        buf_free(scratch);
        buf_init(scratch, ANSWER_MAX);
    }
}
