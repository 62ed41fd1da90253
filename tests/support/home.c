#include "tests/support/home.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/random.h"
#include "node/agency.h"
#include "node/audience_log.h"
#include "node/home.h"
#include "node/view.h"

static struct ilea_span
text_span(const char *text)
{
    return (struct ilea_span){ (const uint8_t *)text, strlen(text) };
}

static void
make_admins(struct ilea_test_agency *agency, unsigned count)
{
    struct ilea_manifest *manifest = &agency->manifest;
    for (unsigned i = 0; i < count; i++) {
        ILEA_TEST_OK(ilea_sign_generate(&agency->admins[i], &manifest->admins[i]));
    }
    if (count == 2 && memcmp(&manifest->admins[0], &manifest->admins[1], sizeof manifest->admins[0]) > 0) {
        struct ilea_sign_public key = manifest->admins[0];
        struct ilea_sign_secret *secret = agency->admins[0];
        manifest->admins[0] = manifest->admins[1];
        manifest->admins[1] = key;
        agency->admins[0] = agency->admins[1];
        agency->admins[1] = secret;
    }
    manifest->admin_count = count;
}

void
ilea_test_agency_make_with(struct ilea_test_agency *agency, const char *code, unsigned admins)
{
    memset(agency, 0, sizeof *agency);
    struct ilea_manifest *manifest = &agency->manifest;
    struct ilea_sign_public root, next_root;
    ILEA_TEST_OK(ilea_sign_generate(&agency->root, &root));
    ILEA_TEST_OK(ilea_sign_generate(&agency->next_root, &next_root));
    ILEA_TEST_OK(ilea_sign_generate(&agency->keys.node, &manifest->node));
    ILEA_TEST_OK(ilea_reading_generate(&agency->keys.reading, &manifest->reading));
    ILEA_TEST_OK(ilea_transport_generate(&agency->keys.transport, &manifest->transport));
    make_admins(agency, admins);
    ilea_hash_once(ILEA_DOMAIN_NETWORK, "test", 4, manifest->network.bytes);
    manifest->code = manifest->name = text_span(code);
    manifest->country = text_span("FR");
    manifest->threshold = manifest->root_count = 1;
    manifest->roots[0] = root;
    ilea_roots_hash(1, &next_root, 1, manifest->next_roots);

    ilea_test_agency_remake(agency);
}

void
ilea_test_agency_remake(struct ilea_test_agency *agency)
{
    struct ilea_manifest *manifest = &agency->manifest;
    const struct ilea_sign_secret *const roots[] = { agency->root };
    size_t card_size = 0;
    ILEA_TEST_OK(ilea_manifest_encode(manifest, agency->keys.node, roots, agency->signed_manifest,
                                      sizeof agency->signed_manifest, &agency->signed_size));
    const struct ilea_span chain = { agency->signed_manifest, agency->signed_size };
    ILEA_TEST_OK(ilea_card_encode(&chain, 1, text_span("tcp://192.0.2.1:7101"), text_span(""), 1700000000000,
                                  agency->keys.node, agency->bytes, sizeof agency->bytes, &card_size));
    const struct ilea_span bytes = { agency->bytes, card_size };
    ILEA_TEST_OK(ilea_card_decode(bytes, &agency->card));
    ILEA_TEST_OK(ilea_card_format(&agency->card, bytes, agency->text, sizeof agency->text,
                                  &agency->text_size));
}

void
ilea_test_agency_make(struct ilea_test_agency *agency, const char *code)
{
    ilea_test_agency_make_with(agency, code, 1);
}

void
ilea_test_agency_free(struct ilea_test_agency *agency)
{
    ilea_sign_secret_free(agency->root);
    ilea_sign_secret_free(agency->next_root);
    for (unsigned i = 0; i < 2; i++) ilea_sign_secret_free(agency->admins[i]);
    ilea_keys_free(&agency->keys);
}

