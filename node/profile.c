#include "node/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "node/profile_state.h"
#include "node/reason.h"

enum { PROFILE_PATH_MAX = 4096, NAME_MAX_SIZE = 64 };

void
ilea_profile_id(struct ilea_span name, struct ilea_record_id *id)
{
    static const uint8_t namespace[ILEA_RECORD_ID_SIZE] = { /* ILEA_PROFILE_NAMESPACE */
        0x04, 0x2b, 0xcd, 0x6c, 0x50, 0xe0, 0x41, 0xd1,
        0xba, 0xfd, 0xc7, 0xbe, 0x24, 0x52, 0x36, 0xb0
    };
    uuid_generate_sha1(id->bytes, namespace, (const char *)name.data, name.size);
}

static uint32_t
hash_key(const char *key, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < size; i++) hash = (hash ^ (uint8_t)key[i]) * 16777619u;
    return hash;
}

struct slot *
ilea_profile_find_slot(const struct ilea_profile *profile, const char *key, size_t size)
{
    uint32_t mask = profile->table_size - 1, at = hash_key(key, size) & mask;
    while (profile->table[at].key != NULL) {
        struct slot *slot = &profile->table[at];
        if (slot->size == size && memcmp(slot->key, key, size) == 0) return slot;
        at = (at + 1) & mask;
    }
    return &profile->table[at];
}

void
ilea_profile_close(struct ilea_profile *profile)
{
    if (profile == NULL) return;
    for (uint32_t i = 0; i < profile->rule_count; i++) {
        free(profile->rules[i].codes);
        free(profile->rules[i].parts);
    }
    free(profile->rules);
    free(profile->table);
    free(profile->joins);
    free(profile->constants);
    free(profile->constant_bytes);
    json_decref(profile->spec);
    free(profile);
}

/* Folder of the running program, without a slash at the end; false if unknown. */
static bool
program_folder(char path[PROFILE_PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", path, PROFILE_PATH_MAX - 1);
    if (size <= 0) return false;
    path[size] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL) return false;
    *slash = '\0';
    return true;
}

/* NULL if there is no such file; an unreadable one is an error. */
static enum ilea_error
load(const char *folder, const char *below, const char *name, json_t **spec, char *reason)
{
    char path[PROFILE_PATH_MAX];
    int size = snprintf(path, sizeof path, "%s%s/%s.json", folder, below, name);
    *spec = NULL;
    if (size < 0 || (size_t)size >= sizeof path || access(path, F_OK) != 0) return ILEA_ERROR_NONE;
    json_error_t error;
    *spec = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (*spec != NULL) return ILEA_ERROR_NONE;
    ilea_reason(reason, "profile %s: line %d: %s", name, error.line, error.text);
    return ILEA_ERROR_INVALID;
}

static enum ilea_error
find(const char *name, json_t **spec, char *reason)
{
    const char *set = getenv("ILEA_IMPORT_DIR");
    if (set != NULL && set[0] != '\0') return load(set, "", name, spec, reason);
    char folder[PROFILE_PATH_MAX];
    enum ilea_error error = ILEA_ERROR_NONE;
    *spec = NULL;
    if (program_folder(folder)) {
        error = load(folder, "/../config/import", name, spec, reason);
        if (error == ILEA_ERROR_NONE && *spec == NULL) {
            error = load(folder, "/../../config/import", name, spec, reason);
        }
    }
    if (error != ILEA_ERROR_NONE || *spec != NULL) return error;
    return load(ILEA_IMPORT_DIR, "", name, spec, reason);
}

enum ilea_error
ilea_profile_open(const char *name, struct ilea_profile **profile, char *reason)
{
    size_t size = strlen(name);
    if (size == 0 || size > NAME_MAX_SIZE
        || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != size) {
        ilea_reason(reason, "the name of a profile has small letters, digits and '-'");
        return ILEA_ERROR_INVALID;
    }
    json_t *spec = NULL;
    enum ilea_error error = find(name, &spec, reason);
    if (error != ILEA_ERROR_NONE) return error;
    if (spec == NULL) {
        ilea_reason(reason, "no import profile '%s'", name);
        return ILEA_ERROR_NOT_FOUND;
    }
    char inner[ILEA_REASON_SIZE] = "";
    error = ilea_profile_of_spec(spec, profile, inner);
    if (error != ILEA_ERROR_NONE) ilea_reason(reason, "profile %s: %s", name, inner);
    return error;
}

const char *
ilea_profile_help(const struct ilea_profile *profile)
{
    return profile->help;
}

const struct ilea_type *
ilea_profile_type(const struct ilea_profile *profile)
{
    return profile->type;
}
