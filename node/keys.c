#include "node/keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int
open_folder(const char *home)
{
    char path[1024];
    if (snprintf(path, sizeof path, "%s/keys", home) >= (int)sizeof path) return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

enum ilea_error
ilea_keys_need_passphrase(const char *home, bool *needed)
{
    int folder = open_folder(home);
    if (folder < 0) return ILEA_ERROR_NOT_FOUND;
    enum ilea_error error = ilea_key_file_needs_passphrase(folder, ILEA_KEY_NAME_NODE, needed);
    close(folder);
    return error;
}

enum ilea_error
ilea_keys_load(const char *home, const struct ilea_span *passphrase, struct ilea_keys *keys)
{
    *keys = (struct ilea_keys){ .node = NULL };
    int folder = open_folder(home);
    if (folder < 0) return ILEA_ERROR_NOT_FOUND;
    enum ilea_error error = ilea_key_file_load_sign(folder, ILEA_KEY_NAME_NODE, ILEA_KEY_NODE,
                                                    passphrase, &keys->node);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_key_file_load_transport(folder, ILEA_KEY_NAME_TRANSPORT, passphrase,
                                             &keys->transport);
    }
    if (error == ILEA_ERROR_NONE) {
        error = ilea_key_file_load_reading(folder, ILEA_KEY_NAME_READING, passphrase, &keys->reading);
    }
    close(folder);
    if (error != ILEA_ERROR_NONE) ilea_keys_free(keys);
    return error;
}

void
ilea_keys_free(struct ilea_keys *keys)
{
    ilea_sign_secret_free(keys->node);
    ilea_transport_secret_free(keys->transport);
    ilea_reading_secret_free(keys->reading);
    *keys = (struct ilea_keys){ .node = NULL };
}
