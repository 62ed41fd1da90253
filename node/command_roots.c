/* command_roots.c - a new manifest of our own: what it says, root keys that sign it, next roots. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/command_act.h"

/* Public keys of next roots and their threshold: what their files say, for when these lie in several safes.
 * "next-roots.pub" at first, "next-roots-m3.pub" for those that manifest 3 committed to. */
#define NEXT_ROOTS "next-roots"

static int
open_folder(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static enum ilea_error
load_keys(struct ilea_command_act *act, struct ilea_command_manifest *manifest)
{
    const struct ilea_command *command = act->command;
    enum ilea_error error = ilea_keys_load(command->home, act->log, NULL, &manifest->keys);
    if (error != ILEA_ERROR_PASSPHRASE) return error;
    if (!ilea_command_passphrase(command, false, manifest->passphrase, &manifest->passphrase_size)) return error;
    const struct ilea_span passphrase = { manifest->passphrase, manifest->passphrase_size };
    return ilea_keys_load(command->home, act->log, &passphrase, &manifest->keys);
}

int
ilea_command_manifest_begin(struct ilea_command_act *act, struct ilea_command_manifest *manifest)
{
    memset(manifest, 0, sizeof *manifest);
    manifest->next = act->own;
    manifest->next.agency = act->own.id;
    manifest->next.index = act->own.index + 1;
    memcpy(manifest->next.prev, act->own.hash, sizeof manifest->next.prev);
    manifest->next.revoked_count = 0;
    manifest->next.position_count = 0;
    manifest->next.positions = (struct ilea_span){ NULL, 0 };
    manifest->bytes = malloc(ILEA_MANIFEST_SIZE_MAX);
    if (manifest->bytes == NULL) return ilea_command_fail(EX_OSERR, "out of memory");
    enum ilea_error error = load_keys(act, manifest);
    if (error == ILEA_ERROR_NONE) return 0;
    if (error == ILEA_ERROR_PASSPHRASE) return ilea_command_locked(act->command);
    return ilea_command_fail(ilea_exit_code(error), "the keys cannot be read: %s", ilea_error_text(error));
}

void
ilea_command_manifest_end(struct ilea_command_manifest *manifest)
{
    ilea_keys_free(&manifest->keys);
    free(manifest->positions);
    free(manifest->bytes);
    ilea_wipe(manifest->passphrase, sizeof manifest->passphrase);
    manifest->positions = manifest->bytes = NULL;
}

/* One root's secret from a folder: without a passphrase, with the node's, with one of its own.
 * NOT_FOUND: the folder has no such file. */
static enum ilea_error
load_root(const struct ilea_command_act *act, struct ilea_command_manifest *manifest, const char *folder,
          const struct ilea_sign_public *root, struct ilea_sign_secret **secret)
{
    char name[ILEA_KEY_NAME_SIZE], prompt[ILEA_KEY_NAME_SIZE + 20];
    enum ilea_error error = ilea_keys_find(folder, ILEA_KEY_ROOT, root->bytes, name);
    if (error != ILEA_ERROR_NONE) return error;
    int fd = open_folder(folder);
    if (fd < 0) return ILEA_ERROR_IO;
    const struct ilea_span known = { manifest->passphrase, manifest->passphrase_size };
    error = ilea_key_file_load_sign(fd, name, ILEA_KEY_ROOT, &known, secret);
    uint8_t bytes[ILEA_PASSPHRASE_SIZE_MAX];
    struct ilea_span own = { bytes, 0 };
    (void)snprintf(prompt, sizeof prompt, "Passphrase of %s: ", name);
    if (error == ILEA_ERROR_PASSPHRASE
        && ilea_command_secret(act->command->passphrase_file, "passphrase", prompt, false, bytes, &own.size)) {
        error = ilea_key_file_load_sign(fd, name, ILEA_KEY_ROOT, &own, secret);
    }
    ilea_wipe(bytes, sizeof bytes);
    close(fd);
    return error;
}

/* The folders to look for roots in: --roots, else keys/. */
static const char *
root_folder(const struct ilea_command *command, int index, char keys[ILEA_PATH_SIZE])
{
    if (index < command->roots_count) return command->roots[index];
    if (index > 0 || command->roots_count > 0) return NULL;
    ilea_home_path(command->home, "keys", keys);
    return keys;
}

static int
load_roots(const struct ilea_command_act *act, struct ilea_command_manifest *manifest,
           struct ilea_sign_secret *secrets[ILEA_ROOTS_MAX])
{
    const struct ilea_manifest *next = &manifest->next;
    uint32_t found = 0;
    for (uint32_t i = 0; i < next->root_count; i++) {
        char keys[ILEA_PATH_SIZE];
        const char *folder;
        for (int at = 0; secrets[i] == NULL && (folder = root_folder(act->command, at, keys)) != NULL; at++) {
            enum ilea_error error = load_root(act, manifest, folder, &next->roots[i], &secrets[i]);
            if (error == ILEA_ERROR_PASSPHRASE) {
                return ilea_command_fail(EX_NOPERM, "wrong passphrase, or none, for a root key in %s: give "
                                                    "--passphrase-file FILE", folder);
            }
            if (error != ILEA_ERROR_NONE && error != ILEA_ERROR_NOT_FOUND) {
                return ilea_command_fail(ilea_exit_code(error), "a root key in %s cannot be read: %s", folder,
                                         ilea_error_text(error));
            }
        }
        if (secrets[i] != NULL) found++;
    }
    if (found >= next->threshold) return 0;
    return ilea_command_fail(EX_NOINPUT,
                             "%u root keys must sign and %u %s found: give --roots DIR for each place where "
                             "they lie",
                             next->threshold, found, found == 1 ? "was" : "were");
}

static void
add_pairs(struct ilea_command_act *act, const struct ilea_manifest *next)
{
    struct ilea_own_keys keys;
    struct ilea_own_keys_text text;
    char index[24];
    ilea_own_keys_of_manifest(next, &keys);
    ilea_own_keys_format(&keys, &text);
    (void)snprintf(index, sizeof index, "%llu", (unsigned long long)next->index);
    ilea_command_act_add(act, "manifest", text.manifest);
    ilea_command_act_add(act, "index", index);
    ilea_command_act_add(act, "node", text.node);
    ilea_command_act_add(act, "admins", text.admins);
    ilea_command_act_add(act, "admins-more", text.admins_more[0] != '\0' ? text.admins_more : NULL);
}

int
ilea_command_manifest_sign(struct ilea_command_act *act, struct ilea_command_manifest *manifest,
                           const struct ilea_sign_secret *node)
{
    struct ilea_sign_secret *secrets[ILEA_ROOTS_MAX] = { NULL };
    const struct ilea_sign_secret *roots[ILEA_ROOTS_MAX];
    int code = load_roots(act, manifest, secrets);
    for (uint32_t i = 0; i < ILEA_ROOTS_MAX; i++) roots[i] = secrets[i];
    enum ilea_error error = ILEA_ERROR_NONE;
    if (code == 0) {
        error = ilea_manifest_encode(&manifest->next, node, roots, manifest->bytes, ILEA_MANIFEST_SIZE_MAX,
                                     &manifest->size);
    }
    for (uint32_t i = 0; i < ILEA_ROOTS_MAX; i++) ilea_sign_secret_free(secrets[i]);
    if (code != 0) return code;
    if (error != ILEA_ERROR_NONE) {
        return ilea_command_fail(ilea_exit_code(error), "the manifest cannot be made: %s", ilea_error_text(error));
    }
    add_pairs(act, &manifest->next);
    return 0;
}

/* One line of NEXT_ROOTS_FILE: a key in hex. */
static bool
read_line(const char **at, const char *end, struct ilea_span *line)
{
    if (*at == end) return false;
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    size_t size = stop != NULL ? (size_t)(stop - *at) : (size_t)(end - *at);
    *line = (struct ilea_span){ (const uint8_t *)*at, size };
    *at += size + (stop != NULL ? 1 : 0);
    return true;
}

/* The set in one file. */
static bool
read_set(int folder, const char *name, struct ilea_manifest *next)
{
    char text[2048];
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return false;
    ssize_t size = read(fd, text, sizeof text);
    close(fd);
    const char *at = text, *end = text + (size > 0 ? size : 0);
    struct ilea_span line;
    if (!read_line(&at, end, &line) || line.size < 1 || line.size > 2) return false;
    next->threshold = 0;
    next->root_count = 0;
    for (size_t i = 0; i < line.size; i++) next->threshold = next->threshold * 10 + (uint32_t)(line.data[i] - '0');
    while (next->root_count < ILEA_ROOTS_MAX && read_line(&at, end, &line)) {
        struct ilea_sign_public *root = &next->roots[next->root_count];
        if (!ilea_hex_parse(line, root->bytes, sizeof root->bytes)) return false;
        next->root_count++;
    }
    return next->root_count > 0;
}

/* The set that was committed to, in whichever of a folder's files it is: nobody else's would do. */
bool
ilea_command_read_next_roots(const char *folder, const uint8_t wanted[ILEA_HASH_SIZE], struct ilea_manifest *next)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    bool found = false;
    while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
        uint8_t hash[ILEA_HASH_SIZE];
        size_t size = strlen(entry->d_name);
        if (strncmp(entry->d_name, NEXT_ROOTS, strlen(NEXT_ROOTS)) != 0 || size < 4
            || strcmp(entry->d_name + size - 4, ".pub") != 0 || !read_set(dirfd(dir), entry->d_name, next)) {
            continue;
        }
        ilea_roots_hash(next->threshold, next->roots, next->root_count, hash);
        found = memcmp(hash, wanted, sizeof hash) == 0;
    }
    if (dir != NULL) closedir(dir);
    return found;
}

