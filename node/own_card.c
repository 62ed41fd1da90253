#include "node/own_card.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/chain.h"

bool
ilea_endpoint_is_dialable(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    const struct ilea_span span = { (const uint8_t *)endpoint, strlen(endpoint) };
    if (!ilea_endpoint_is_valid(span)) return false;
    if (endpoint[0] == '\0') return true;
    char address[ILEA_ENDPOINT_SIZE_MAX];
    uint8_t bytes[16], nowhere[16] = { 0 };
    const char *from = endpoint + strlen("tcp://");
    size_t size = (size_t)(colon - from);
    bool six = from[0] == '[' && from[size - 1] == ']';
    (void)snprintf(address, sizeof address, "%.*s", (int)(six ? size - 2 : size), six ? from + 1 : from);
    int family = six ? AF_INET6 : AF_INET;
    return inet_pton(family, address, bytes) == 1 && memcmp(bytes, nowhere, six ? 16 : 4) != 0;
}

/* What the card says: a lobby at "any" address could not be found by it. */
static struct ilea_span
lobby_of(const struct ilea_config *config)
{
    const char *lobby = ilea_endpoint_is_dialable(config->lobby) ? config->lobby : "";
    return (struct ilea_span){ (const uint8_t *)lobby, strlen(lobby) };
}

bool
ilea_own_card_is_current(struct ilea_transaction *txn, const struct ilea_agency_id *own,
                         const struct ilea_config *config)
{
    const struct ilea_span lobby = lobby_of(config);
    struct ilea_card *card = malloc(sizeof *card);
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    struct ilea_span bytes;
    bool current = card != NULL && manifest != NULL && ilea_log_card(txn, &bytes) == ILEA_ERROR_NONE
        && ilea_card_decode(bytes, card) == ILEA_ERROR_NONE && ilea_chain_last(txn, own, manifest) == ILEA_ERROR_NONE
        && memcmp(card->manifest.hash, manifest->hash, sizeof manifest->hash) == 0
        && card->lobby.size == lobby.size && (lobby.size == 0 || memcmp(card->lobby.data, lobby.data, lobby.size) == 0);
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
        row.lobby = lobby_of(&node->config);
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
    if (ilea_own_card_is_current(txn, &ilea_log_identity(node->log)->agency, &node->config)) {
        ilea_transaction_abort(txn);
        return ILEA_ERROR_NONE;
    }
    error = make_card(node, txn, now_ms);
    if (error == ILEA_ERROR_NONE) return ilea_transaction_commit(txn);
    ilea_transaction_abort(txn);
    return error;
}
