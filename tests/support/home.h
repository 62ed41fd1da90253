/*
 * home.h - a node's home in a temporary folder, other agencies and their cards, puts to write.
 *
 * Everything here fails the test that calls it when something goes wrong.
 */
#ifndef ILEA_TEST_HOME_H
#define ILEA_TEST_HOME_H

#include "node/node.h"
#include "node/view_builder.h"
#include "replication/merge/record.h"
#include "replication/record/put.h"

#define ILEA_TEST_OK(call) assert_int_equal((call), ILEA_ERROR_NONE)

struct ilea_test_agency {
    struct ilea_sign_secret *root, *next_root;
    struct ilea_sign_secret *admins[2]; /* in the order of their public keys */
    struct ilea_keys keys;
    struct ilea_manifest manifest;
    uint8_t signed_manifest[8192];
    size_t signed_size;
    uint8_t bytes[ILEA_CARD_SIZE_MAX];
    struct ilea_card card;      /* borrows bytes */
    char text[2 * ILEA_CARD_SIZE_MAX];
    size_t text_size;           /* of the card as text */
};

/* `code` must outlive it. With one admin, or with both. */
void ilea_test_agency_make(struct ilea_test_agency *agency, const char *code);
void ilea_test_agency_make_with(struct ilea_test_agency *agency, const char *code, unsigned admins);
/* Sign its first manifest and its card again, after a change. */
void ilea_test_agency_remake(struct ilea_test_agency *agency);
void ilea_test_agency_free(struct ilea_test_agency *agency);

struct ilea_test_home {
    char path[64];
    struct ilea_test_agency own;
    struct ilea_log *log;
    struct ilea_guard *guard;   /* the test's; NULL: none */
    struct ilea_author *author;
    struct ilea_environment *view;
    struct ilea_view_builder *builder;
    struct ilea_view_meta meta; /* after the last build */
    struct ilea_config config;
};

void ilea_test_home_make(struct ilea_test_home *home, const char *code);
void ilea_test_home_make_with(struct ilea_test_home *home, const char *code, unsigned admins);
/* The opened home as a node; borrows all, is not to be closed. */
void ilea_test_home_node(struct ilea_test_home *home, struct ilea_node *node);
void ilea_test_home_remove(struct ilea_test_home *home);
/* Close and open what uses the log; the view is opened by build. */
void ilea_test_home_close(struct ilea_test_home *home);
void ilea_test_home_open(struct ilea_test_home *home);
/* Bring the view up to the log and let the author use it. */
void ilea_test_home_build(struct ilea_test_home *home);
/* Forget the view. */
void ilea_test_home_drop_view(struct ilea_test_home *home);

void ilea_test_remove_tree(const char *path);
void ilea_test_copy_file(const char *from, const char *to);

/* Add another agency's card, and approve it if asked to, in a group commit of its own. */
void ilea_test_home_meet(struct ilea_test_home *home, const struct ilea_test_agency *other, bool approve);
/* Without asking admins: its state and what it may do. */
#define ILEA_TEST_GRANT ((struct ilea_grant){ .scopes = 15, .tlp_max = 2 })
void ilea_test_home_grant(struct ilea_test_home *home, const struct ilea_test_agency *other,
                          enum ilea_agency_state state, struct ilea_grant grant);
/* Append commits of a feed of one home's log to another's, up to `seq`. */
void ilea_test_home_carry(struct ilea_test_home *from, const struct ilea_feed_id *feed, uint64_t seq,
                          struct ilea_test_home *to);

/* Large: make it static. */
struct ilea_test_put {
    struct ilea_put put;
    uint8_t bytes[64 * 1024];
    size_t used;
};

enum { ILEA_TEST_NEED = 6, ILEA_TEST_LINK = 21 };

/* `id` NULL: none. */
void ilea_test_put_begin(struct ilea_test_put *put, enum ilea_put_mode mode, uint32_t scope, uint32_t type,
                         const struct ilea_record_id *id);
void ilea_test_put_text(struct ilea_test_put *put, const char *field, const char *text);
void ilea_test_put_element(struct ilea_test_put *put, const char *field, const char *element);
void ilea_test_put_keyed(struct ilea_test_put *put, const char *field, const char *key, const char *text);
void ilea_test_put_id(struct ilea_test_put *put, const char *field, const struct ilea_record_id *id);
/* key NULL: none. */
void ilea_test_put_remove(struct ilea_test_put *put, const char *field, const char *key);
void ilea_test_put_only(struct ilea_test_put *put, const char *field);

/* Write it in a group commit of its own; returns what ilea_author_put() did. */
enum ilea_error ilea_test_write(struct ilea_test_home *home, const struct ilea_test_put *put,
                                struct ilea_put_result *result);
/* A need with a title, created and committed. */
void ilea_test_need(struct ilea_test_home *home, enum ilea_scope scope, const char *title,
                    struct ilea_put_result *result);

#endif
