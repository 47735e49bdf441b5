/* fault_vfs.h: SQLite's ordinary file access with an accident built in: the n-th operation of a kind fails,
 * once or from then on. https://www.sqlite.org/vfs.html; the idea is that of SQLite's own test_vfs.c. */
#ifndef TESTS_FAULT_VFS_H
#define TESTS_FAULT_VFS_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_WRITE, /* an I/O error; half of the bytes are written before */
    FAULT_FULL,  /* the same, as a full disk says it */
    FAULT_READ,
    FAULT_SYNC,
    FAULT_TRUNCATE,
    FAULT_OPEN,
    FAULT_DELETE,
    FAULT_SHM_MAP,
    FAULT_SHM_LOCK,
    FAULT_KINDS
};

/* What is to happen, and what has. Set while nobody uses the database. */
static struct {
    enum fault_kind kind;
    int at;       /* the n-th operation of that kind, from 1 */
    bool lasting; /* and all after it */
    atomic_int seen, struck;
} fault;

static inline void fault_set(enum fault_kind kind, int at, bool lasting)
{
    fault.kind = FAULT_NONE;
    atomic_store(&fault.seen, 0);
    atomic_store(&fault.struck, 0);
    fault.at = at;
    fault.lasting = lasting;
    fault.kind = kind;
}

static inline bool fault_strikes(enum fault_kind kind)
{
    bool same = fault.kind == kind || (fault.kind == FAULT_FULL && kind == FAULT_WRITE);
    if (!same) return false;
    int n = atomic_fetch_add(&fault.seen, 1) + 1;
    if (n != fault.at && !(fault.lasting && n > fault.at)) return false;
    atomic_fetch_add(&fault.struck, 1);
    return true;
}

/* ---- files: ours in front, the real one behind ---- */

struct fault_file {
    sqlite3_file base;
    sqlite3_file *real;
};

static sqlite3_vfs *fault_real_vfs;

static inline sqlite3_file *fault_real(sqlite3_file *f)
{
    return ((struct fault_file *)f)->real;
}

#define REAL(f, method, ...) (fault_real(f)->pMethods->method(fault_real(f), __VA_ARGS__))

static int fault_close(sqlite3_file *f)
{
    sqlite3_file *real = fault_real(f);
    int code = real->pMethods ? real->pMethods->xClose(real) : SQLITE_OK;
    free(real);
    return code;
}

static int fault_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return fault_strikes(FAULT_READ) ? SQLITE_IOERR_READ : REAL(f, xRead, p, n, at);
}

static int fault_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (!fault_strikes(FAULT_WRITE)) return REAL(f, xWrite, p, n, at);
    if (n > 1) REAL(f, xWrite, p, n / 2, at);
    return fault.kind == FAULT_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int fault_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return fault_strikes(FAULT_TRUNCATE) ? SQLITE_IOERR_TRUNCATE : REAL(f, xTruncate, size);
}

/* Nobody cuts the power here, so that waiting for the disk would only make the tests slow. */
static int fault_sync(sqlite3_file *f, int flags)
{
    (void)f;
    (void)flags;
    return fault_strikes(FAULT_SYNC) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int fault_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return REAL(f, xFileSize, size);
}

static int fault_lock(sqlite3_file *f, int level)
{
    return REAL(f, xLock, level);
}

static int fault_unlock(sqlite3_file *f, int level)
{
    return REAL(f, xUnlock, level);
}

static int fault_reserved(sqlite3_file *f, int *out)
{
    return REAL(f, xCheckReservedLock, out);
}

static int fault_control(sqlite3_file *f, int op, void *arg)
{
    return REAL(f, xFileControl, op, arg);
}

static int fault_sector(sqlite3_file *f)
{
    return fault_real(f)->pMethods->xSectorSize(fault_real(f));
}

static int fault_device(sqlite3_file *f)
{
    return fault_real(f)->pMethods->xDeviceCharacteristics(fault_real(f));
}

static int fault_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    if (fault_strikes(FAULT_SHM_MAP)) return SQLITE_IOERR_SHMMAP;
    return REAL(f, xShmMap, page, size, extend, out);
}

/* Only taking a lock may fail; giving one back always works, as it does in the kernel. */
static int fault_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    if ((flags & SQLITE_SHM_LOCK) && fault_strikes(FAULT_SHM_LOCK)) return SQLITE_IOERR_SHMLOCK;
    return REAL(f, xShmLock, offset, n, flags);
}

static void fault_shm_barrier(sqlite3_file *f)
{
    fault_real(f)->pMethods->xShmBarrier(fault_real(f));
}

static int fault_shm_unmap(sqlite3_file *f, int delete)
{
    return REAL(f, xShmUnmap, delete);
}

static int fault_fetch(sqlite3_file *f, sqlite3_int64 at, int n, void **out)
{
    return REAL(f, xFetch, at, n, out);
}

static int fault_unfetch(sqlite3_file *f, sqlite3_int64 at, void *p)
{
    return REAL(f, xUnfetch, at, p);
}

static const sqlite3_io_methods fault_methods = {.iVersion = 3,
                                                 .xClose = fault_close,
                                                 .xRead = fault_read,
                                                 .xWrite = fault_write,
                                                 .xTruncate = fault_truncate,
                                                 .xSync = fault_sync,
                                                 .xFileSize = fault_size,
                                                 .xLock = fault_lock,
                                                 .xUnlock = fault_unlock,
                                                 .xCheckReservedLock = fault_reserved,
                                                 .xFileControl = fault_control,
                                                 .xSectorSize = fault_sector,
                                                 .xDeviceCharacteristics = fault_device,
                                                 .xShmMap = fault_shm_map,
                                                 .xShmLock = fault_shm_lock,
                                                 .xShmBarrier = fault_shm_barrier,
                                                 .xShmUnmap = fault_shm_unmap,
                                                 .xFetch = fault_fetch,
                                                 .xUnfetch = fault_unfetch};

static int fault_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
    (void)v;
    struct fault_file *mine = (struct fault_file *)f;
    mine->base.pMethods = NULL;
    if (fault_strikes(FAULT_OPEN)) return SQLITE_CANTOPEN;
    mine->real = calloc(1, (size_t)fault_real_vfs->szOsFile);
    if (!mine->real) return SQLITE_NOMEM;
    int code = fault_real_vfs->xOpen(fault_real_vfs, name, mine->real, flags, out);
    if (code == SQLITE_OK)
        mine->base.pMethods = &fault_methods;
    else
        free(mine->real);
    return code;
}

static int fault_delete(sqlite3_vfs *v, const char *name, int sync)
{
    (void)v;
    if (fault_strikes(FAULT_DELETE)) return SQLITE_IOERR_DELETE;
    return fault_real_vfs->xDelete(fault_real_vfs, name, sync);
}

/* Becomes the default of every connection that is opened from now on. */
static inline bool fault_install(void)
{
    static sqlite3_vfs vfs;
    sqlite3_initialize();
    fault_real_vfs = sqlite3_vfs_find(NULL);
    if (!fault_real_vfs) return false;
    vfs = *fault_real_vfs;
    vfs.zName = "fault";
    vfs.szOsFile = (int)sizeof(struct fault_file);
    vfs.xOpen = fault_open;
    vfs.xDelete = fault_delete;
    vfs.pNext = NULL;
    return sqlite3_vfs_register(&vfs, 1) == SQLITE_OK;
}

#endif
