/* files.h: what files.c and download.c share. */
#ifndef API_FILES_H
#define API_FILES_H

#include "api/app.h"
#include "record/files.h"

/* The file of {id}, if the caller may read it; else ERROR_NOT_FOUND. */
bool file_find(struct call *c, struct file_row *f);

/* download.c: GET /files/{id}. */
bool file_download(struct call *c);

#endif
