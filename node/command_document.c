/* command_document.c - attach and detach: files that belong to records. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/blob_file.h"
#include "node/command.h"
#include "node/command_document.h"
#include "node/command_send.h"
#include "node/own_keys.h"
#include "node/put_builder.h"
#include "node/value.h"

enum { SIZE_TEXT = 24 };

uint32_t
ilea_list_documents(struct ilea_snapshot *snapshot, struct ilea_listed_document listed[ILEA_DOCUMENTS_MAX])
{
    const struct ilea_record *record = ilea_snapshot_record(snapshot);
    uint32_t count = 0;
    for (uint32_t i = 0; i < record->entry_count && count < ILEA_DOCUMENTS_MAX;) {
        const struct ilea_entry *entry = &record->entries[i];
        uint32_t first, siblings = ilea_record_find(record, entry->field, entry->key, &first);
        i += siblings > 0 ? siblings : 1;
        if (entry->field != ILEA_FIELD_DOCUMENTS) continue;
        if (ilea_document_decode(entry->key, &listed[count].document) != ILEA_ERROR_NONE) continue;
        listed[count++].element = entry->key;
    }
    return count;
}

uint32_t
ilea_find_document(const struct ilea_listed_document *listed, uint32_t count, const char *name)
{
    uint32_t at = 0;
    while (at < count
           && (listed[at].document.name.size != strlen(name)
               || memcmp(listed[at].document.name.data, name, strlen(name)) != 0)) {
        at++;
    }
    return at;
}

static unsigned
percent(uint32_t held, uint32_t count)
{
    return count == 0 ? 0 : (unsigned)((uint64_t)held * 100 / count);
}

json_t *
ilea_command_documents(const struct ilea_command *command, struct ilea_snapshot *snapshot)
{
    struct ilea_listed_document listed[ILEA_DOCUMENTS_MAX];
    uint32_t count = ilea_list_documents(snapshot, listed), held, chunks;
    json_t *array = json_array();
    for (uint32_t i = 0; i < count; i++) {
        const struct ilea_document *document = &listed[i].document;
        ilea_blob_file_progress(command->home, &document->root, &held, &chunks);
        if (command->json) {
            json_array_append_new(array, json_pack("{s:s%,s:s%,s:I,s:i}", "name", document->name.data,
                                                   document->name.size, "media",
                                                   document->media.size > 0 ? (const char *)document->media.data : "",
                                                   document->media.size, "size", (json_int_t)document->size, "percent",
                                                   (int)percent(held, chunks)));
            continue;
        }
        char line[ILEA_DOCUMENT_NAME_MAX + ILEA_DOCUMENT_MEDIA_MAX + 80];
        (void)snprintf(line, sizeof line, "%.*s, %llu bytes%s%.*s, %u %% here", (int)document->name.size,
                       (const char *)document->name.data, (unsigned long long)document->size,
                       document->media.size > 0 ? ", " : "", (int)document->media.size,
                       document->media.size > 0 ? (const char *)document->media.data : "", percent(held, chunks));
        json_array_append_new(array, json_string(line));
    }
    return array;
}

/* A record of ours, and its documents. */
static int
find_own(const struct ilea_command *command, struct ilea_replica **replica, struct ilea_snapshot **snapshot,
         struct ilea_record_info *info, struct ilea_log_identity *identity)
{
    struct ilea_log *log = NULL;
    int code = ilea_command_find_record(command, command->words[1], replica, snapshot, info);
    if (code == 0) code = ilea_command_log(command, &log);
    if (code != 0) return code;
    *identity = *ilea_log_identity(log);
    ilea_log_close(log);
    if (memcmp(info->agency.bytes, identity->agency.bytes, ILEA_ID_SIZE) == 0) return 0;
    return ilea_command_fail(EX_NOPERM, "nothing was written: it belongs to %s: only they can change it",
                             info->agency_code);
}

