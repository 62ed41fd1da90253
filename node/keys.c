#include "node/keys.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replication/record/manifest.h"

enum { FOLDER_PATH_SIZE = 1024 };

static bool
folder_path(const char *home, char path[FOLDER_PATH_SIZE])
{
    return snprintf(path, FOLDER_PATH_SIZE, "%s/keys", home) < FOLDER_PATH_SIZE;
}

enum { EARLIER_MAX = 64 }; /* transport keys before the current one that are looked for */

/* What our own manifests say of the keys that a running node has. */
struct wanted {
    struct ilea_sign_public node;
    struct ilea_transport_public transport;
    struct ilea_transport_public earlier[EARLIER_MAX]; /* those before it, the latest first */
    uint32_t earlier_count;
    struct ilea_reading_public reading;
};

/* Where a transport key stands among the earlier ones; EARLIER_MAX: it is none. */
static uint32_t
find_earlier(const struct wanted *wanted, const uint8_t key[32])
{
    for (uint32_t i = 0; i < wanted->earlier_count; i++) {
        if (memcmp(wanted->earlier[i].bytes, key, 32) == 0) return i;
    }
    return EARLIER_MAX;
}

/* The transport keys before the current one: peers that have not heard of the changes know one of them, and no other.
 * They give no authority, not even where the node key beside one was revoked: BIND is signed by the current one. */
static enum ilea_error
find_earlier_keys(struct ilea_transaction *txn, const struct ilea_agency_id *own, uint64_t newest,
                  struct wanted *wanted)
{
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    enum ilea_error error = manifest != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NO_MEMORY;
    for (uint64_t index = newest; index-- > 0 && error == ILEA_ERROR_NONE && wanted->earlier_count < EARLIER_MAX;) {
        struct ilea_span bytes;
        error = ilea_log_manifest(txn, own, index, &bytes);
        if (error == ILEA_ERROR_NONE) error = ilea_manifest_decode(bytes, manifest);
        if (error != ILEA_ERROR_NONE) break;
        bool is_known = memcmp(&manifest->transport, &wanted->transport, sizeof wanted->transport) == 0
            || find_earlier(wanted, manifest->transport.bytes) != EARLIER_MAX;
        if (!is_known) wanted->earlier[wanted->earlier_count++] = manifest->transport;
    }
    free(manifest);
    return error;
}

static enum ilea_error
find_wanted(struct ilea_log *log, struct wanted *wanted)
{
    const struct ilea_agency_id *own = &ilea_log_identity(log)->agency;
    struct ilea_transaction *txn = NULL;
    struct ilea_span bytes;
    uint64_t index;
    memset(wanted, 0, sizeof *wanted);
    struct ilea_manifest *last = malloc(sizeof *last);
    if (last == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(log), false, &txn);
    if (error == ILEA_ERROR_NONE) error = ilea_log_manifest_last(txn, own, &index, &bytes);
    if (error == ILEA_ERROR_NONE) error = ilea_manifest_decode(bytes, last);
    if (error == ILEA_ERROR_NONE) {
        wanted->node = last->node;
        wanted->transport = last->transport;
        wanted->reading = last->reading;
        error = find_earlier_keys(txn, own, last->index, wanted);
    }
    ilea_transaction_abort(txn);
    free(last);
    return error == ILEA_ERROR_NONE || error == ILEA_ERROR_NO_MEMORY ? error : ILEA_ERROR_CORRUPT;
}

static bool
is_key_file(const char *name)
{
    size_t size = strlen(name);
    return name[0] != '.' && size > 4 && size < ILEA_KEY_NAME_SIZE && strcmp(name + size - 4, ".key") == 0;
}

/* The next key file of a folder: 1, 0 at the end. What cannot be looked at is told by *error. */
static bool
next_file(DIR *folder, char name[ILEA_KEY_NAME_SIZE], struct ilea_key_file_info *info, enum ilea_error *error)
{
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (!is_key_file(entry->d_name)) continue;
        (void)snprintf(name, ILEA_KEY_NAME_SIZE, "%s", entry->d_name);
        *error = ilea_key_file_look(dirfd(folder), name, info);
        return true;
    }
    return false;
}

