#include "node/own_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_DIGITS = 2 * ILEA_SIGN_PUBLIC_SIZE, FIRST_ADMINS = 15 };

_Static_assert((int)ILEA_ADMINS_MAX <= FIRST_ADMINS + 1, "two pairs hold all admins");
_Static_assert(FIRST_ADMINS * KEY_DIGITS <= (int)ILEA_ACT_VALUE_MAX, "a value holds them");

void
ilea_hex_format(const uint8_t *bytes, size_t size, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * size] = '\0';
}

static int
digit_of(uint8_t character)
{
    if (character >= '0' && character <= '9') return character - '0';
    if (character >= 'a' && character <= 'f') return character - 'a' + 10;
    if (character >= 'A' && character <= 'F') return character - 'A' + 10;
    return -1;
}

bool
ilea_hex_parse(struct ilea_span text, uint8_t *bytes, size_t size)
{
    if (text.size != 2 * size) return false;
    for (size_t i = 0; i < size; i++) {
        int high = digit_of(text.data[2 * i]), low = digit_of(text.data[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void
ilea_own_keys_of_manifest(const struct ilea_manifest *manifest, struct ilea_own_keys *keys)
{
    *keys = (struct ilea_own_keys){ .node = manifest->node, .admin_count = manifest->admin_count };
    memcpy(keys->manifest, manifest->hash, sizeof keys->manifest);
    memcpy(keys->admins, manifest->admins, manifest->admin_count * sizeof *keys->admins);
}

void
ilea_own_keys_format(const struct ilea_own_keys *keys, struct ilea_own_keys_text *text)
{
    *text = (struct ilea_own_keys_text){ .manifest = "" };
    ilea_hex_format(keys->manifest, sizeof keys->manifest, text->manifest);
    ilea_hex_format(keys->node.bytes, sizeof keys->node.bytes, text->node);
    for (uint32_t i = 0; i < keys->admin_count; i++) {
        char *to = i < FIRST_ADMINS ? text->admins + (size_t)i * KEY_DIGITS : text->admins_more;
        ilea_hex_format(keys->admins[i].bytes, sizeof keys->admins[i].bytes, to);
    }
}

static bool
take_admins(struct ilea_span digits, struct ilea_own_keys *keys)
{
    if (digits.size % KEY_DIGITS != 0) return false;
    for (size_t at = 0; at < digits.size; at += KEY_DIGITS) {
        if (keys->admin_count == ILEA_ADMINS_MAX) return false;
        struct ilea_span one = { digits.data + at, KEY_DIGITS };
        if (!ilea_hex_parse(one, keys->admins[keys->admin_count].bytes, ILEA_SIGN_PUBLIC_SIZE)) return false;
        keys->admin_count++;
    }
    return true;
}

bool
ilea_own_keys_of_act(const struct ilea_act *act, struct ilea_own_keys *keys)
{
    *keys = (struct ilea_own_keys){ .admin_count = 0 };
    return ilea_hex_parse(ilea_act_value(act, "manifest"), keys->manifest, sizeof keys->manifest)
        && ilea_hex_parse(ilea_act_value(act, "node"), keys->node.bytes, sizeof keys->node.bytes)
        && take_admins(ilea_act_value(act, "admins"), keys)
        && take_admins(ilea_act_value(act, "admins-more"), keys);
}

bool
ilea_own_keys_equal(const struct ilea_own_keys *one, const struct ilea_own_keys *other)
{
    return memcmp(one->manifest, other->manifest, sizeof one->manifest) == 0
        && memcmp(one->node.bytes, other->node.bytes, sizeof one->node.bytes) == 0
        && one->admin_count == other->admin_count
        && memcmp(one->admins, other->admins, one->admin_count * sizeof *one->admins) == 0;
}

enum ilea_error
ilea_own_keys_at(struct ilea_transaction *txn, const struct ilea_agency_id *agency, uint64_t index,
                 struct ilea_own_keys *keys)
{
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    struct ilea_span bytes;
    if (manifest == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = ilea_log_manifest(txn, agency, index, &bytes);
    if (error == ILEA_ERROR_NONE && ilea_manifest_decode(bytes, manifest) != ILEA_ERROR_NONE) {
        error = ILEA_ERROR_CORRUPT;
    }
    if (error == ILEA_ERROR_NONE) ilea_own_keys_of_manifest(manifest, keys);
    free(manifest);
    return error;
}

enum ilea_error
ilea_own_keys_by_hash(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
                      const uint8_t hash[ILEA_HASH_SIZE], struct ilea_own_keys *keys)
{
    enum ilea_error error = ILEA_ERROR_NONE;
    for (uint64_t index = 0; error == ILEA_ERROR_NONE; index++) {
        error = ilea_own_keys_at(txn, agency, index, keys);
        if (error == ILEA_ERROR_NONE && memcmp(keys->manifest, hash, ILEA_HASH_SIZE) == 0) break;
    }
    return error;
}