/* The element of the field, in the builder: the name as other texts are, in one form. */
static int
encode(struct ilea_put_builder *builder, const struct ilea_document *document, struct ilea_span *element)
{
    char size[SIZE_TEXT], root[ILEA_BLOB_NAME_SIZE], key[2 * ILEA_BLOB_KEY_SIZE + 1], reason[ILEA_REASON_SIZE] = "";
    const struct ilea_field *field = ilea_field_by_number(NULL, ILEA_FIELD_DOCUMENTS);
    struct ilea_document made;
    (void)snprintf(size, sizeof size, "%llu", (unsigned long long)document->size);
    ilea_blob_file_name(&document->root, root);
    ilea_hex_format(document->key.bytes, sizeof document->key.bytes, key);
    const struct ilea_span parts[] = { document->name, document->media,
                                       { (const uint8_t *)size, strlen(size) },
                                       { (const uint8_t *)root, strlen(root) },
                                       { (const uint8_t *)key, strlen(key) } };
    enum ilea_error error = ilea_value_from_parts(builder, field, parts, element, reason);
    if (error == ILEA_ERROR_NONE) error = ilea_document_decode(*element, &made);
    ilea_wipe(key, sizeof key);
    if (error == ILEA_ERROR_NONE) return 0;
    return ilea_command_fail(EX_DATAERR,
                             "nothing was written: a name of 1 to 255 bytes and a media type of at most 100, each "
                             "on one line%s%s",
                             reason[0] != '\0' ? ": " : "", reason);
}

static void
begin(struct ilea_put_builder *builder, const struct ilea_record_info *info)
{
    ilea_put_builder_begin(builder, ILEA_PUT_UPDATE, info->type_number);
    ilea_put_builder_set_id(builder, &info->id);
}

static int
write_element(const struct ilea_command *command, struct ilea_put_builder *builder, enum ilea_put_action action,
              struct ilea_span element, struct ilea_command_written *written)
{
    *written = (struct ilea_command_written){ .is_written = false };
    const struct ilea_field *field = ilea_field_by_number(NULL, ILEA_FIELD_DOCUMENTS);
    char reason[ILEA_REASON_SIZE] = "out of memory";
    const struct ilea_put_entry remove = { .field = ILEA_FIELD_DOCUMENTS, .action = ILEA_PUT_REMOVE, .key = element };
    enum ilea_error error = action == ILEA_PUT_SET ? ilea_value_put_encoded(builder, field, element, reason)
                                                   : ilea_put_builder_add(builder, field, &remove, reason);
    if (error != ILEA_ERROR_NONE) return ilea_command_fail(EX_DATAERR, "nothing was written: %s", reason);
    return ilea_command_write(command, NULL, builder->put, written);
}

static void
print_changed(const struct ilea_command *command, const char *what, const struct ilea_command_written *written,
              struct ilea_span name, uint64_t size)
{
    if (command->json) {
        ilea_command_print(json_pack("{s:{s:s,s:s%,s:I},s:o*}", what, "ref", written->result.ref, "name", name.data,
                                     name.size, "size", (json_int_t)size, "releases",
                                     ilea_command_send_json(&written->send)));
    } else {
        (void)printf("%s %s %.*s, %llu bytes\n", written->result.ref, what, (int)name.size, (const char *)name.data,
                     (unsigned long long)size);
        ilea_command_send_print(&written->send);
    }
}

static void
show_sealed(void *context, uint32_t done)
{
    ilea_progress_show(context, "chunks", done);
}

static int
make_failed(enum ilea_error error, const char *path)
{
    switch ((int)error) {
    case ILEA_ERROR_INVALID:
        return ilea_command_fail(EX_DATAERR, "nothing was written: %s is no plain file, is empty, or changed meanwhile",
                                 path);
    case ILEA_ERROR_LIMIT:
        return ilea_command_fail(EX_DATAERR, "nothing was written: %s has more than %llu bytes, the most there can be",
                                 path, (unsigned long long)ILEA_DOCUMENT_SIZE_MAX);
    default:
        return ilea_command_fail(ilea_exit_code(error), "nothing was written: %s: %s", path, ilea_error_text(error));
    }
}

static int
attach(const struct ilea_command *command, const struct ilea_record_info *info,
       const struct ilea_log_identity *identity, int file, struct ilea_put_builder *builder,
       struct ilea_document *document)
{
    struct ilea_progress progress;
    struct ilea_span element;
    struct ilea_command_written written;
    begin(builder, info);
    int code = encode(builder, document, &element); /* before the work: is it a name? */
    if (code != 0) return code;
    ilea_progress_begin(&progress);
    enum ilea_error error =
        ilea_blob_file_make(command->home, &identity->network, file, document, show_sealed, &progress);
    ilea_progress_end(&progress);
    if (error != ILEA_ERROR_NONE) return make_failed(error, command->words[2]);
    begin(builder, info);
    code = encode(builder, document, &element);
    if (code != 0) return code;
    code = write_element(command, builder, ILEA_PUT_SET, element, &written);
    if (code != 0 && code != EX_SOFTWARE && code != EX_IOERR) { /* it was refused: else the record may name it */
        (void)!ilea_blob_file_remove(command->home, &document->root);
    }
    if (code == 0) print_changed(command, "attached", &written, document->name, document->size);
    ilea_command_send_end(&written.send);
    return code;
}

