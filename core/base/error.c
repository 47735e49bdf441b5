/* error.c: see error.h. The table below is the list of codes of api.md §4. */
#include "base/error.h"

#define ENTRIES_MAX 100

static const struct kind {
    int status;
    const char *code;
    const char *title[LANG_COUNT];
} kinds[ERROR_KIND_COUNT] = {
    [ERROR_NONE] = {200, "ok", {"OK", "OK"}},
    [ERROR_BAD_REQUEST] = {400, "bad_request", {"Bad request", "Неверный запрос"}},
    [ERROR_BAD_FILTER] = {400, "bad_filter", {"Bad filter", "Ошибка в фильтре"}},
    [ERROR_UNKNOWN_FIELD] = {400, "unknown_field", {"Unknown field", "Неизвестное поле"}},
    [ERROR_UNAUTHENTICATED] = {401, "unauthenticated", {"Not signed in", "Вход не выполнен"}},
    [ERROR_FORBIDDEN] = {403, "forbidden", {"Not allowed", "Недостаточно прав"}},
    [ERROR_FIELD_FORBIDDEN] = {403, "field_forbidden", {"Field not allowed", "Нет прав на поле"}},
    [ERROR_NOT_FOUND] = {404, "not_found", {"Not found", "Не найдено"}},
    [ERROR_METHOD_NOT_ALLOWED] = {405,
                                  "method_not_allowed",
                                  {"Method not allowed", "Метод не поддерживается"}},
    [ERROR_CONFLICT] = {409, "conflict", {"Conflict", "Конфликт"}},
    [ERROR_DUPLICATE] = {409, "duplicate", {"Duplicate", "Такая запись уже есть"}},
    [ERROR_STALE] = {412, "stale", {"Changed by somebody else", "Запись уже изменена"}},
    [ERROR_PRECONDITION_REQUIRED] = {428,
                                     "precondition_required",
                                     {"Precondition required", "Нужно условие If-Match"}},
    [ERROR_PAYLOAD_TOO_LARGE] = {413, "payload_too_large", {"Body too large", "Слишком большой запрос"}},
    [ERROR_UNSUPPORTED_MEDIA_TYPE] = {415,
                                      "unsupported_media_type",
                                      {"Unsupported media type", "Неподдерживаемый формат"}},
    [ERROR_VALIDATION_FAILED] = {422, "validation_failed", {"Not valid", "Проверьте поля"}},
    [ERROR_GATE_REFUSED] = {422, "gate_refused", {"Stage change refused", "Переход на этап отклонён"}},
    [ERROR_REJECTED] = {422, "rejected", {"Rejected", "Отклонено"}},
    [ERROR_SCRIPT_ERROR] = {500, "script_error", {"Script error", "Ошибка в сценарии"}},
    [ERROR_SCRIPT_LIMIT] = {422, "script_limit", {"Script limit crossed", "Сценарий превысил ограничение"}},
    [ERROR_QUERY_LIMIT] = {422, "query_limit", {"Query too expensive", "Слишком тяжёлый запрос"}},
    [ERROR_FAILED_DEPENDENCY] = {424,
                                 "failed_dependency",
                                 {"Undone with another", "Отменено вместе с другой"}},
    [ERROR_TOO_MANY_REQUESTS] = {429, "too_many_requests", {"Too many requests", "Слишком много запросов"}},
    [ERROR_UNAVAILABLE] = {503, "unavailable", {"Unavailable", "Временно недоступно"}},
    [ERROR_INTERNAL] = {500, "internal", {"Internal error", "Внутренняя ошибка"}},
    [ERROR_BUSY] = {503, "unavailable", {"Unavailable", "Временно недоступно"}},
};

const char *lang_code(enum lang lang)
{
    return lang == LANG_RU ? "ru" : "en";
}

bool lang_parse(struct str code, enum lang *lang)
{
    if (str_is(code, "ru"))
        *lang = LANG_RU;
    else if (str_is(code, "en"))
        *lang = LANG_EN;
    else
        return false;
    return true;
}

void error_init(struct error *e, struct arena *arena, enum lang lang)
{
    *e = (struct error){.arena = arena, .lang = lang};
}

void error_clear(struct error *e)
{
    error_init(e, e->arena, e->lang);
}

/* Formats in the error's language; the two formats take the same arguments. */
static const char *say(struct error *e, const char *en, const char *ru, va_list args)
{
    const char *text = arena_vprintf(e->arena, e->lang == LANG_RU ? ru : en, args);
    return text                 ? text
           : e->lang == LANG_RU ? "не хватило памяти для описания ошибки"
                                : "no memory left to describe the error";
}

bool error_set(struct error *e, enum error_kind kind, const char *en, const char *ru, ...)
{
    if (e->kind != ERROR_NONE) return false;
    va_list args;
    va_start(args, ru);
    e->kind = kind;
    e->detail = say(e, en, ru, args);
    va_end(args);
    return false;
}

struct error_entry *error_add(struct error *e, const char *pointer, const char *code, const char *en,
                              const char *ru, ...)
{
    static _Thread_local struct error_entry spare;
    spare = (struct error_entry){.offset = -1, .code = code, .message = code};
    if (e->count >= ENTRIES_MAX) return &spare;
    struct error_entry *entry = arena_alloc(e->arena, sizeof *entry);
    if (!entry) return &spare;
    va_list args;
    va_start(args, ru);
    *entry = (struct error_entry){.code = code, .message = say(e, en, ru, args), .offset = -1};
    va_end(args);
    entry->pointer = pointer ? arena_dup(e->arena, str_of(pointer)) : NULL;
    if (e->last)
        e->last->next = entry;
    else
        e->first = entry;
    e->last = entry;
    e->count++;
    return entry;
}

bool error_no_memory(struct error *e)
{
    return error_set(e, ERROR_INTERNAL, "out of memory", "не хватает памяти");
}

int error_kind_status(enum error_kind kind)
{
    return kinds[kind].status;
}

const char *error_kind_code(enum error_kind kind)
{
    return kinds[kind].code;
}

const char *error_kind_title(enum error_kind kind, enum lang lang)
{
    return kinds[kind].title[lang];
}
