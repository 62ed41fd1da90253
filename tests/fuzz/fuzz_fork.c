/*
 * fuzz_fork.c - the decoder of fork proofs: it accepts nothing that the feed's key did not sign. The input is
 * tried as it is, and as a list of changes to a proof that is good: what is then accepted must be that proof.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"
#include "replication/record/fork.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ilea_network_id network = { { 1 } };
static uint8_t good[ILEA_FORK_SIZE_MAX];
static size_t good_size;

/* Two commits of one feed and seq by a fresh key. */
static void
make_good(void)
{
    struct ilea_commit_builder *builder = NULL;
    struct ilea_feed_origin origin = { .scope = ILEA_SCOPE_PEERS };
    struct ilea_sign_secret *node = NULL;
    struct ilea_feed_id feed;
    struct ilea_commit commits[2];
    uint8_t statement[40] = { 0 };
    static uint8_t copies[2][1024];
    ilea_assert(ilea_crypto_init() == ILEA_ERROR_NONE);
    ilea_assert(ilea_sign_generate(&node, &origin.node) == ILEA_ERROR_NONE);
    ilea_assert(ilea_commit_builder_new(&builder) == ILEA_ERROR_NONE);
    ilea_feed_id_of(&network, &origin, &feed);
    for (uint8_t i = 0; i < 2; i++) {
        struct ilea_span made;
        struct ilea_commit_id id;
        const struct ilea_commit_id prev = { { 7 } };
        statement[0] = i;
        ilea_commit_begin(builder, &network, &feed, 300, &prev);
        ilea_assert(ilea_commit_add_statement(builder, (struct ilea_span){ statement, sizeof statement })
                    == ILEA_ERROR_NONE);
        ilea_commit_end(builder, node, &made, &id);
        ilea_assert(made.size <= sizeof copies[i]);
        memcpy(copies[i], made.data, made.size);
        made.data = copies[i];
        ilea_assert(ilea_commit_decode(made, &commits[i]) == ILEA_ERROR_NONE);
    }
    ilea_assert(ilea_fork_encode(&origin, &commits[0], &commits[1], good, sizeof good, &good_size)
                == ILEA_ERROR_NONE);
    ilea_commit_builder_free(builder);
    ilea_sign_secret_free(node);
}

/* Accepted, and then it keeps the rules. */
static bool
decodes(const uint8_t *data, size_t size)
{
    struct ilea_fork fork;
    if (ilea_fork_decode((struct ilea_span){ data, size }, &network, &fork) != ILEA_ERROR_NONE) return false;
    struct ilea_feed_id feed;
    ilea_feed_id_of(&network, &fork.origin, &feed);
    ilea_assert(memcmp(feed.bytes, fork.feed.bytes, sizeof feed.bytes) == 0);
    ilea_assert(fork.seq > 0 && memcmp(fork.a.bytes, fork.b.bytes, sizeof fork.a.bytes) < 0);
    ilea_assert(!ilea_fork_is_better(&fork, &fork));
    return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good_size == 0) {
        make_good();
        ilea_assert(decodes(good, good_size));
    }
    (void)decodes(data, size);

    uint8_t changed[sizeof good];
    memcpy(changed, good, good_size);
    for (size_t i = 0; i + 3 <= size; i += 3) { /* two bytes of place, one that is there then */
        changed[(size_t)(data[i] << 8 | data[i + 1]) % good_size] = data[i + 2];
    }
    if (decodes(changed, good_size)) ilea_assert(memcmp(changed, good, good_size) == 0);
    ilea_assert(!decodes(changed, size < good_size ? size : good_size - 1));
    return 0;
}