int
ilea_command_attach(const struct ilea_command *command)
{
    if (command->word_count != 3) return ilea_command_usage("attach takes a ref and a file");
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_record_info info;
    struct ilea_log_identity identity;
    struct ilea_listed_document listed[ILEA_DOCUMENTS_MAX];
    struct ilea_put_builder builder = { .put = NULL };
    const char *path = command->words[2], *slash = strrchr(path, '/');
    const char *name = command->name != NULL ? command->name : slash != NULL ? slash + 1 : path;
    struct stat status;
    int file = -1, code = find_own(command, &replica, &snapshot, &info, &identity);
    uint32_t count = code == 0 ? ilea_list_documents(snapshot, listed) : 0;
    if (code == 0 && count == ILEA_DOCUMENTS_MAX) {
        code = ilea_command_fail(EX_DATAERR, "nothing was written: %s has %d documents, the most there can be",
                                 info.ref, ILEA_DOCUMENTS_MAX);
    }
    if (code == 0 && ilea_find_document(listed, count, name) < count) {
        code = ilea_command_fail(EX_CANTCREAT, "nothing was written: %s has a document %s: detach it, or give --name",
                                 info.ref, name);
    }
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    if (code == 0) file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (code == 0 && (file < 0 || fstat(file, &status) != 0)) {
        code = ilea_command_fail(errno == EACCES ? EX_NOPERM : EX_NOINPUT, "cannot read %s: %s", path, strerror(errno));
    }
    if (code == 0 && (!S_ISREG(status.st_mode) || status.st_size == 0)) code = make_failed(ILEA_ERROR_INVALID, path);
    if (code == 0 && (uint64_t)status.st_size > ILEA_DOCUMENT_SIZE_MAX) code = make_failed(ILEA_ERROR_LIMIT, path);
    if (code == 0 && ilea_put_builder_init(&builder) != ILEA_ERROR_NONE) {
        code = ilea_command_fail(EX_OSERR, "out of memory");
    }
    if (code == 0) {
        struct ilea_document document = { .name = { (const uint8_t *)name, strlen(name) }, .size = 1 };
        if (command->media != NULL) {
            document.media = (struct ilea_span){ (const uint8_t *)command->media, strlen(command->media) };
        }
        code = attach(command, &info, &identity, file, &builder, &document);
        ilea_wipe(&document.key, sizeof document.key);
    }
    if (file >= 0) close(file);
    ilea_put_builder_deinit(&builder);
    return code;
}

int
ilea_command_detach(const struct ilea_command *command)
{
    if (command->word_count != 3) return ilea_command_usage("detach takes a ref and the name of a document");
    struct ilea_replica *replica = NULL;
    struct ilea_snapshot *snapshot = NULL;
    struct ilea_record_info info;
    struct ilea_log_identity identity;
    struct ilea_listed_document listed[ILEA_DOCUMENTS_MAX];
    struct ilea_command_written written;
    struct ilea_put_builder builder = { .put = NULL };
    int code = find_own(command, &replica, &snapshot, &info, &identity);
    uint32_t count = code == 0 ? ilea_list_documents(snapshot, listed) : 0;
    uint32_t at = ilea_find_document(listed, count, command->words[2]);
    if (code == 0 && at == count) {
        code = ilea_command_fail(EX_NOINPUT, "%s has no document %s; see ilea show", info.ref, command->words[2]);
    }
    if (code == 0 && ilea_put_builder_init(&builder) != ILEA_ERROR_NONE) {
        code = ilea_command_fail(EX_OSERR, "out of memory");
    }
    if (code == 0) {
        begin(&builder, &info);
        code = write_element(command, &builder, ILEA_PUT_REMOVE, listed[at].element, &written);
        if (code == 0) {
            print_changed(command, "detached", &written, listed[at].document.name, listed[at].document.size);
        }
        ilea_command_send_end(&written.send);
    }
    ilea_put_builder_deinit(&builder);
    ilea_snapshot_end(snapshot);
    ilea_replica_close(replica);
    return code;
}
