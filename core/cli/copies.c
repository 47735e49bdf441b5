/* copies.c: backup and restore. */
#include "cli/cli.h"

#include <stdio.h>
#include <sys/stat.h>

static int backup(int argc, char **argv)
{
    struct options o;
    struct desk d;
    if (!options_parse(argc, argv, "data= config= to=", &o)) return 2;
    if (!options_need(&o, &command_backup, "to")) return 2;
    int code = desk_open_reading(&d, &o);
    if (code == 0 && store_backup(d.db, d.settings.data, option(&o, "to", ""), &d.error))
        printf("%s: written and checked\n", option(&o, "to", ""));
    else if (code == 0)
        code = desk_fail(&d);
    desk_close(&d);
    return code;
}

static int restore(int argc, char **argv)
{
    struct options o;
    struct desk d;
    if (!options_parse(argc, argv, "data= config= from=", &o)) return 2;
    if (!options_need(&o, &command_restore, "from")) return 2;
    int code = desk_start(&d, &o);
    if (code == 0 && store_restore(option(&o, "from", ""), d.settings.data, &d.error))
        printf("%s: restored and checked\n", d.settings.data);
    else if (code == 0)
        code = desk_fail(&d);
    desk_close(&d);
    return code;
}

const struct command command_backup = {
    "backup", "--data DIR --to FOLDER",
    "copy database and files into a new folder while they are used, and check the copy", backup};
const struct command command_restore = {"restore", "--from FOLDER --data DIR",
                                        "make a data folder from a backup; one that is in use is not touched",
                                        restore};
