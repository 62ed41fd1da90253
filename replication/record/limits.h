/*
 * limits.h - every size that a peer, a file or a user can ask us to hold.
 * Part of the protocol: a limit that validity depends on is the same on all nodes.
 */
#ifndef ILEA_RECORD_LIMITS_H
#define ILEA_RECORD_LIMITS_H

#include "crypto/keyring.h"

enum {
    /* One message on a link; also libzmq's MAXMSGSIZE. 256 KiB holds a 0.5 MB/s line for half a second. */
    ILEA_MESSAGE_SIZE_MAX = 256 * 1024,
    /* A whole commit, so that it always travels in one message, with room for the message's own fields. */
    ILEA_COMMIT_SIZE_MAX = 240 * 1024,
    ILEA_COMMIT_ITEMS_MAX = 1024,
    ILEA_HEADER_SIZE_MAX = 512,
    ILEA_HEADER_CRIT_MAX = 16,
    /* One item; a commit must have room for its header and signature beside it. */
    ILEA_ITEM_SIZE_MAX = 232 * 1024,
    ILEA_ITEM_OVERHEAD_MAX = 96, /* item fields around the ciphertext, the AEAD tag included */
    /* The plaintext of a change. */
    ILEA_CHANGE_SIZE_MAX = 224 * 1024,
    ILEA_CHANGE_OPS_MAX = 4096,
    ILEA_OP_REPLACES_MAX = 256,
    ILEA_VALUE_DEPTH_MAX = 3,
    ILEA_VALUE_SIZE_MAX = 128 * 1024,
    ILEA_KEY_SIZE_MAX = 1024, /* key of a keyed field, element of a set: bytes as encoded */
    ILEA_MEMBERS_MAX = 1024,  /* readers an epoch key is sealed to */
    ILEA_HEADS_MAX = 64,
    ILEA_PREDECESSORS_MAX = 1024,
    ILEA_MANIFEST_SIZE_MAX = 96 * 1024, /* signed, with all the positions it may state */
    ILEA_ROOTS_MAX = 16,
    ILEA_ADMINS_MAX = 16,
    ILEA_REVOKED_MAX = 16,    /* node keys that one manifest revokes */
    ILEA_POSITIONS_MAX = 1024, /* ends of feeds that one manifest states */
    ILEA_CODE_SIZE_MAX = 16,     /* "FR-PN" */
    ILEA_NAME_SIZE_MAX = 200,
    ILEA_ENDPOINT_SIZE_MAX = 200,
    ILEA_CARD_SIZE_MAX = 128 * 1024,
    ILEA_CARD_CHAIN_MAX = 256, /* manifests in a card: all that its agency ever made */
    ILEA_PUT_ENTRIES_MAX = 4096,
    ILEA_REASON_SIZE = 200, /* one line that says what is wrong with an input, its NUL included */
    /* Writes and replacements that one record can take in its life, a hundred years of daily edits; what
     * has more is shown empty. By its life and not by its size, because that is the same in any order. */
    ILEA_RECORD_WRITES_MAX = 1 << 20
};

_Static_assert(ILEA_COMMIT_SIZE_MAX + 4096 <= ILEA_MESSAGE_SIZE_MAX, "a commit fits a message");
_Static_assert(ILEA_ITEM_SIZE_MAX + ILEA_HEADER_SIZE_MAX + 512 <= ILEA_COMMIT_SIZE_MAX,
               "one item fits a commit");
_Static_assert(ILEA_CHANGE_SIZE_MAX + ILEA_ITEM_OVERHEAD_MAX <= ILEA_ITEM_SIZE_MAX,
               "one change fits an item");
_Static_assert(ILEA_MEMBERS_MAX * (ILEA_WRAPPED_KEY_SIZE + 3) + 8192 <= ILEA_ITEM_SIZE_MAX,
               "an epoch for all members fits an item");
_Static_assert(ILEA_POSITIONS_MAX * 79 + (ILEA_ROOTS_MAX + ILEA_ADMINS_MAX + ILEA_REVOKED_MAX) * 34
                       + ILEA_ROOTS_MAX * 69 + 1024 <= ILEA_MANIFEST_SIZE_MAX,
               "a manifest has room for all it may hold");
_Static_assert(ILEA_MANIFEST_SIZE_MAX + 1024 <= ILEA_CARD_SIZE_MAX
                   && ILEA_MANIFEST_SIZE_MAX + 4096 <= ILEA_MESSAGE_SIZE_MAX,
               "any one manifest fits a card and a message");
_Static_assert(ILEA_VALUE_SIZE_MAX + 1024 <= ILEA_CHANGE_SIZE_MAX, "one value fits a change");

#endif
