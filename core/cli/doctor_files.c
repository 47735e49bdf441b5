/* doctor_files.c: the part of `doctor` that reads every uploaded file and compares it with the records. */
#include "cli/cli.h"
#include "store/files.h"

#include <stdio.h>

int doctor_files(struct desk *d)
{
    struct files_report r;
    if (!files_check(d->settings.data, d->db, &r, &d->error)) return desk_fail(d);
    bool sound = r.missing == 0 && r.wrong == 0;
    printf("files: %lld of %lld rows and %lld contents", (long long)(r.rows - r.missing), (long long)r.rows,
           (long long)r.contents);
    if (sound)
        printf(", none missing or damaged");
    else
        printf("; %lld missing, %lld damaged, such as %s", (long long)r.missing, (long long)r.wrong,
               r.example);
    if (r.orphans) printf("; %lld that no row names, removed by the server in an hour", (long long)r.orphans);
    puts("");
    return sound ? 0 : 1;
}
