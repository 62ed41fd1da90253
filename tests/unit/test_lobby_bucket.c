#include <stdlib.h>
#include <string.h>

#include "node/lobby_bucket.h"
#include "tests/support/codec.h"

static void
test_bucket(void **state)
{
    (void)state;
    const struct ilea_rate rate = { 3, 100 };
    struct ilea_bucket bucket = { 0 };
    uint64_t now_ms = 50;
    for (unsigned i = 0; i < 3; i++) assert_true(ilea_bucket_take(&bucket, &rate, now_ms));
    assert_false(ilea_bucket_take(&bucket, &rate, now_ms));
    assert_false(ilea_bucket_take(&bucket, &rate, now_ms + 99));
    assert_true(ilea_bucket_take(&bucket, &rate, now_ms + 100));
    assert_false(ilea_bucket_take(&bucket, &rate, now_ms + 100));
    ilea_bucket_return(&bucket, &rate);
    assert_true(ilea_bucket_take(&bucket, &rate, now_ms + 100));
    /* It never holds more than a burst. */
    now_ms += 1000000;
    for (unsigned i = 0; i < 3; i++) assert_true(ilea_bucket_take(&bucket, &rate, now_ms));
    assert_false(ilea_bucket_take(&bucket, &rate, now_ms));
    /* In the long run, one a period. */
    unsigned taken = 0;
    for (unsigned i = 0; i < 10000; i++) taken += ilea_bucket_take(&bucket, &rate, now_ms + i) ? 1 : 0;
    assert_int_equal(taken, 99);
}

static void
test_source(void **state)
{
    (void)state;
    const uint8_t ipv4[4] = { 192, 0, 2, 1 }, other[4] = { 192, 0, 2, 2 };
    const uint8_t mapped[16] = { [10] = 0xff, 0xff, 192, 0, 2, 1 };
    const uint8_t ipv6[16] = { 0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 3 }, same[16] = { 0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 4 },
                  neighbour[16] = { 0x20, 1, 0xd, 0xb8, 0, 1, 0, 3, 3 }, zeros[16] = { 0 };
    assert_true(ilea_source_of(ipv4, 4) == ilea_source_of(mapped, 16));
    assert_true(ilea_source_of(ipv4, 4) != ilea_source_of(other, 4));
    assert_true(ilea_source_of(ipv6, 16) == ilea_source_of(same, 16));
    assert_true(ilea_source_of(ipv6, 16) != ilea_source_of(neighbour, 16));
    assert_true(ilea_source_of(zeros, 16) != 0);
}

/* A source that keeps coming stays known, however many others come once. */
static void
test_table(void **state)
{
    (void)state;
    struct ilea_sources *sources = calloc(1, sizeof *sources);
    assert_non_null(sources);
    sources->seed = 0x1234567890abcdef;
    const struct ilea_rate rate = { 2, 1000000 };
    struct ilea_bucket *bucket = ilea_sources_bucket(sources, 42, 1);
    assert_true(ilea_bucket_take(bucket, &rate, 1));
    assert_true(ilea_bucket_take(bucket, &rate, 1));
    for (uint64_t i = 0; i < 100000; i++) {
        (void)ilea_sources_bucket(sources, 1000 + i, 2 + i);
        if (i % 10 == 0) {
            assert_false(ilea_bucket_take(ilea_sources_bucket(sources, 42, 2 + i), &rate, 2 + i));
        }
    }
    free(sources);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_source),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
