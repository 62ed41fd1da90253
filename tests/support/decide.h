/*
 * decide.h - acts as admins make and sign them, decided on in a test's home.
 *
 * Everything here fails the test that calls it when something goes wrong.
 */
#ifndef ILEA_TEST_DECIDE_H
#define ILEA_TEST_DECIDE_H

#include "node/trust.h"
#include "tests/support/home.h"

#define ILEA_TEST_TIME_MS UINT64_C(1800000000000)

/* An act with its signatures; all it needs. */
struct ilea_test_act {
    struct ilea_act act;
    uint8_t bytes[ILEA_ACT_SIZE_MAX];
    char texts[4096];
    size_t texts_used;
    struct ilea_trust_request request;
};

void ilea_test_act_begin(struct ilea_test_act *act, struct ilea_test_home *home, const char *kind,
                         const struct ilea_test_agency *subject);
void ilea_test_act_add(struct ilea_test_act *act, const char *key, const char *value);
/* The pair that names the subject's newest manifest, as the log has it. */
void ilea_test_act_add_manifest(struct ilea_test_act *act, struct ilea_test_home *home);
/* Encode; then each admin may sign. */
void ilea_test_act_end(struct ilea_test_act *act);
void ilea_test_act_sign(struct ilea_test_act *act, struct ilea_test_home *home, unsigned admin);
/* Decide at a time; committed if it was not refused. What the answer says. */
enum ilea_error ilea_test_decide_at(struct ilea_test_home *home, const struct ilea_test_act *act, uint64_t now_ms,
                                    struct ilea_control_decision *answer);
/* All of it: one kind, one subject, signed by the first `admins` of ours. */
enum ilea_error ilea_test_decide(struct ilea_test_home *home, const char *kind, const struct ilea_test_agency *subject,
                                 unsigned admins, struct ilea_control_decision *answer);

#endif
