/* secret.c: see secret.h. The database keeps hashes only, so a stolen copy of it signs nobody in. */
#include "access/secret.h"

#include <sodium.h>

bool secret_make(char text[44], struct error *e)
{
    unsigned char random[32];
    if (sodium_init() < 0)
        return error_set(e, ERROR_INTERNAL, "libsodium cannot start", "libsodium не запускается");
    randombytes_buf(random, sizeof random);
    sodium_bin2base64(text, 44, random, sizeof random, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof random);
    return true;
}

void secret_derive(struct str secret, struct str purpose, char text[44])
{
    /* Keyed with the secret itself, never with its bare hash: that one lies in the database. */
    unsigned char key[crypto_generichash_KEYBYTES_MAX] = {0}, derived[SECRET_HASH];
    memcpy(key, secret.p, secret.n < sizeof key ? secret.n : sizeof key);
    crypto_generichash(derived, sizeof derived, (const unsigned char *)purpose.p, purpose.n, key, sizeof key);
    sodium_bin2base64(text, 44, derived, sizeof derived, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(key, sizeof key);
}

void secret_hash(struct str text, unsigned char hash[SECRET_HASH])
{
    crypto_generichash(hash, SECRET_HASH, (const unsigned char *)(text.p ? text.p : ""), text.n, NULL, 0);
}
