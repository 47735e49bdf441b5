/* problem.h: what the server itself says when a request cannot reach the application. */
#ifndef HTTP_PROBLEM_H
#define HTTP_PROBLEM_H

enum problem {
    PROBLEM_NONE,
    PROBLEM_REQUEST_LINE,
    PROBLEM_CONTROL_BYTE,
    PROBLEM_BARE_LF,
    PROBLEM_BARE_CR,
    PROBLEM_OBS_FOLD,
    PROBLEM_FIELD_NAME,
    PROBLEM_TARGET,
    PROBLEM_TARGET_ESCAPE,
    PROBLEM_HOST,
    PROBLEM_CONTENT_LENGTH,
    PROBLEM_LENGTH_AND_CODING,
    PROBLEM_TRANSFER_CODING,
    PROBLEM_CHUNK,
    PROBLEM_TRAILER,
    PROBLEM_SYNTAX,
    PROBLEM_METHOD_FORBIDDEN,
    PROBLEM_METHOD_UNKNOWN,
    PROBLEM_CODING_UNKNOWN,
    PROBLEM_VERSION,
    PROBLEM_EXPECTATION,
    PROBLEM_TARGET_LONG,
    PROBLEM_HEAD_LARGE,
    PROBLEM_FIELDS_MANY,
    PROBLEM_BODY_LARGE,
    PROBLEM_TIMEOUT,
    PROBLEM_MEMORY,
    PROBLEM_ANSWER,
    PROBLEM_COUNT
};

struct problem_text {
    int status;
    const char *code; /* of api.md §4 where there is one */
    const char *en, *ru;
};

/* Never NULL. */
const struct problem_text *problem_text(enum problem problem);

/* "Bad Request" …; "Unknown" for a status that nobody has named. */
const char *problem_status_reason(int status);

#endif
