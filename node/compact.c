#include "node/compact.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/view.h"

static uint64_t
size_of(const char *folder)
{
    char path[ILEA_PATH_SIZE + 16];
    struct stat info;
    (void)snprintf(path, sizeof path, "%s/data.mdb", folder);
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

static void
remove_copy(const char *folder)
{
    char path[ILEA_PATH_SIZE + 16];
    (void)snprintf(path, sizeof path, "%s/data.mdb", folder);
    (void)unlink(path);
    (void)rmdir(folder);
}

/* An empty folder, without what an attempt that was cut short left there. */
static enum ilea_error
make_folder(const char *folder)
{
    remove_copy(folder);
    return mkdir(folder, 0700) == 0 ? ILEA_ERROR_NONE : errno == ENOSPC ? ILEA_ERROR_FULL : ILEA_ERROR_IO;
}

static enum ilea_error
compact_log(struct ilea_node *node, struct ilea_compacted *compacted)
{
    char log[ILEA_PATH_SIZE], folder[ILEA_PATH_SIZE], from[ILEA_PATH_SIZE + 16], to[ILEA_PATH_SIZE + 16];
    ilea_home_path(node->home, "log", log);
    ilea_home_path(node->home, "log/compact", folder);
    compacted->log_before = size_of(log);
    enum ilea_error error = make_folder(folder);
    if (error == ILEA_ERROR_NONE) error = ilea_environment_copy(ilea_log_environment(node->log), folder);
    (void)snprintf(from, sizeof from, "%s/data.mdb", folder);
    (void)snprintf(to, sizeof to, "%s/data.mdb", log);
    if (error == ILEA_ERROR_NONE && rename(from, to) != 0) error = ILEA_ERROR_IO;
    if (error == ILEA_ERROR_NONE) error = ilea_home_sync(node->home, "log");
    remove_copy(folder);
    compacted->log_after = size_of(log);
    return error;
}

/* A copy as the next generation: tools that have the current one open go on with it until they look again. */
static enum ilea_error
compact_view(struct ilea_node *node, struct ilea_compacted *compacted)
{
    uint32_t before = 0;
    char path[ILEA_PATH_SIZE], next[ILEA_PATH_SIZE];
    struct ilea_environment *view = NULL;
    ilea_node_drop_view(node);
    enum ilea_error error = ilea_view_current(node->home, &before);
    ilea_view_generation_path(node->home, before, path);
    ilea_view_generation_path(node->home, before + 1, next);
    compacted->view_before = size_of(path);
    if (error == ILEA_ERROR_NONE) error = ilea_view_open(path, true, false, &view);
    if (error != ILEA_ERROR_NONE) return error;
    ilea_view_remove(node->home, before + 1);
    error = make_folder(next);
    if (error == ILEA_ERROR_NONE) error = ilea_environment_copy(view, next);
    ilea_environment_close(view);
    compacted->view_after = size_of(next);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_view_switch(node->home, before + 1, before);
    } else {
        ilea_view_remove(node->home, before + 1);
    }
    return error;
}

enum ilea_error
ilea_compact(struct ilea_node *node, struct ilea_compacted *compacted)
{
    *compacted = (struct ilea_compacted){ .log_before = 0 };
    ilea_author_abort(node->author);
    enum ilea_error error = compact_view(node, compacted);
    return error == ILEA_ERROR_NONE ? compact_log(node, compacted) : error;
}