static bool
is_of_node(enum ilea_key_kind kind)
{
    return kind == ILEA_KEY_NODE || kind == ILEA_KEY_TRANSPORT || kind == ILEA_KEY_READING;
}

static enum ilea_error
open_folder(const char *home, DIR **folder)
{
    char path[FOLDER_PATH_SIZE];
    *folder = folder_path(home, path) ? opendir(path) : NULL;
    return *folder != NULL ? ILEA_ERROR_NONE : ILEA_ERROR_NOT_FOUND;
}

enum ilea_error
ilea_keys_need_passphrase(const char *home, bool *needed)
{
    DIR *folder;
    enum ilea_error error = open_folder(home, &folder), looked = ILEA_ERROR_NONE;
    if (error != ILEA_ERROR_NONE) return error;
    char name[ILEA_KEY_NAME_SIZE];
    struct ilea_key_file_info info;
    *needed = false;
    error = ILEA_ERROR_NOT_FOUND;
    while (next_file(folder, name, &info, &looked)) {
        if (looked != ILEA_ERROR_NONE || !is_of_node(info.kind)) continue;
        error = ILEA_ERROR_NONE;
        *needed = *needed || info.has_passphrase;
    }
    closedir(folder);
    return error;
}

enum ilea_error
ilea_keys_find(const char *folder_name, enum ilea_key_kind kind, const uint8_t *public_key,
               char name[ILEA_KEY_NAME_SIZE])
{
    DIR *folder = opendir(folder_name);
    if (folder == NULL) return ILEA_ERROR_NOT_FOUND;
    struct ilea_key_file_info info;
    enum ilea_error error = ILEA_ERROR_NOT_FOUND, looked = ILEA_ERROR_NONE;
    while (error != ILEA_ERROR_NONE && next_file(folder, name, &info, &looked)) {
        if (looked == ILEA_ERROR_PERMISSION) error = looked;
        if (looked != ILEA_ERROR_NONE || info.kind != kind) continue;
        if (public_key == NULL || memcmp(info.public_key, public_key, sizeof info.public_key) == 0) {
            error = ILEA_ERROR_NONE;
        }
    }
    closedir(folder);
    return error;
}

/* Of the earlier transport keys whose files are still there, the first one: it is in service until every peer knows the
 * newest, and peers know those that came after it only together with the newest. */
static enum ilea_error
load_earlier(DIR *folder, const char *name, const struct ilea_span *passphrase, uint32_t place, struct ilea_keys *keys)
{
    if (keys->old_transport != NULL && keys->old_place >= place) return ILEA_ERROR_NONE;
    ilea_transport_secret_free(keys->old_transport);
    keys->old_transport = NULL;
    keys->old_place = place;
    return ilea_key_file_load_transport(dirfd(folder), name, passphrase, &keys->old_transport);
}

/* One file: loaded if it is current or an earlier key that is still of use. */
static enum ilea_error
load_file(DIR *folder, const char *name, const struct ilea_key_file_info *info, const struct wanted *wanted,
          const struct ilea_span *passphrase, struct ilea_keys *keys)
{
    switch (info->kind) {
    case ILEA_KEY_NODE:
        if (memcmp(info->public_key, wanted->node.bytes, 32) != 0 || keys->node != NULL) return ILEA_ERROR_NONE;
        return ilea_key_file_load_sign(dirfd(folder), name, ILEA_KEY_NODE, passphrase, &keys->node);
    case ILEA_KEY_TRANSPORT:
        if (memcmp(info->public_key, wanted->transport.bytes, 32) == 0) {
            if (keys->transport != NULL) return ILEA_ERROR_NONE; /* a copy under a second name */
            return ilea_key_file_load_transport(dirfd(folder), name, passphrase, &keys->transport);
        }
        uint32_t place = find_earlier(wanted, info->public_key);
        return place < EARLIER_MAX ? load_earlier(folder, name, passphrase, place, keys) : ILEA_ERROR_NONE;
    case ILEA_KEY_READING:
        if (memcmp(info->public_key, wanted->reading.bytes, 32) == 0) {
            if (keys->reading != NULL) return ILEA_ERROR_NONE;
            return ilea_key_file_load_reading(dirfd(folder), name, passphrase, &keys->reading);
        }
        if (keys->old_reading_count == ILEA_OLD_READINGS_MAX) return ILEA_ERROR_LIMIT;
        enum ilea_error error = ilea_key_file_load_reading(dirfd(folder), name, passphrase,
                                                           &keys->old_readings[keys->old_reading_count]);
        if (error == ILEA_ERROR_NONE) keys->old_reading_count++;
        return error;
    case ILEA_KEY_ROOT:
    case ILEA_KEY_ADMIN: return ILEA_ERROR_NONE;
    }
    return ILEA_ERROR_NONE;
}

