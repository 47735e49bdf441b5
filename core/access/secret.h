/* secret.h: making and hashing the secrets of sessions and tokens; private to core/access. */
#ifndef ACCESS_SECRET_H
#define ACCESS_SECRET_H

#include "base/error.h"

#define SECRET_HASH 32

/* 256 random bits as 43 characters of base64url and a NUL. */
bool secret_make(char text[44], struct error *e);
/* Another secret, that tells nothing of the first: BLAKE2b-256 of `purpose`, keyed with it. */
void secret_derive(struct str secret, struct str purpose, char text[44]);
/* BLAKE2b-256. */
void secret_hash(struct str text, unsigned char hash[SECRET_HASH]);

#endif
