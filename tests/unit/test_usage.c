/* test_usage.c - which options a command takes, by its own lines in the help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "node/usage.h"

static void
test_usage_takes(void **unused)
{
    (void)unused;
    static const struct {
        struct ilea_usage_words words;
        const char *option;
        bool takes;
    } rows[] = {
        { { "publish", "FR-PN-N1", false }, "dry-run", true },
        { { "publish", "FR-PN-N1", false }, "to", true },
        { { "publish", "FR-PN-N1", false }, "tlp", true },
        { { "publish", "FR-PN-N1", false }, "tlp-max", false }, /* not by what begins so */
        { { "publish", "FR-PN-N1", false }, "admin", true },    /* it may have to be asked for */
        { { "publish", "FR-PN-N1", false }, "json", true },
        { { "peer", "approve", false }, "tlp-max", true },
        { { "peer", "approve", false }, "tlp", false },
        { { "peer", "list", false }, "code", false },
        { { "peer", "revoke", false }, "reason", true },
        { { "verify", NULL, false }, "dry-run", false },
        { { "verify", NULL, false }, "home", true },
        { { "need", "new", true }, "set", true },
        { { "need", "list", true }, "set", false },
        { { "need", "list", true }, "limit", true },
        { { "audience", "new", false }, "levels", true },
        { { "audience", "new", false }, "level", false },
        { { "audience", "add", false }, "level", true },
        { { "audience", "add", false }, "history", false },
        { { "peer", "", false }, "tlp", true },                  /* no verb at all */
        { { "audit", "verify", false }, "since", false },
        { { "audit", NULL, false }, "since", true },
        { { "admin", "add", false }, "roots", true },
        { { "admin", "policy", false }, "roots", false },
        { { "nothing", NULL, false }, "home", true },
        { { "nothing", NULL, false }, "to", true },              /* it says itself that it is none */
        { { "peer", "nothing", false }, "tlp", true },
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (ilea_usage_takes(&rows[i].words, rows[i].option) == rows[i].takes) continue;
        fail_msg("%s %s --%s", rows[i].words.command, rows[i].words.verb != NULL ? rows[i].words.verb : "",
                 rows[i].option);
    }
}

static void
test_usage_has_verbs(void **unused)
{
    (void)unused;
    assert_true(ilea_usage_has_verbs(&(struct ilea_usage_words){ "peer", "add", false }));
    assert_true(ilea_usage_has_verbs(&(struct ilea_usage_words){ "need", "new", true }));
    assert_false(ilea_usage_has_verbs(&(struct ilea_usage_words){ "show", "FR-PN-N1", false }));
    assert_false(ilea_usage_has_verbs(&(struct ilea_usage_words){ "verify", NULL, false }));
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_usage_takes), cmocka_unit_test(test_usage_has_verbs) };
    return cmocka_run_group_tests_name("usage", tests, NULL, NULL);
}