/* A key that we need was not found: perhaps because a file of its kind is damaged where it tells its public key. */
static enum ilea_error
find_damage(const char *home, const struct ilea_span *passphrase)
{
    DIR *folder;
    char name[ILEA_KEY_NAME_SIZE];
    struct ilea_key_file_info info;
    enum ilea_error error = ILEA_ERROR_NOT_FOUND, looked = ILEA_ERROR_NONE, tried;
    if (open_folder(home, &folder) != ILEA_ERROR_NONE) return error;
    while (error == ILEA_ERROR_NOT_FOUND && next_file(folder, name, &info, &looked)) {
        if (looked != ILEA_ERROR_NONE || !is_of_node(info.kind)) continue;
        struct ilea_sign_secret *node = NULL;
        struct ilea_transport_secret *transport = NULL;
        struct ilea_reading_secret *reading = NULL;
        if (info.kind == ILEA_KEY_NODE) {
            tried = ilea_key_file_load_sign(dirfd(folder), name, ILEA_KEY_NODE, passphrase, &node);
        } else if (info.kind == ILEA_KEY_TRANSPORT) {
            tried = ilea_key_file_load_transport(dirfd(folder), name, passphrase, &transport);
        } else {
            tried = ilea_key_file_load_reading(dirfd(folder), name, passphrase, &reading);
        }
        if (tried == ILEA_ERROR_CORRUPT) error = tried;
        ilea_sign_secret_free(node);
        ilea_transport_secret_free(transport);
        ilea_reading_secret_free(reading);
    }
    closedir(folder);
    return error;
}

enum ilea_error
ilea_keys_load(const char *home, struct ilea_log *log, const struct ilea_span *passphrase,
               struct ilea_keys *keys)
{
    *keys = (struct ilea_keys){ .node = NULL };
    struct wanted wanted;
    enum ilea_error error = find_wanted(log, &wanted);
    if (error != ILEA_ERROR_NONE) return error;
    DIR *folder;
    error = open_folder(home, &folder);
    if (error != ILEA_ERROR_NONE) return error;
    char name[ILEA_KEY_NAME_SIZE];
    struct ilea_key_file_info info;
    enum ilea_error looked = ILEA_ERROR_NONE, fault = ILEA_ERROR_NOT_FOUND;
    while (error == ILEA_ERROR_NONE && next_file(folder, name, &info, &looked)) {
        if (looked == ILEA_ERROR_NONE) {
            error = load_file(folder, name, &info, &wanted, passphrase, keys);
        } else {
            fault = looked; /* matters only if it was one of those we need */
        }
    }
    closedir(folder);
    if (error == ILEA_ERROR_NONE && (keys->node == NULL || keys->transport == NULL || keys->reading == NULL)) {
        error = fault != ILEA_ERROR_NOT_FOUND ? fault : find_damage(home, passphrase);
    }
    if (error != ILEA_ERROR_NONE) ilea_keys_free(keys);
    return error;
}

void
ilea_keys_free(struct ilea_keys *keys)
{
    ilea_sign_secret_free(keys->node);
    ilea_transport_secret_free(keys->transport);
    ilea_transport_secret_free(keys->old_transport);
    ilea_reading_secret_free(keys->reading);
    for (uint32_t i = 0; i < keys->old_reading_count; i++) ilea_reading_secret_free(keys->old_readings[i]);
    *keys = (struct ilea_keys){ .node = NULL };
}

