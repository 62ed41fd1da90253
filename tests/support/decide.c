#include "tests/support/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "node/chain.h"
#include "node/own_keys.h"

void
ilea_test_act_begin(struct ilea_test_act *act, struct ilea_test_home *home, const char *kind,
                    const struct ilea_test_agency *subject)
{
    memset(act, 0, sizeof *act);
    act->act.agency = home->own.card.agency;
    act->act.made_ms = ILEA_TEST_TIME_MS;
    act->act.kind = (struct ilea_span){ (const uint8_t *)kind, strlen(kind) };
    ilea_random_bytes(act->act.nonce, sizeof act->act.nonce);
    act->act.has_subject = subject != NULL;
    if (subject != NULL) act->act.subject = subject->card.agency;
}

void
ilea_test_act_add(struct ilea_test_act *act, const char *key, const char *value)
{
    size_t size = strlen(value);
    assert_true(act->texts_used + size <= sizeof act->texts);
    char *text = act->texts + act->texts_used;
    memcpy(text, value, size);
    act->texts_used += size;
    act->act.pairs[act->act.pair_count].key = (struct ilea_span){ (const uint8_t *)key, strlen(key) };
    act->act.pairs[act->act.pair_count++].value = (struct ilea_span){ (const uint8_t *)text, size };
}

void
ilea_test_act_add_manifest(struct ilea_test_act *act, struct ilea_test_home *home)
{
    struct ilea_manifest *manifest = malloc(sizeof *manifest);
    struct ilea_transaction *txn;
    char hex[2 * ILEA_HASH_SIZE + 1];
    assert_non_null(manifest);
    ILEA_TEST_OK(ilea_transaction_begin(ilea_log_environment(home->log), false, &txn));
    ILEA_TEST_OK(ilea_chain_last(txn, &act->act.subject, manifest));
    ilea_transaction_abort(txn);
    ilea_hex_format(manifest->hash, sizeof manifest->hash, hex);
    free(manifest);
    ilea_test_act_add(act, "manifest", hex);
}

void
ilea_test_act_end(struct ilea_test_act *act)
{
    size_t size;
    ILEA_TEST_OK(ilea_act_encode(&act->act, act->bytes, sizeof act->bytes, &size));
    act->request.act = (struct ilea_span){ act->bytes, size };
}

void
ilea_test_act_sign(struct ilea_test_act *act, struct ilea_test_home *home, unsigned admin)
{
    struct ilea_act_signature *sig = &act->request.sigs[act->request.sig_count++];
    sig->admin = home->own.manifest.admins[admin];
    ilea_act_sign(&act->act, &home->own.manifest.network, home->own.admins[admin], &sig->sig);
}

enum ilea_error
ilea_test_decide_at(struct ilea_test_home *home, const struct ilea_test_act *act, uint64_t now_ms,
                    struct ilea_control_decision *answer)
{
    struct ilea_node node;
    const struct ilea_author_commit *commits;
    uint32_t count;
    ilea_test_home_node(home, &node);
    ILEA_TEST_OK(ilea_author_begin(home->author, now_ms));
    ILEA_TEST_OK(ilea_trust_decide(&node, &act->request, now_ms, answer));
    assert_true((answer->error == ILEA_ERROR_NONE) == (answer->reason[0] == '\0'));
    if (answer->error == ILEA_ERROR_NONE) {
        ILEA_TEST_OK(ilea_author_commit(home->author, &commits, &count));
    } else {
        ilea_author_abort(home->author);
    }
    return answer->error;
}

enum ilea_error
ilea_test_decide(struct ilea_test_home *home, const char *kind, const struct ilea_test_agency *subject,
                 unsigned admins, struct ilea_control_decision *answer)
{
    static struct ilea_test_act act;
    ilea_test_act_begin(&act, home, kind, subject);
    if (subject != NULL) ilea_test_act_add_manifest(&act, home);
    ilea_test_act_end(&act);
    for (unsigned i = 0; i < admins; i++) ilea_test_act_sign(&act, home, i);
    return ilea_test_decide_at(home, &act, ILEA_TEST_TIME_MS, answer);
}