void
ilea_test_remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char name[1024];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        int length = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (length >= (int)sizeof name) continue;
        if (unlink(name) != 0) ilea_test_remove_tree(name);
    }
    if (dir != NULL) closedir(dir);
    (void)rmdir(path);
}

void
ilea_test_copy_file(const char *from, const char *to)
{
    static char buffer[64 * 1024];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(in >= 0 && out >= 0);
    for (ssize_t size; (size = read(in, buffer, sizeof buffer)) > 0;) {
        assert_int_equal(write(out, buffer, (size_t)size), size);
    }
    close(in);
    close(out);
}

void
ilea_test_home_make_with(struct ilea_test_home *home, const char *code, unsigned admins)
{
    memset(home, 0, sizeof *home);
    (void)snprintf(home->path, sizeof home->path, "/tmp/ilea-test-XXXXXX");
    assert_non_null(mkdtemp(home->path));
    ILEA_TEST_OK(ilea_home_create(home->path));
    ilea_test_agency_make_with(&home->own, code, admins);
    home->config = (struct ilea_config){ .approvals = 1, .unverified = true };
    struct ilea_log_identity identity = { .network = home->own.manifest.network,
                                          .agency = home->own.card.agency };
    ilea_random_bytes(identity.database, sizeof identity.database);
    const struct ilea_agency_row own = { .id = identity.agency, .state = ILEA_AGENCY_SELF,
                                         .endpoint = home->own.card.endpoint, .made_ms = home->own.card.made_ms };
    const struct ilea_span manifest = { home->own.signed_manifest, home->own.signed_size };
    const struct ilea_span card = { home->own.bytes, home->own.card.size };
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home->path, "log", path);
    ILEA_TEST_OK(ilea_log_create(path, &identity, &own, manifest, card));
    ilea_test_home_open(home);
}

void
ilea_test_home_make(struct ilea_test_home *home, const char *code)
{
    ilea_test_home_make_with(home, code, 1);
}

void
ilea_test_home_node(struct ilea_test_home *home, struct ilea_node *node)
{
    *node = (struct ilea_node){ .lock = -1, .config = home->config, .keys = home->own.keys, .log = home->log,
                                .guard = home->guard, .author = home->author, .view = home->view };
    (void)snprintf(node->home, sizeof node->home, "%s", home->path);
}

void
ilea_test_home_open(struct ilea_test_home *home)
{
    char path[ILEA_PATH_SIZE];
    ilea_home_path(home->path, "log", path);
    ILEA_TEST_OK(ilea_log_open(path, false, &home->log));
    ILEA_TEST_OK(ilea_author_new(home->log, &home->own.keys, home->guard, &home->author));
}

void
ilea_test_home_drop_view(struct ilea_test_home *home)
{
    if (home->author != NULL) ilea_author_use_view(home->author, NULL);
    ilea_view_builder_free(home->builder);
    ilea_environment_close(home->view);
    home->builder = NULL;
    home->view = NULL;
}

void
ilea_test_home_close(struct ilea_test_home *home)
{
    if (home->author != NULL) ilea_author_abort(home->author);
    ilea_test_home_drop_view(home);
    ilea_author_free(home->author);
    ilea_log_close(home->log);
    home->author = NULL;
    home->log = NULL;
}

void
ilea_test_home_remove(struct ilea_test_home *home)
{
    ilea_test_home_close(home);
    ilea_test_agency_free(&home->own);
    ilea_test_remove_tree(home->path);
}

void
ilea_test_home_build(struct ilea_test_home *home)
{
    if (home->view == NULL) {
        uint32_t generation = 0;
        char path[ILEA_PATH_SIZE];
        ILEA_TEST_OK(ilea_view_current(home->path, &generation));
        ilea_view_generation_path(home->path, generation, path);
        ILEA_TEST_OK(ilea_view_open(path, false, false, &home->view));
        ILEA_TEST_OK(ilea_view_builder_new(home->log, home->view, &home->own.keys, &home->builder));
    }
    for (bool caught_up = false; !caught_up;) {
        ILEA_TEST_OK(ilea_view_builder_run(home->builder, 1 << 20, UINT64_MAX, &caught_up, &home->meta));
    }
    ilea_author_use_view(home->author, home->view);
}