int
ilea_command_next_roots(struct ilea_command_act *act, const struct ilea_manifest *prev,
                        struct ilea_command_manifest *manifest)
{
    char keys[ILEA_PATH_SIZE];
    const char *folder;
    for (int at = 0; (folder = root_folder(act->command, at, keys)) != NULL; at++) {
        if (ilea_command_read_next_roots(folder, prev->next_roots, &manifest->next)) return 0;
    }
    ilea_home_path(act->command->home, "keys", keys);
    if (ilea_command_read_next_roots(keys, prev->next_roots, &manifest->next)) return 0;
    return ilea_command_fail(EX_NOINPUT, "no file " NEXT_ROOTS "*.pub with the next roots that manifest %llu committed "
                                         "to: give --roots DIR", (unsigned long long)prev->index);
}

static void
name_root(uint64_t index, uint32_t number, uint32_t count, char name[64])
{
    char of[24] = "";
    if (index > 0) (void)snprintf(of, sizeof of, "-m%llu", (unsigned long long)index);
    if (count == 1) {
        (void)snprintf(name, 64, "next-root%s.key", of);
    } else {
        (void)snprintf(name, 64, "next-root%s-%u.key", of, number);
    }
}

static void
name_set(uint64_t index, char name[64])
{
    char of[24] = "";
    if (index > 0) (void)snprintf(of, sizeof of, "-m%llu", (unsigned long long)index);
    (void)snprintf(name, 64, NEXT_ROOTS "%s.pub", of);
}

