/*
 * command_act.h - how the command line decides: it makes an act, signs it with an admin's key, and hands it to
 * whoever writes to this home; and manifests of our own, signed by the roots.
 */
#ifndef ILEA_NODE_COMMAND_ACT_H
#define ILEA_NODE_COMMAND_ACT_H

#include "node/agency.h"
#include "node/chain.h"
#include "node/command.h"
#include "node/own_keys.h"
#include "node/trust.h"
#include "replication/record/act.h"

/* A decision being made. The home is not locked: what changes meanwhile, the decision is checked against. */
struct ilea_command_act {
    const struct ilea_command *command;
    struct ilea_log *log;
    struct ilea_transaction *txn;      /* reading; what is borrowed below lives as long */
    struct ilea_manifest own;          /* our newest */
    struct ilea_sign_secret *admin;    /* NULL: none at hand */
    struct ilea_sign_public admin_public;
    struct ilea_act act;
    char *texts;                       /* the pairs' values */
    size_t texts_used;
};

/* Begin a decision of a kind. With `needs_admin` an admin's key is loaded: --admin NAME, or the only one in
 * keys/. Returns an exit code, after a message; end it in any case. */
int ilea_command_act_begin(struct ilea_command_act *act, const struct ilea_command *command, const char *kind,
                           bool needs_admin);
void ilea_command_act_end(struct ilea_command_act *act);

void ilea_command_act_subject(struct ilea_command_act *act, const struct ilea_agency_id *subject);
/* Add a pair; value NULL: none. */
void ilea_command_act_add(struct ilea_command_act *act, const char *key, const char *value);
/* Sign and hand over. Exit code, after a message; *answer is good where it is 0. */
int ilea_command_act_send(struct ilea_command_act *act, struct ilea_span payload,
                          struct ilea_control_decision *answer);
/* Sign an act that was proposed before, as it stands. */
int ilea_command_act_sign(struct ilea_command_act *act, struct ilea_span proposed,
                          struct ilea_control_decision *answer);

/*
 * Say how it went. `done`: what that means and what to do next, one line; NULL: nothing more than the first line.
 * `title`: the first line where it is about no agency.
 */
int ilea_command_act_print(const struct ilea_command *command, const struct ilea_control_decision *answer,
                           const char *title, const char *done);

/* Load an agency by code or id, that is not us. Exit code, after a message. */
int ilea_command_act_agency(struct ilea_command_act *act, const char *name, struct ilea_agency *agency);

/* An act's pairs, and what waits for signatures, as JSON (new references). */
json_t *ilea_command_pairs(const struct ilea_act *act);
json_t *ilea_command_proposals(struct ilea_command_act *act);

/* Names of admins by their keys, as the audit feed has them; `name` is cut to its size; "" if unknown. */
enum { ILEA_ADMIN_NAME_SIZE = 41 };
void ilea_command_admin_name(struct ilea_transaction *txn, const struct ilea_sign_public *admin,
                             char name[ILEA_ADMIN_NAME_SIZE]);
/* 1 to 40 of a-z, A-Z, 0-9, '-', '_' and '.', no '.' first. */
bool ilea_command_admin_name_is_valid(const char *name);

/* command_roots.c: a new manifest of our own. */
struct ilea_command_manifest {
    struct ilea_manifest next;         /* to be changed before it is signed */
    struct ilea_keys keys;             /* our current ones, where loaded */
    uint8_t *positions;                /* next.positions, where there are some (heap) */
    uint8_t *bytes;                    /* signed (heap) */
    size_t size;
    uint8_t passphrase[ILEA_PASSPHRASE_SIZE_MAX]; /* of the node's keys and of new ones; wiped at the end */
    size_t passphrase_size;
};

/* Begin one that follows our newest: as that one, without revoked keys and positions. Loads the node's keys. */
int ilea_command_manifest_begin(struct ilea_command_act *act, struct ilea_command_manifest *manifest);
void ilea_command_manifest_end(struct ilea_command_manifest *manifest);
/* Sign with root keys found in --roots DIR (else keys/), and with `node`; the act gets the pairs that name it. */
int ilea_command_manifest_sign(struct ilea_command_act *act, struct ilea_command_manifest *manifest,
                               const struct ilea_sign_secret *node);

/* The set in a folder's next-roots.pub, into next->roots and threshold; false: none, or not the one wanted. */
bool ilea_command_read_next_roots(const char *folder, const uint8_t wanted[ILEA_HASH_SIZE],
                                  struct ilea_manifest *next);
/* The root set that our manifest `prev` committed to, from the files in --roots DIR and keys/next-roots.pub: into
 * next.roots, next.threshold. */
int ilea_command_next_roots(struct ilea_command_act *act, const struct ilea_manifest *prev,
                            struct ilea_command_manifest *manifest);
/* Make `count` new next roots in `folder` and commit to them in *next. `index`: of the manifest; 0: in init. */
int ilea_command_make_next_roots(const char *folder, uint64_t index, uint32_t threshold, uint32_t count,
                                 const struct ilea_span *passphrase, struct ilea_manifest *next);
/* Take back the first `made` of `count` files of next roots that were made for manifest `index`. */
void ilea_command_drop_next_roots(const char *folder, uint64_t index, uint32_t made, uint32_t count);

#endif