void
ilea_test_home_meet(struct ilea_test_home *home, const struct ilea_test_agency *other, bool approve)
{
    struct ilea_control_agency answer;
    struct ilea_node node;
    const struct ilea_author_commit *commits;
    uint32_t count;
    const struct ilea_span text = { (const uint8_t *)other->text, other->text_size };
    ilea_test_home_node(home, &node);
    ILEA_TEST_OK(ilea_author_begin(home->author, 1700000000000));
    ILEA_TEST_OK(ilea_agency_card(&node, text, 1700000000000, &answer));
    assert_string_equal(answer.reason, "");
    ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    if (approve) ilea_test_home_grant(home, other, ILEA_AGENCY_APPROVED, ILEA_TEST_GRANT);
}

void
ilea_test_home_grant(struct ilea_test_home *home, const struct ilea_test_agency *other, enum ilea_agency_state state,
                     struct ilea_grant grant)
{
    struct ilea_agency_row row;
    const struct ilea_author_commit *commits;
    uint32_t count;
    ILEA_TEST_OK(ilea_author_begin(home->author, 1700000000000));
    struct ilea_transaction *txn = ilea_author_transaction(home->author);
    ILEA_TEST_OK(ilea_log_agency(txn, &other->card.agency, &row));
    row.state = state;
    row.grant = grant;
    ILEA_TEST_OK(ilea_log_put_agency(txn, &row));
    ILEA_TEST_OK(ilea_author_readers_changed(home->author));
    ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
}

void
ilea_test_home_carry(struct ilea_test_home *from, const struct ilea_feed_id *id, uint64_t seq,
                     struct ilea_test_home *to)
{
    struct ilea_transaction *reading, *writing;
    struct ilea_feed_row source, feed;
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(from->log), false, &reading));
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(to->log), true, &writing));
    ILEA_TEST_OK(ilea_log_feed_by_id(reading, id, &source));
    if (ilea_log_feed_by_id(writing, id, &feed) == ILEA_ERROR_NOT_FOUND) {
        feed = (struct ilea_feed_row){ .id = source.id, .origin = source.origin };
        ILEA_TEST_OK(ilea_log_add_feed(writing, &feed));
    }
    for (uint64_t next = feed.seq + 1; next <= seq && next <= source.seq; next++) {
        struct ilea_chain_row chain;
        struct ilea_log_commit commit;
        uint64_t position;
        bool changed;
        ILEA_TEST_OK(ilea_log_chain(reading, source.number, next, &chain));
        ILEA_TEST_OK(ilea_log_commit_at(reading, chain.position, &commit));
        ILEA_TEST_OK(ilea_log_append(writing, &feed, next, &chain.id, commit.bytes, &position));
        ILEA_TEST_OK(ilea_audience_index(writing, &feed, &chain.id, commit.bytes, &changed));
    }
    ILEA_TEST_OK(ilea_transaction_commit(writing));
    ilea_transaction_abort(reading);
}

void
ilea_test_put_begin(struct ilea_test_put *put, enum ilea_put_mode mode, uint32_t scope, uint32_t type,
                    const struct ilea_record_id *id)
{
    put->put.mode = mode;
    put->put.scope = scope;
    put->put.type = type;
    put->put.has_id = id != NULL;
    put->put.id = id != NULL ? *id : (struct ilea_record_id){ { 0 } };
    put->put.entry_count = 0;
    put->used = 0;
}

