/* webhook.h: subscriptions of others to what changes, and the letters that go to them (api.md §10). A
 * delivery is a row of its own, so that it can be looked at and sent again; sending it is a job of the
 * outbox. */
#ifndef STORE_WEBHOOK_H
#define STORE_WEBHOOK_H

#include "store/db.h"

#define WEBHOOK_JOB "webhook" /* args {"delivery":"<id>"} */
#define WEBHOOK_SECRET_MAX 128

struct webhook {
    int64_t id, owner;
    struct str url, topics, filter, description; /* topics: JSON array of collections; "[]": all */
    struct str secret, old_secret; /* "whsec_" and base64; old_secret "" or valid until old_until */
    int64_t old_until;
    bool active;
    int64_t since; /* log position: earlier entries do not concern it */
    int64_t created_at, updated_at, failing_since;
    struct str disabled; /* why it was switched off by the server; "" */
};

/* A fresh secret of 32 bytes. */
void webhook_secret(char out[WEBHOOK_SECRET_MAX]);
/* "whsec_" and base64 of 24 … 64 bytes (Standard Webhooks 1.0.0); the raw key into `key` (64 bytes of room),
 * its length returned; 0: it is none. */
size_t webhook_key(struct str secret, unsigned char key[64]);

/* In a write transaction. `since` and times are set by insert. */
bool webhook_insert(struct db *d, struct webhook *w, struct error *e);
bool webhook_update(struct db *d, const struct webhook *w, struct error *e);
bool webhook_delete(struct db *d, int64_t id, bool *found, struct error *e);

/* Texts are copied into the error's arena by get, and live until `each` returns in list. */
bool webhook_get(struct db *d, int64_t id, struct webhook *out, bool *found, struct error *e);
bool webhook_list(struct db *d, bool active_only, bool (*each)(void *ctx, const struct webhook *w), void *ctx,
                  struct error *e);

/* How far the log has been looked at; set refuses (false in *moved) when it is not `from` any more. */
bool webhook_position(struct db *d, int64_t *position, struct error *e);
bool webhook_move(struct db *d, int64_t from, int64_t to, bool *moved, struct error *e);

struct delivery {
    int64_t id, webhook, seq, created_at, sent_at, took_ms;
    struct str type, body, state, error; /* state: waiting, delivered, failed */
    int attempts, status;
};

/* Makes a delivery and its job. */
bool delivery_add(struct db *d, int64_t webhook, int64_t seq, struct str type, struct str body, int64_t *id,
                  struct error *e);
bool delivery_get(struct db *d, int64_t id, struct delivery *out, bool *found, struct error *e);
bool delivery_list(struct db *d, int64_t webhook, int64_t before, int64_t limit,
                   bool (*each)(void *ctx, const struct delivery *v), void *ctx, struct error *e);
/* Enqueues its job once more. */
bool delivery_again(struct db *d, int64_t id, struct error *e);
/* What an attempt gave. `gone`: the webhook is switched off (410). */
bool delivery_result(struct db *d, int64_t id, bool delivered, bool final, int status, struct str error,
                     int64_t took_ms, struct error *e);
bool webhook_disable(struct db *d, int64_t id, struct str why, struct error *e);
bool delivery_purge(struct db *d, int64_t before, struct error *e);

#endif
