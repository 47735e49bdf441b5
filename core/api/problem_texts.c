/* problem_texts.c: what each error code means, for the page that its `type` names. */
#include "api/problem_texts.h"

static const struct problem_words words[] = {
    {"bad_request",
     400,
     {NULL, NULL},
     {"The request is not well formed: broken JSON, a parameter that this address does not know or that is "
      "given "
      "twice, a value that cannot be read.",
      "Запрос составлен неверно: ошибка в JSON, неизвестный или повторённый параметр, нечитаемое значение."}},
    {"bad_filter",
     400,
     {NULL, NULL},
     {"The filter cannot be read. The first entry of errors has the offset in characters from 0 and what was "
      "expected there.",
      "Фильтр не читается. В первой записи errors: позиция в знаках от нуля и то, что там ожидалось."}},
    {"unknown_field",
     400,
     {NULL, NULL},
     {"The request names a field that does not exist for you. The nearest name is the suggestion.",
      "В запросе названо поле, которого для вас нет. Ближайшее имя: в suggestion."}},
    {"unauthenticated",
     401,
     {NULL, NULL},
     {"Nobody is signed in: send a token as \"Authorization: Bearer pgt_…\", or sign in with POST "
      "/api/v1/sessions.",
      "Вход не выполнен: пришлите токен «Authorization: Bearer pgt_…» или войдите через POST "
      "/api/v1/sessions."}},
    {"forbidden",
     403,
     {NULL, NULL},
     {"Your roles do not allow this. What you may do is in GET /api/v1/me and, for one record, in its "
      "actions.",
      "Ваши роли этого не позволяют. Что вам можно: GET /api/v1/me, а для записи её actions."}},
    {"field_forbidden",
     403,
     {NULL, NULL},
     {"You may change the record but not the fields that errors names; some fields nobody writes.",
      "Запись менять можно, но не поля, названные в errors; некоторые поля не записывает никто."}},
    {"not_found",
     404,
     {NULL, NULL},
     {"There is nothing at this address, or nothing that you may know of.",
      "По этому адресу ничего нет или вам об этом знать нельзя."}},
    {"request_timeout",
     408,
     {"Request timeout", "Время запроса вышло"},
     {"The request did not arrive in time; the connection is closed.",
      "Запрос не пришёл вовремя; соединение закрыто."}},
    {"method_not_allowed",
     405,
     {NULL, NULL},
     {"The address exists, but not with this method. The Allow field has those that work.",
      "Адрес есть, но не с этим методом. Подходящие методы: в поле Allow."}},
    {"conflict",
     409,
     {NULL, NULL},
     {"The change contradicts what is stored, for example a record that others refer to.",
      "Изменение противоречит тому, что уже хранится, например на запись ссылаются другие."}},
    {"duplicate",
     409,
     {NULL, NULL},
     {"There is such a record already: the fields in errors must be unique.",
      "Такая запись уже есть: поля из errors должны быть уникальны."}},
    {"stale",
     412,
     {NULL, NULL},
     {"Somebody else changed the record since you read it. The record as it is now is under current: merge, "
      "and send "
      "its ETag as If-Match.",
      "Запись изменили после того, как вы её прочли. Нынешняя запись: в current; объедините изменения и "
      "пришлите её "
      "ETag в If-Match."}},
    {"payload_too_large",
     413,
     {NULL, NULL},
     {"The body is larger than this server takes, or a batch has too many operations.",
      "Тело запроса больше, чем принимает сервер, или в пакете слишком много операций."}},
    {"uri_too_long",
     414,
     {"Address too long", "Слишком длинный адрес"},
     {"The request target is too long. Long filters fit better into a saved view.",
      "Адрес запроса слишком длинный."}},
    {"unsupported_media_type",
     415,
     {NULL, NULL},
     {"The body must be application/json in UTF-8 (a change may be application/merge-patch+json).",
      "Тело запроса: application/json в UTF-8 (изменение: и application/merge-patch+json)."}},
    {"expectation_failed",
     417,
     {"Expectation failed", "Ожидание не выполнено"},
     {"Of the expectations only 100-continue is known.", "Из ожиданий известно только 100-continue."}},
    {"validation_failed",
     422,
     {NULL, NULL},
     {"The request was understood, but some values are not acceptable: errors has an entry for each.",
      "Запрос понятен, но некоторые значения не годятся: в errors запись о каждом."}},
    {"gate_refused",
     422,
     {NULL, NULL},
     {"The stage asks for something that the record lacks: errors has an entry for each thing.",
      "Этапу не хватает данных записи: в errors запись о каждом."}},
    {"rejected",
     422,
     {NULL, NULL},
     {"A script of your company said no; its own code and words are in errors.",
      "Сценарий вашей компании ответил отказом; его код и слова: в errors."}},
    {"script_limit",
     422,
     {NULL, NULL},
     {"A script took more time or memory than it may; everything it did was undone.",
      "Сценарий превысил время или память; всё, что он сделал, отменено."}},
    {"query_limit",
     422,
     {NULL, NULL},
     {"The query takes longer than a query may. The detail says what was expensive: narrow the filter, or "
      "sort by an "
      "indexed field.",
      "Запрос выполняется дольше допустимого. В detail сказано, что было дорогим: сузьте фильтр или "
      "сортируйте по "
      "полю с индексом."}},
    {"failed_dependency",
     424,
     {NULL, NULL},
     {"This operation of an atomic batch was undone, or not tried, because another one was refused.",
      "Эта операция неделимого пакета отменена или не выполнялась, потому что отклонена другая."}},
    {"precondition_required",
     428,
     {NULL, NULL},
     {"This change needs If-Match with the ETag of the record.",
      "Для этого изменения нужен If-Match с ETag записи."}},
    {"too_many_requests",
     429,
     {NULL, NULL},
     {"Too many attempts; try again after the seconds in Retry-After.",
      "Слишком много попыток; повторите через столько секунд, сколько указано в Retry-After."}},
    {"headers_too_large",
     431,
     {"Request head too large", "Слишком большой заголовок"},
     {"The head of the request is too large or has too many fields.",
      "Заголовок запроса слишком велик или в нём слишком много полей."}},
    {"script_error",
     500,
     {NULL, NULL},
     {"A script of your company has a mistake; everything was undone. The server's log has file and line "
      "under the "
      "request id.",
      "В сценарии вашей компании ошибка; всё отменено. Файл и строка: в журнале сервера под номером "
      "запроса."}},
    {"internal",
     500,
     {NULL, NULL},
     {"The server failed; nothing was changed. Its log has the rest under the request id.",
      "Сбой сервера; ничего не изменено. Подробности: в журнале под номером запроса."}},
    {"not_implemented",
     501,
     {"Not implemented", "Не поддерживается"},
     {"This method or transfer coding is not known here.",
      "Этот метод или кодировка передачи здесь не известны."}},
    {"unavailable",
     503,
     {NULL, NULL},
     {"The server cannot do this now: too much waits, it is stopping, or its disk is full. Try again after "
      "the "
      "seconds in Retry-After.",
      "Сейчас это невозможно: очередь полна, сервер останавливается или диск заполнен. Повторите через "
      "столько секунд, "
      "сколько указано в Retry-After."}},
    {"http_version_not_supported",
     505,
     {"HTTP version not supported", "Версия HTTP не поддерживается"},
     {"HTTP/1.1 and HTTP/1.0 are spoken here.", "Здесь говорят на HTTP/1.1 и HTTP/1.0."}},
};

const struct problem_words *problem_words_nth(size_t n)
{
    return n < sizeof words / sizeof words[0] ? &words[n] : NULL;
}

const char *problem_title(const struct problem_words *w, enum lang lang)
{
    if (w->title[lang]) return w->title[lang];
    for (enum error_kind k = ERROR_BAD_REQUEST; k < ERROR_BUSY; k++)
        if (strcmp(error_kind_code(k), w->code) == 0) return error_kind_title(k, lang);
    return w->code;
}

const struct problem_words *problem_words_find(const char *code)
{
    const struct problem_words *w;
    for (size_t i = 0; (w = problem_words_nth(i)); i++)
        if (strcmp(w->code, code) == 0) return w;
    return NULL;
}
