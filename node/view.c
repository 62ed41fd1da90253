#include "node/view.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replication/reader/snapshot.h"

void
ilea_view_generation_path(const char *home, uint32_t generation, char path[ILEA_PATH_SIZE])
{
    char name[32];
    (void)snprintf(name, sizeof name, "view/%u", generation);
    ilea_home_path(home, name, path);
}

void
ilea_view_remove(const char *home, uint32_t generation)
{
    char path[ILEA_PATH_SIZE], file[ILEA_PATH_SIZE + 16];
    ilea_view_generation_path(home, generation, path);
    (void)snprintf(file, sizeof file, "%s/data.mdb", path);
    (void)unlink(file);
    (void)snprintf(file, sizeof file, "%s/lock.mdb", path);
    (void)unlink(file);
    (void)rmdir(path);
}

enum ilea_error
ilea_view_make(const char *home, uint32_t generation)
{
    char path[ILEA_PATH_SIZE];
    ilea_view_remove(home, generation); /* of an attempt that was cut short */
    ilea_view_generation_path(home, generation, path);
    struct ilea_environment *environment = NULL;
    enum ilea_error error = ilea_view_open(path, false, true, &environment);
    ilea_environment_close(environment);
    return error;
}

enum ilea_error
ilea_view_switch(const char *home, uint32_t generation, uint32_t before)
{
    char text[16];
    int length = snprintf(text, sizeof text, "%u\n", generation);
    enum ilea_error error = ilea_home_write_file(home, "view/current", text, (size_t)length);
    if (error == ILEA_ERROR_NONE && before != 0) ilea_view_remove(home, before);
    return error;
}

enum ilea_error
ilea_view_current(const char *home, uint32_t *generation)
{
    char path[ILEA_PATH_SIZE];
    enum ilea_error error = ilea_view_path(home, path, sizeof path, generation);
    if (error == ILEA_ERROR_NONE) {
        struct stat info;
        if (stat(path, &info) == 0) return ILEA_ERROR_NONE;
        error = ILEA_ERROR_NOT_FOUND; /* somebody deleted it: it is rebuilt */
    }
    if (error != ILEA_ERROR_NOT_FOUND && error != ILEA_ERROR_CORRUPT) return error;
    *generation = 1;
    char folder[ILEA_PATH_SIZE];
    ilea_home_path(home, "view", folder);
    (void)mkdir(folder, 0700);
    error = ilea_view_make(home, *generation);
    return error == ILEA_ERROR_NONE ? ilea_view_switch(home, *generation, 0) : error;
}
