/* version.h: of the program, as `perigee version` says it and as plugins require it. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define PERIGEE_VERSION "0.1.0"

#endif