enum ilea_error
ilea_keys_unwrap(const struct ilea_keys *keys, struct ilea_keyring *ring, const struct ilea_network_id *network,
                 const struct ilea_audience_id *audience, const uint8_t aek_commit[ILEA_HASH_SIZE],
                 const uint8_t wrapped[ILEA_WRAPPED_KEY_SIZE])
{
    enum ilea_error error =
        ilea_keyring_unwrap(ring, keys->reading, network, audience, aek_commit, wrapped);
    for (uint32_t i = 0; error == ILEA_ERROR_NOT_FOUND && i < keys->old_reading_count; i++) {
        error = ilea_keyring_unwrap(ring, keys->old_readings[i], network, audience, aek_commit, wrapped);
    }
    return error;
}

/* Whether one of our manifests names or revokes a key: files of keys that none knows yet are left alone. */
static bool
was_named(struct ilea_transaction *txn, const struct ilea_agency_id *own, const struct ilea_key_file_info *info)
{
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    struct ilea_span bytes;
    bool named = false;
    for (uint64_t index = 0; manifest != NULL && !named; index++) {
        if (ilea_log_manifest(txn, own, index, &bytes) != ILEA_ERROR_NONE
            || ilea_manifest_decode(bytes, manifest) != ILEA_ERROR_NONE) {
            break;
        }
        const uint8_t *key = info->kind == ILEA_KEY_NODE ? manifest->node.bytes : manifest->transport.bytes;
        named = memcmp(info->public_key, key, sizeof info->public_key) == 0;
        for (uint32_t i = 0; i < manifest->revoked_count; i++) {
            named = named || memcmp(info->public_key, manifest->revoked[i].bytes, sizeof info->public_key) == 0;
        }
    }
    free(manifest);
    return named;
}

/* The place of the earlier transport key that is still in service; EARLIER_MAX: none is. */
static uint32_t
find_in_service(DIR *folder, const struct wanted *wanted)
{
    char name[ILEA_KEY_NAME_SIZE];
    struct ilea_key_file_info info;
    enum ilea_error looked = ILEA_ERROR_NONE;
    uint32_t first = EARLIER_MAX;
    while (next_file(folder, name, &info, &looked)) {
        if (looked != ILEA_ERROR_NONE || info.kind != ILEA_KEY_TRANSPORT) continue;
        uint32_t place = find_earlier(wanted, info.public_key);
        if (place < EARLIER_MAX && (first == EARLIER_MAX || place > first)) first = place;
    }
    return first;
}

void
ilea_keys_retire(const char *home, struct ilea_log *log)
{
    struct wanted wanted;
    DIR *folder;
    struct ilea_transaction *txn = NULL;
    if (find_wanted(log, &wanted) != ILEA_ERROR_NONE || open_folder(home, &folder) != ILEA_ERROR_NONE) return;
    if (ilea_transaction_begin(ilea_log_environment(log), false, &txn) != ILEA_ERROR_NONE) {
        closedir(folder);
        return;
    }
    char name[ILEA_KEY_NAME_SIZE];
    struct ilea_key_file_info info;
    enum ilea_error looked = ILEA_ERROR_NONE;
    uint32_t in_service = find_in_service(folder, &wanted);
    rewinddir(folder);
    while (next_file(folder, name, &info, &looked)) {
        if (looked != ILEA_ERROR_NONE) continue;
        bool is_node = info.kind == ILEA_KEY_NODE && memcmp(info.public_key, wanted.node.bytes, 32) != 0;
        bool is_transport = info.kind == ILEA_KEY_TRANSPORT
            && memcmp(info.public_key, wanted.transport.bytes, 32) != 0
            && find_earlier(&wanted, info.public_key) != in_service;
        if ((is_node || is_transport) && was_named(txn, &ilea_log_identity(log)->agency, &info)) {
            (void)!ilea_key_file_destroy(dirfd(folder), name);
        }
    }
    ilea_transaction_abort(txn);
    closedir(folder);
}
