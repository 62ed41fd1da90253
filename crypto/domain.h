/*
 * domain.h - every use of a hash, signature, AEAD or key derivation has a
 * domain of its own, so that bytes made for one purpose mean nothing to another.
 * The texts are part of the protocol (replication/PROTOCOL.md, "Domains").
 */
#ifndef ILEA_CRYPTO_DOMAIN_H
#define ILEA_CRYPTO_DOMAIN_H

#include "include/ilea/span.h"

#define ILEA_DOMAIN_TABLE(X)                       \
    X(NETWORK,       "ilea/network/v1")            \
    X(AGENCY,        "ilea/agency/v1")             \
    X(MANIFEST_SIG,  "ilea/manifest-sig/v1")       \
    X(MANIFEST_POP,  "ilea/manifest-pop/v1")       \
    X(ROOTS,         "ilea/roots/v1")              \
    X(FEED,          "ilea/feed/v1")               \
    X(COMMIT,        "ilea/commit/v1")             \
    X(COMMIT_SIG,    "ilea/commit-sig/v1")         \
    X(LEAF,          "ilea/leaf/v1")               \
    X(ITEMS,         "ilea/items/v1")              \
    X(AUDIENCE,      "ilea/audience/v1")           \
    X(EPOCH_COMMIT,  "ilea/aek-commit/v1")         \
    X(EPOCH_SEAL,    "ilea/aek/v1")                \
    X(ITEM_AEAD,     "ilea/item/v1")               \
    X(NONCE,         "ilea/nonce/v1")              \
    X(BIND_SIG,      "ilea/bind/v1")               \
    X(SESSION,       "ilea/session/v1")            \
    X(FRONTIER,      "ilea/frontier/v1")           \
    X(RECORD,        "ilea/record/v1")             \
    X(VIEW,          "ilea/view/v1")               \
    X(CARD,          "ilea/card/v1")               \
    X(KEY_FILE,      "ilea/key-file/v1")           \
    X(FINGERPRINT,   "ilea/fingerprint/v1")        \
    X(STORED,        "ilea/stored/v1")             \
    X(FORK,          "ilea/fork/v1")               \
    X(ACT,           "ilea/act/v1")                \
    X(ADMIN_SIG,     "ilea/admin-sig/v1")          \
    X(AUDIT,         "ilea/audit/v1")              \
    X(AUDIT_SIG,     "ilea/audit-sig/v1")          \
    X(SAS,           "ilea/sas/v1")                \
    X(LOBBY,         "ilea/lobby/v1")              \
    X(LOBBY_SIG,     "ilea/lobby-sig/v1")          \
    X(INVITE,        "ilea/invite/v1")             \
    X(SIDE,          "ilea/side/v1")               \
    X(BUNDLE,        "ilea/bundle/v1")             \
    X(BUNDLE_SIG,    "ilea/bundle-sig/v1")         \
    X(RECEIPT,       "ilea/receipt/v1")            \
    X(RECEIPT_SIG,   "ilea/receipt-sig/v1")        \
    X(RECEIPT_SEAL,  "ilea/receipt-seal/v1")       \
    X(ERASE,         "ilea/erase/v1")              \
    X(RELEASE,       "ilea/release/v1")            \
    X(RELEASE_BASE,  "ilea/release-base/v1")       \
    X(BLOB,          "ilea/blob/v1")

enum ilea_domain {
#define X(name, text) ILEA_DOMAIN_##name,
    ILEA_DOMAIN_TABLE(X)
#undef X
    ILEA_DOMAIN_COUNT
};

/* The domain's text, static storage, 1 to 63 bytes. */
struct ilea_span ilea_domain_text(enum ilea_domain domain);

#endif
