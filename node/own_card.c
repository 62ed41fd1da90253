#include "node/own_card.h"

#include <stdlib.h>
#include <string.h>

#include "node/chain.h"

bool
ilea_own_card_is_current(struct ilea_transaction *txn, const struct ilea_agency_id *own)
{
    struct ilea_card *card = malloc(sizeof *card);
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    struct ilea_span bytes;
    bool current = card != NULL && manifest != NULL && ilea_log_card(txn, &bytes) == ILEA_ERROR_NONE
        && ilea_card_decode(bytes, card) == ILEA_ERROR_NONE && ilea_chain_last(txn, own, manifest) == ILEA_ERROR_NONE
        && memcmp(card->manifest.hash, manifest->hash, sizeof manifest->hash) == 0;
    free(card);
    free(manifest);
    return current;
}

static enum ilea_error
make_card(struct ilea_node *node, struct ilea_transaction *txn, uint64_t now_ms)
{
    const struct ilea_agency_id *own = &ilea_log_identity(node->log)->agency;
    struct ilea_agency_row row;
    struct ilea_span last, *chain = NULL;
    uint8_t *card = malloc(ILEA_CARD_SIZE_MAX);
    uint64_t index = 0;
    size_t size = 0;
    enum ilea_error error = card != NULL ? ilea_log_agency(txn, own, &row) : ILEA_ERROR_NO_MEMORY;
    if (error == ILEA_ERROR_NONE) error = ilea_log_manifest_last(txn, own, &index, &last);
    if (error == ILEA_ERROR_NONE && index >= ILEA_CARD_SIZE_MAX) error = ILEA_ERROR_CORRUPT;
    if (error == ILEA_ERROR_NONE && (chain = calloc(index + 1, sizeof *chain)) == NULL) error = ILEA_ERROR_NO_MEMORY;
    for (uint64_t i = 0; i <= index && error == ILEA_ERROR_NONE; i++) error = ilea_log_manifest(txn, own, i, &chain[i]);
    if (error == ILEA_ERROR_NONE) {
        error = ilea_card_encode(chain, (uint32_t)index + 1, row.endpoint, row.lobby, now_ms, node->keys.node, card,
                                 ILEA_CARD_SIZE_MAX, &size);
    }
    if (error == ILEA_ERROR_NONE) {
        row.made_ms = now_ms;
        error = ilea_log_put_agency(txn, &row);
    }
    if (error == ILEA_ERROR_NONE) error = ilea_log_put_card(txn, (struct ilea_span){ card, size });
    free(chain);
    free(card);
    return error;
}

enum ilea_error
ilea_own_card_refresh(struct ilea_node *node, uint64_t now_ms)
{
    struct ilea_transaction *txn = NULL;
    enum ilea_error error = ilea_transaction_begin(ilea_log_environment(node->log), true, &txn);
    if (error != ILEA_ERROR_NONE) return error;
    if (ilea_own_card_is_current(txn, &ilea_log_identity(node->log)->agency)) {
        ilea_transaction_abort(txn);
        return ILEA_ERROR_NONE;
    }
    error = make_card(node, txn, now_ms);
    if (error == ILEA_ERROR_NONE) return ilea_transaction_commit(txn);
    ilea_transaction_abort(txn);
    return error;
}
