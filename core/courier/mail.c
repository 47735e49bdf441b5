/* mail.c: mail.send{to=, subject=, text=, html=, reply_to=, cc=, headers=} of a job: one letter by SMTP.
 *
 * Nothing in an address, a subject or a header may end a line: that would write headers of its own (and is
 * refused, not repaired). Texts outside ASCII become encoded words (RFC 2047). The Message-ID is the same in
 * each attempt, so that a letter sent twice is recognised as one. */
#include "base/text.h"
#include "courier/internal.h"

#include <sodium.h>
#include <stdio.h>

#define RECIPIENTS_MAX 100
#define HEADERS_MAX 20

struct letter {
    struct run *run;
    struct arena arena;
    const char *to[RECIPIENTS_MAX], *headers[HEADERS_MAX + 8];
    size_t to_n, headers_n;
    struct mail_request request;
};

static void letter_free(struct letter *l)
{
    arena_free(&l->arena);
    free(l);
}

/* ---- headers ---- */

static bool one_line(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) return false;
    return true;
}

static bool ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80) return false;
    return true;
}

/* An address as the envelope knows it: something@something, plain ASCII without blanks or brackets. */
static bool address_ok(struct str s)
{
    const char *at = s.n ? memchr(s.p, '@', s.n) : NULL;
    if (!at || at == s.p || at == s.p + s.n - 1 || s.n > 254 || !ascii(s) || !one_line(s)) return false;
    for (size_t i = 0; i < s.n; i++)
        if (strchr(" <>()[],;:\\\"", s.p[i])) return false;
    return memchr(at + 1, '@', s.n - (size_t)(at + 1 - s.p)) == NULL;
}

/* "Name <a@b>" or "a@b" → the two parts. */
static bool split_address(struct str s, struct str *name, struct str *address)
{
    const char *open = s.n ? memchr(s.p, '<', s.n) : NULL;
    *name = (struct str){"", 0};
    *address = str_trim(s);
    if (open) {
        *name = str_trim((struct str){s.p, (size_t)(open - s.p)});
        *address = (struct str){open + 1, s.n - (size_t)(open + 1 - s.p)};
        if (address->n == 0 || address->p[address->n - 1] != '>') return false;
        address->n--;
    }
    if (name->n >= 2 && name->p[0] == '"' && name->p[name->n - 1] == '"') name->p++, name->n -= 2;
    return one_line(*name) && address_ok(*address);
}

/* Encoded words of at most 45 bytes of text, so that none is longer than 75 characters. */
static void encode_words(struct buf *b, struct str s)
{
    for (bool first = true; s.n; first = false) {
        size_t n = s.n < 45 ? s.n : 45;
        char word[64];
        while (n < s.n && n > 1 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
            n--;
        sodium_bin2base64(word, sizeof word, (const unsigned char *)s.p, n, sodium_base64_VARIANT_ORIGINAL);
        buf_printf(b, "%s=?UTF-8?B?%s?=", first ? "" : " ", word);
        s.p += n;
        s.n -= n;
    }
}

static bool put_header(struct letter *l, struct buf *b)
{
    char *line = b->failed ? NULL : arena_dup(&l->arena, buf_view(b));
    buf_free(b);
    if (line) l->headers[l->headers_n++] = line;
    return line != NULL;
}

static bool add_header(struct letter *l, const char *name, struct str value)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    buf_printf(&b, "%s: ", name);
    if (ascii(value) && value.n < 900)
        buf_str(&b, value);
    else
        encode_words(&b, value);
    return put_header(l, &b);
}

static void write_address(struct buf *b, struct str name, struct str address)
{
    if (!name.n) {
        buf_str(b, address);
        return;
    }
    if (ascii(name)) {
        buf_char(b, '"');
        for (size_t i = 0; i < name.n; i++) {
            if (name.p[i] == '"' || name.p[i] == '\\') buf_char(b, '\\');
            buf_char(b, name.p[i]);
        }
        buf_char(b, '"');
    } else
        encode_words(b, name);
    buf_cstr(b, " <");
    buf_str(b, address);
    buf_char(b, '>');
}

/* To and Cc: one address or a list; each is a recipient too. */
static const char *add_recipients(struct letter *l, const char *field, const struct json_value *v)
{
    struct json_value single = v ? *v : (struct json_value){0};
    single.next = NULL;
    const struct json_value *m = v && v->type == JSON_ARRAY ? v->first : v ? &single : NULL;
    struct buf b;
    if (!m) return NULL;
    buf_init(&b, 64 << 10);
    buf_printf(&b, "%s: ", field);
    for (bool first = true; m; m = m->next, first = false) {
        struct str name, address;
        const char *plain = NULL;
        bool ok =
            m->type == JSON_STRING && split_address(m->text, &name, &address) && l->to_n < RECIPIENTS_MAX;
        if (ok) plain = arena_dup(&l->arena, address);
        if (!plain) {
            buf_free(&b);
            return ok ? "out of memory"
                      : "an address is like \"a@example.com\" or \"Name <a@example.com>\", at most 100";
        }
        l->to[l->to_n++] = plain;
        if (!first) buf_cstr(&b, ", ");
        write_address(&b, name, address);
    }
    return put_header(l, &b) ? NULL : "out of memory";
}

