/* secret.h: making and hashing the secrets of sessions and tokens; private to core/access. */
#ifndef ACCESS_SECRET_H
#define ACCESS_SECRET_H

#include "base/error.h"

#define SECRET_HASH 32

/* 256 random bits as 43 characters of base64url and a NUL. */
bool secret_make(char text[44], struct error *e);
/* BLAKE2b-256. */
void secret_hash(struct str text, unsigned char hash[SECRET_HASH]);
/* Another secret that follows from this one and from which this one cannot be told: BLAKE2b-256 of `use`, keyed. */
void secret_derive(struct str text, struct str use, char out[44]);

#endif
