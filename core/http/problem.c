/* problem.c: the words for every way in which a request can be wrong before the application sees it. */
#include "http/problem.h"

static const struct problem_text texts[PROBLEM_COUNT] = {
    [PROBLEM_NONE] = {500, "internal", "internal error", "внутренняя ошибка"},
    [PROBLEM_REQUEST_LINE] = {400, "bad_request", "the request line is not \"METHOD target HTTP/1.1\"",
                              "строка запроса не имеет вида «МЕТОД адрес HTTP/1.1»"},
    [PROBLEM_CONTROL_BYTE] = {400, "bad_request", "a control byte in the head of the request",
                              "управляющий байт в заголовке запроса"},
    [PROBLEM_BARE_LF] = {400, "bad_request", "a line ends in LF without CR", "строка кончается на LF без CR"},
    [PROBLEM_BARE_CR] = {400, "bad_request", "CR without LF", "CR без LF"},
    [PROBLEM_OBS_FOLD] = {400, "bad_request", "a header field goes over several lines",
                          "поле заголовка занимает несколько строк"},
    [PROBLEM_FIELD_NAME] = {400, "bad_request",
                            "the name of a header field is not a token followed by a colon",
                            "имя поля заголовка: не слово с двоеточием после него"},
    [PROBLEM_TARGET] = {400, "bad_request", "the request target is not a path",
                        "адрес запроса не является путём"},
    [PROBLEM_TARGET_ESCAPE] = {400, "bad_request",
                               "a bad percent escape, NUL, or bytes that are not UTF-8 in the path",
                               "ошибка в %-записи, NUL или не UTF-8 в пути"},
    [PROBLEM_HOST] = {400, "bad_request", "exactly one valid Host field is needed",
                      "нужно ровно одно правильное поле Host"},
    [PROBLEM_CONTENT_LENGTH] = {400, "bad_request", "Content-Length must be given once, as a number",
                                "Content-Length должно быть одно и быть числом"},
    [PROBLEM_LENGTH_AND_CODING] = {400, "bad_request", "both Content-Length and Transfer-Encoding are given",
                                   "заданы сразу Content-Length и Transfer-Encoding"},
    [PROBLEM_TRANSFER_CODING] = {400, "bad_request", "Transfer-Encoding must be \"chunked\", given once",
                                 "Transfer-Encoding может быть только «chunked», один раз"},
    [PROBLEM_CHUNK] = {400, "bad_request", "a chunk of the body is malformed",
                       "часть тела запроса записана неверно"},
    [PROBLEM_TRAILER] = {400, "bad_request", "the trailer of the body is malformed or too long",
                         "окончание тела запроса записано неверно или слишком длинно"},
    [PROBLEM_SYNTAX] = {400, "bad_request", "this is not an HTTP/1.1 request", "это не запрос HTTP/1.1"},
    [PROBLEM_METHOD_FORBIDDEN] = {405, "method_not_allowed", "this method is not allowed here",
                                  "этот метод здесь не разрешён"},
    [PROBLEM_METHOD_UNKNOWN] = {501, "not_implemented", "this method is not known", "этот метод не известен"},
    [PROBLEM_CODING_UNKNOWN] = {501, "not_implemented", "of the transfer codings only \"chunked\" is known",
                                "из кодировок передачи известна только «chunked»"},
    [PROBLEM_VERSION] = {505, "http_version_not_supported", "only HTTP/1.1 and HTTP/1.0 are spoken here",
                         "здесь говорят только на HTTP/1.1 и HTTP/1.0"},
    [PROBLEM_EXPECTATION] = {417, "expectation_failed", "of the expectations only \"100-continue\" is known",
                             "из ожиданий известно только «100-continue»"},
    [PROBLEM_TARGET_LONG] = {414, "uri_too_long", "the request target is too long",
                             "адрес запроса слишком длинный"},
    [PROBLEM_HEAD_LARGE] = {431, "headers_too_large", "the head of the request is too large",
                            "заголовок запроса слишком велик"},
    [PROBLEM_FIELDS_MANY] = {431, "headers_too_large", "the request has too many header fields",
                             "в запросе слишком много полей заголовка"},
    [PROBLEM_BODY_LARGE] = {413, "payload_too_large", "the body of the request is too large",
                            "тело запроса слишком велико"},
    [PROBLEM_TIMEOUT] = {408, "request_timeout", "the request did not arrive in time",
                         "запрос не пришёл вовремя"},
    [PROBLEM_MEMORY] = {503, "unavailable", "not enough memory for this request",
                        "не хватает памяти на этот запрос"},
    [PROBLEM_ANSWER] = {500, "internal", "the answer could not be made", "ответ не удалось составить"},
};

const struct problem_text *problem_text(enum problem problem)
{
    return problem > PROBLEM_NONE && problem < PROBLEM_COUNT ? &texts[problem] : &texts[PROBLEM_NONE];
}

const char *problem_status_reason(int status)
{
    switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
    }
}