static struct ilea_put_entry *
add_entry(struct ilea_test_put *put, const char *name, enum ilea_put_action action)
{
    const struct ilea_field *field =
        ilea_field_by_name(ilea_type_by_number(put->put.type), text_span(name));
    if (field == NULL) fail_msg("no field %s", name);
    struct ilea_put_entry *entry = &put->put.entries[put->put.entry_count++];
    *entry = (struct ilea_put_entry){ .field = field != NULL ? field->number : 0, .action = action };
    return entry;
}

static struct ilea_span
written(struct ilea_test_put *put, const struct ilea_msgpack_writer *writer)
{
    assert_false(writer->failed);
    put->used += writer->size;
    return ilea_msgpack_written(writer);
}

static struct ilea_span
encoded_text(struct ilea_test_put *put, const char *text)
{
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, put->bytes + put->used, sizeof put->bytes - put->used);
    ilea_msgpack_put_str(&writer, text_span(text));
    return written(put, &writer);
}

void
ilea_test_put_text(struct ilea_test_put *put, const char *field, const char *text)
{
    add_entry(put, field, ILEA_PUT_SET)->value = encoded_text(put, text);
}

void
ilea_test_put_element(struct ilea_test_put *put, const char *field, const char *element)
{
    static const uint8_t one[] = { 1 };
    struct ilea_put_entry *entry = add_entry(put, field, ILEA_PUT_SET);
    entry->key = encoded_text(put, element);
    entry->value = (struct ilea_span){ one, sizeof one };
}

void
ilea_test_put_keyed(struct ilea_test_put *put, const char *field, const char *key, const char *text)
{
    struct ilea_put_entry *entry = add_entry(put, field, ILEA_PUT_SET);
    entry->key = encoded_text(put, key);
    entry->value = encoded_text(put, text);
}

void
ilea_test_put_id(struct ilea_test_put *put, const char *field, const struct ilea_record_id *id)
{
    struct ilea_put_entry *entry = add_entry(put, field, ILEA_PUT_SET);
    struct ilea_msgpack_writer writer;
    ilea_msgpack_writer_init(&writer, put->bytes + put->used, sizeof put->bytes - put->used);
    ilea_msgpack_put_bin(&writer, id->bytes, sizeof id->bytes);
    entry->value = written(put, &writer);
}

void
ilea_test_put_remove(struct ilea_test_put *put, const char *field, const char *key)
{
    struct ilea_put_entry *entry = add_entry(put, field, ILEA_PUT_REMOVE);
    if (key != NULL) entry->key = encoded_text(put, key);
}

void
ilea_test_put_only(struct ilea_test_put *put, const char *field)
{
    (void)add_entry(put, field, ILEA_PUT_ONLY);
}

enum ilea_error
ilea_test_write(struct ilea_test_home *home, const struct ilea_test_put *put,
                struct ilea_put_result *result)
{
    const struct ilea_author_commit *commits;
    uint32_t count;
    ILEA_TEST_OK(ilea_author_begin(home->author, 1700000000000));
    enum ilea_error error = ilea_author_put(home->author, &put->put, result);
    ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    bool writes = error == ILEA_ERROR_NONE && result->outcome != ILEA_PUT_UNCHANGED
        && result->outcome != ILEA_PUT_REVIEW;
    assert_true(writes == (count > 0));
    assert_true(error == ILEA_ERROR_NONE || error == ILEA_ERROR_BUSY || result->reason[0] != '\0');
    return error;
}

void
ilea_test_need(struct ilea_test_home *home, enum ilea_scope scope, const char *title,
               struct ilea_put_result *result)
{
    static struct ilea_test_put put;
    ilea_test_put_begin(&put, ILEA_PUT_CREATE, scope, ILEA_TEST_NEED, NULL);
    ilea_test_put_text(&put, "title", title);
    ILEA_TEST_OK(ilea_test_write(home, &put, result));
    assert_int_equal(result->outcome, ILEA_PUT_CREATED);
}
