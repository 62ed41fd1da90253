#include <string.h>

#include "crypto/assert.h"
#include "crypto/key_file_format.h"

enum { FLAG_PASSPHRASE = 1 };

static const uint8_t magic[8] = { 'I', 'L', 'E', 'A', 'K', 'E', 'Y', '1' };

/* The file, byte for byte; the secret and the public key follow. */
struct head {
    uint8_t magic[8];
    uint8_t kind;
    uint8_t flags;
    uint8_t opslimit[4];
    uint8_t memlimit_kib[4];
    uint8_t salt[ILEA_KEY_FILE_SALT_SIZE];
    uint8_t nonce[ILEA_KEY_FILE_NONCE_SIZE];
    uint8_t commitment[ILEA_KEY_FILE_COMMITMENT_SIZE];
};

_Static_assert(sizeof(struct head) == ILEA_KEY_FILE_HEAD_SIZE, "struct = file");

static void
store_u32(uint8_t bytes[4], uint32_t value)
{
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t
load_u32(const uint8_t bytes[4])
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value = value << 8 | bytes[i];
    return value;
}

static bool
is_zero(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++) sum |= bytes[i];
    return sum == 0;
}

/* What only a passphrase needs: in bounds if there is one, absent if not. */
static bool
passphrase_fields_are_valid(const struct head *head)
{
    uint32_t opslimit = load_u32(head->opslimit);
    uint32_t memlimit_kib = load_u32(head->memlimit_kib);

    if (head->flags == FLAG_PASSPHRASE) {
        return opslimit >= 1 && opslimit <= ILEA_KEY_FILE_OPSLIMIT_MAX
               && memlimit_kib >= ILEA_KEY_FILE_MEMLIMIT_KIB_MIN
               && memlimit_kib <= ILEA_KEY_FILE_MEMLIMIT_KIB_MAX;
    }
    return opslimit == 0 && memlimit_kib == 0 && is_zero(head->salt, sizeof head->salt)
           && is_zero(head->nonce, sizeof head->nonce)
           && is_zero(head->commitment, sizeof head->commitment);
}

enum ilea_error
ilea_key_file_decode(struct ilea_span bytes, struct ilea_key_file *file)
{
    struct head head;
    if (bytes.size < sizeof head) return ILEA_ERROR_CORRUPT;
    memcpy(&head, bytes.data, sizeof head);

    if (memcmp(head.magic, magic, sizeof magic) != 0) return ILEA_ERROR_CORRUPT;
    if (head.kind < ILEA_KEY_ROOT || head.kind > ILEA_KEY_ADMIN) return ILEA_ERROR_CORRUPT;
    if ((head.flags & ~FLAG_PASSPHRASE) != 0) return ILEA_ERROR_CORRUPT;
    if (!passphrase_fields_are_valid(&head)) return ILEA_ERROR_CORRUPT;
    bool has_passphrase = head.flags == FLAG_PASSPHRASE;
    size_t size = has_passphrase ? ILEA_KEY_FILE_SIZE_MAX : ILEA_KEY_FILE_PLAIN_SIZE;
    if (bytes.size != size) return ILEA_ERROR_CORRUPT;

    size_t secret_size = size - sizeof head - sizeof file->public_key;
    memset(file, 0, sizeof *file);
    file->kind = (enum ilea_key_kind)head.kind;
    file->has_passphrase = has_passphrase;
    file->opslimit = load_u32(head.opslimit);
    file->memlimit_kib = load_u32(head.memlimit_kib);
    memcpy(file->salt, head.salt, sizeof file->salt);
    memcpy(file->nonce, head.nonce, sizeof file->nonce);
    memcpy(file->commitment, head.commitment, sizeof file->commitment);
    memcpy(file->secret, bytes.data + sizeof head, secret_size);
    memcpy(file->public_key, bytes.data + sizeof head + secret_size, sizeof file->public_key);
    return ILEA_ERROR_NONE;
}

size_t
ilea_key_file_encode(const struct ilea_key_file *file, uint8_t bytes[ILEA_KEY_FILE_SIZE_MAX])
{
    struct head head = { .kind = (uint8_t)file->kind,
                         .flags = file->has_passphrase ? FLAG_PASSPHRASE : 0 };
    memcpy(head.magic, magic, sizeof magic);
    store_u32(head.opslimit, file->opslimit);
    store_u32(head.memlimit_kib, file->memlimit_kib);
    memcpy(head.salt, file->salt, sizeof head.salt);
    memcpy(head.nonce, file->nonce, sizeof head.nonce);
    memcpy(head.commitment, file->commitment, sizeof head.commitment);
    ilea_assert(passphrase_fields_are_valid(&head));

    size_t size = file->has_passphrase ? ILEA_KEY_FILE_SIZE_MAX : ILEA_KEY_FILE_PLAIN_SIZE;
    size_t secret_size = size - sizeof head - sizeof file->public_key;
    memset(bytes, 0, ILEA_KEY_FILE_SIZE_MAX);
    memcpy(bytes, &head, sizeof head);
    memcpy(bytes + sizeof head, file->secret, secret_size);
    memcpy(bytes + sizeof head + secret_size, file->public_key, sizeof file->public_key);
    return size;
}