static const char *add_sender(struct letter *l, struct str from, struct str reply_to)
{
    struct str name, address;
    struct buf b;
    if (!split_address(from, &name, &address)) return "mail.from in the settings is no address";
    l->request.from = arena_dup(&l->arena, address);
    buf_init(&b, 4096);
    buf_cstr(&b, "From: ");
    write_address(&b, name, address);
    if (!put_header(l, &b) || !l->request.from) return "out of memory";
    if (!reply_to.p) return NULL;
    if (!split_address(reply_to, &name, &address)) return "reply_to is no address";
    buf_init(&b, 4096);
    buf_cstr(&b, "Reply-To: ");
    write_address(&b, name, address);
    return put_header(l, &b) ? NULL : "out of memory";
}

/* "Tue, 24 Nov 2026 09:30:00 +0000" (RFC 5322 §3.3) */
static bool add_date(struct letter *l)
{
    time_t now = (time_t)(clock_now() / 1000);
    struct tm tm;
    char text[64];
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    gmtime_r(&now, &tm);
    snprintf(text, sizeof text, "%.3s, %02d %.3s %04d %02d:%02d:%02d +0000", days + tm.tm_wday * 3,
             tm.tm_mday, months + tm.tm_mon * 3, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return add_header(l, "Date", str_of(text));
}

static const char *add_fixed(struct letter *l, struct str subject)
{
    const struct run *r = l->run;
    const char *at = strchr(l->request.from, '@');
    char id[400];
    snprintf(id, sizeof id, "<job-%lld-%lld-%u%s>", (long long)r->id, (long long)r->created_at, r->requests,
             at);
    bool ok = add_header(l, "Subject", subject) && add_header(l, "Message-ID", str_of(id)) && add_date(l) &&
              add_header(l, "Auto-Submitted", STR("auto-generated"));
    return ok ? NULL : "out of memory";
}

static const char *add_own(struct letter *l, const struct json_value *headers)
{
    if (!headers) return NULL;
    if (headers->type != JSON_OBJECT || headers->count > HEADERS_MAX)
        return "headers is a table of at most 20 texts";
    for (const struct json_value *m = headers->first; m; m = m->next) {
        bool ok = m->type == JSON_STRING && one_line(m->text) && m->key.n > 2 && m->key.n < 80 &&
                  str_eq_nocase((struct str){m->key.p, 2}, STR("x-"));
        for (size_t i = 0; ok && i < m->key.n; i++)
            ok = m->key.p[i] == '-' || (m->key.p[i] >= '0' && m->key.p[i] <= '9') ||
                 ((m->key.p[i] | 32) >= 'a' && (m->key.p[i] | 32) <= 'z');
        if (!ok) return "headers of one's own begin with X- and hold one line";
        char *name = arena_dup(&l->arena, m->key);
        if (!name || !add_header(l, name, m->text)) return "out of memory";
    }
    return NULL;
}

static const char *read_letter(struct letter *l, const struct json_value *args)
{
    const struct courier_mail *mail = &l->run->courier->config.mail;
    struct str subject = arg_text(args, "subject"), text = arg_text(args, "text"),
               html = arg_text(args, "html");
    if (!subject.p || !one_line(subject) || subject.n > 2000) return "subject is one line of text";
    if (!text.p && !html.p) return "text or html is missing";
    const char *wrong = add_sender(l, str_of(mail->from), arg_text(args, "reply_to"));
    if (!wrong) wrong = add_recipients(l, "To", json_member(args, STR("to")));
    if (!wrong) wrong = add_recipients(l, "Cc", json_member(args, STR("cc")));
    if (!wrong && l->to_n == 0) wrong = "nobody is written to";
    if (!wrong) wrong = add_fixed(l, subject);
    if (!wrong) wrong = add_own(l, json_member(args, STR("headers")));
    l->request.url = mail->url;
    l->request.starttls = !mail->plain;
    l->request.user = mail->user;
    l->request.password = mail->password;
    l->request.to = l->to;
    l->request.to_n = l->to_n;
    l->request.headers = l->headers;
    l->request.headers_n = l->headers_n;
    l->request.text = text.p ? text : STR("");
    l->request.html = html;
    return wrong;
}

static void on_sent(void *data, const struct http_result *r)
{
    struct letter *l = data;
    struct run *run = l->run;
    letter_free(l);
    if (run->courier->closing) return;
    if (r->outcome == HTTP_ANSWERED && r->status < 400)
        run_answer(run, &(struct script_answer){.json = STR("true")});
    else if (r->outcome == HTTP_ANSWERED)
        run_refuse(run, "mail.send: the mail server refused with %d: %s", r->status, r->error);
    else
        run_refuse(run, "mail.send: %s", r->error);
}

void ask_mail(struct run *r, const struct script_asked *asked)
{
    if (!r->courier->config.mail.url || !r->courier->config.mail.from) {
        run_refuse(r, "mail.send: no mail server is configured (mail = { url =, from = } in config.lua)");
        return;
    }
    struct letter *l = calloc(1, sizeof *l);
    if (!l) {
        run_refuse(r, "mail.send: out of memory");
        return;
    }
    l->run = r;
    arena_init(&l->arena, (size_t)4 << 20);
    r->requests++;
    r->courier->mails++;
    const char *wrong = read_letter(l, asked->args);
    if (!wrong && !http_client_mail(r->courier->http, &l->request, on_sent, l))
        wrong = "the letter cannot be made";
    if (!wrong) return;
    run_refuse(r, "mail.send: %s", wrong);
    letter_free(l);
}
