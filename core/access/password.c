/* password.c: argon2id by libsodium: a tenth of a second and 64 MiB each, so never on a loop or the writer.
 */
#include "access/session.h"
#include "base/text.h"

#include <pthread.h>
#include <sodium.h>

/* RFC 9106 §4, second recommendation: strangers may have as many of these done as there are threads for it,
 * so the memory must be one that a small machine has several times. A stored hash names its own cost. */
#define PASSES 3
#define MEMORY ((size_t)64 << 20)

/* What is checked against when the login is unknown, so that both cases take the same time. Made once. */
static char dummy[crypto_pwhash_STRBYTES];

bool password_hash(struct str password, char hash[128], struct error *e)
{
    _Static_assert(crypto_pwhash_STRBYTES == 128, "size of a stored hash");
    if (sodium_init() < 0)
        return error_set(e, ERROR_INTERNAL, "libsodium cannot start", "libsodium не запускается");
    if (crypto_pwhash_str(hash, password.p, password.n, PASSES, MEMORY) != 0) return error_no_memory(e);
    return true;
}

static void make_dummy(void)
{
    static const char password[] = "no account has this one";
    if (dummy[0] || sodium_init() < 0) return;
    if (crypto_pwhash_str(dummy, password, sizeof password - 1, PASSES, MEMORY) != 0) dummy[0] = '\0';
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

bool password_matches(const char *hash, struct str password)
{
    pthread_once(&once, make_dummy);
    int r = crypto_pwhash_str_verify(hash ? hash : dummy, password.p ? password.p : "", password.n);
    return hash && r == 0;
}

bool password_acceptable(struct str login, struct str password, struct error *e)
{
    static const char *const common[] = {"1234567890",  "0123456789", "qwertyuiop",   "password12",
                                         "password123", "passw0rd12", "йцукенгшщз",   "1q2w3e4r5t",
                                         "aaaaaaaaaa",  "1111111111", "administrator"};
    if (!text_valid(password) || text_length(password) < PASSWORD_MIN)
        return error_set(e, ERROR_VALIDATION_FAILED, "a password has at least %d characters",
                         "в пароле не меньше %d символов", PASSWORD_MIN);
    if (password.n > 1024)
        return error_set(e, ERROR_VALIDATION_FAILED, "the password is too long", "слишком длинный пароль");
    bool bad = text_contains(password, login) && login.n >= 4;
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        bad = bad || str_is(password, common[i]);
    return bad ? error_set(e, ERROR_VALIDATION_FAILED, "this password is too easy to guess",
                           "такой пароль слишком легко угадать")
               : true;
}