static int
write_next_roots(const char *folder, uint64_t index, uint32_t threshold, const struct ilea_sign_public *roots,
                 uint32_t count)
{
    char text[ILEA_ROOTS_MAX * 65 + 8], name[64];
    size_t size = (size_t)snprintf(text, sizeof text, "%u\n", threshold);
    for (uint32_t i = 0; i < count; i++) {
        ilea_command_hex(roots[i].bytes, sizeof roots[i].bytes, text + size);
        size += 2 * ILEA_SIGN_PUBLIC_SIZE;
        text[size++] = '\n';
    }
    name_set(index, name);
    enum ilea_error error = ilea_home_write_file(folder, name, text, size);
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(ilea_exit_code(error), "%s/%s cannot be written: %s", folder, name,
                             ilea_error_text(error));
}

void
ilea_command_drop_next_roots(const char *folder, uint64_t index, uint32_t made, uint32_t count)
{
    char name[64];
    int fd = open_folder(folder);
    if (fd < 0) return;
    for (uint32_t i = 0; i < made; i++) {
        name_root(index, i + 1, count, name);
        (void)!ilea_key_file_destroy(fd, name);
    }
    name_set(index, name);
    if (made == count) (void)unlinkat(fd, name, 0);
    close(fd);
}

int
ilea_command_make_next_roots(const char *folder, uint64_t index, uint32_t threshold, uint32_t count,
                             const struct ilea_span *passphrase, struct ilea_manifest *next)
{
    struct ilea_sign_public roots[ILEA_ROOTS_MAX];
    int fd = open_folder(folder);
    if (fd < 0) return ilea_command_fail(EX_NOINPUT, "no folder %s", folder);
    enum ilea_error error = ILEA_ERROR_NONE;
    char name[64] = "";
    uint32_t made = 0;
    while (made < count && error == ILEA_ERROR_NONE) {
        struct ilea_sign_secret *secret = NULL;
        name_root(index, made + 1, count, name);
        error = ilea_sign_generate(&secret, &roots[made]);
        if (error == ILEA_ERROR_NONE) error = ilea_key_file_save_sign(fd, name, ILEA_KEY_ROOT, secret, passphrase);
        ilea_sign_secret_free(secret);
        if (error == ILEA_ERROR_NONE) made++;
    }
    close(fd);
    if (error != ILEA_ERROR_NONE) {
        ilea_command_drop_next_roots(folder, index, made, count);
        return ilea_command_fail(ilea_exit_code(error), "%s/%s cannot be made: %s", folder, name,
                                 ilea_error_text(error));
    }
    ilea_roots_hash(threshold, roots, count, next->next_roots);
    return write_next_roots(folder, index, threshold, roots, count);
}
