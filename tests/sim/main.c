/*
 * main.c - run seeds:
 *
 *   sim [--audiences] [--seeds A..B | --seed N | --fresh COUNT] [--nodes N] [--verbose]
 *   sim --story NAME | --stories
 *
 * Without a seed, one that is fresh; --fresh: so many. Prints seed, events and trace hash; a run
 * that fails prints the line that replays it, and the exit status is not 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "crypto/random.h"
#include "tests/sim/scenario.h"
#include "tests/sim/story.h"

struct options {
    uint64_t first, last;
    uint32_t nodes;
    enum sim_theme theme;
    bool verbose;
    const char *story;
    bool all_stories;
};

/* Says how to come here again: for a failed check, an assertion, or a sanitizer. */
static void
on_abort(int signal_number)
{
    (void)signal_number;
    char line[120];
    int size = snprintf(line, sizeof line, "replay, with the same --audiences: sim --seed %" PRIu64 " --verbose\n",
                        sim_random_seed());
    if (size > 0) (void)!write(STDERR_FILENO, line, (size_t)size);
    _exit(1);
}

#ifdef ILEA_SANITIZED
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *
__asan_default_options(void)
{
    return "abort_on_error=1:handle_abort=0";
}

const char *
__ubsan_default_options(void)
{
    return "abort_on_error=1:handle_abort=0:print_stacktrace=1";
}
#endif

static bool
parse_number(const char *text, uint64_t *value, const char **end)
{
    if (*text < '0' || *text > '9') return false;
    char *stop;
    errno = 0;
    *value = strtoull(text, &stop, 10);
    *end = stop;
    return errno == 0;
}

static bool
parse_seeds(const char *text, struct options *options)
{
    const char *end;
    if (!parse_number(text, &options->first, &end) || strncmp(end, "..", 2) != 0) return false;
    return parse_number(end + 2, &options->last, &end) && *end == '\0'
           && options->first <= options->last;
}

static bool
parse(int count, char **words, struct options *options)
{
    *options = (struct options){ .nodes = 0 };
    if (getrandom(&options->first, 4, 0) != 4) return false;
    options->last = options->first;
    const char *end = "";
    uint64_t value;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--verbose") == 0) {
            options->verbose = true;
        } else if (strcmp(words[i], "--audiences") == 0) {
            options->theme = SIM_THEME_AUDIENCES;
        } else if (strcmp(words[i], "--stories") == 0) {
            options->all_stories = true;
        } else if (i + 1 == count) {
            return false;
        } else if (strcmp(words[i], "--story") == 0) {
            options->story = words[++i];
        } else if (strcmp(words[i], "--seed") == 0) {
            if (!parse_number(words[++i], &options->first, &end)) return false;
            options->last = options->first;
        } else if (strcmp(words[i], "--fresh") == 0) {
            if (!parse_number(words[++i], &value, &end) || value == 0) return false;
            options->last = options->first + value - 1;
        } else if (strcmp(words[i], "--seeds") == 0) {
            if (!parse_seeds(words[++i], options)) return false;
        } else if (strcmp(words[i], "--nodes") == 0) {
            if (!parse_number(words[++i], &value, &end)) return false;
            if (value < 2 || value > SIM_NODES_MAX) return false;
            options->nodes = (uint32_t)value;
        } else {
            return false;
        }
        if (*end != '\0') return false;
    }
    return true;
}

static void
run_seeds(const struct options *options)
{
    uint64_t events = 0;
    for (uint64_t seed = options->first;; seed++) {
        struct sim_result result = sim_scenario_run(options->theme, seed, options->nodes, options->verbose);
        events += result.events;
        if (options->last - options->first < 20) {
            printf("seed %" PRIu64 ": %" PRIu64 " events, trace %016" PRIx64 ", ok\n", seed,
                   result.events, result.trace);
        }
        /* One in a hundred twice, and every single one: the same seed is the same run. */
        if (seed % 100 == 0 || options->first == options->last) {
            struct sim_result again = sim_scenario_run(options->theme, seed, options->nodes, false);
            if (again.trace != result.trace) {
                (void)fprintf(stderr, "FAILED: seed %" PRIu64 " does not repeat itself\n", seed);
                abort();
            }
        }
        if (seed == options->last) break;
    }
    printf("seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " events, all ok\n", options->first,
           options->last, events);
}

int
main(int count, char **words)
{
    struct options options;
    if (!parse(count, words, &options)) {
        (void)fprintf(stderr, "usage: sim [--audiences] [--seeds A..B | --seed N | --fresh COUNT] [--nodes N]"
                              " [--verbose]"
                              " | --story NAME | --stories\n");
        return 2;
    }
    struct sim_random start;
    sim_random_init(&start, 0);
    sim_random_use(&start);
    sim_random_install();
    (void)signal(SIGABRT, on_abort);
    if (ilea_crypto_init() != ILEA_ERROR_NONE) return 1;
    if (options.all_stories || options.story != NULL) {
        return sim_stories_run(options.all_stories ? NULL : options.story, options.verbose) ? 0 : 1;
    }
    printf("seeds from %" PRIu64 "\n", options.first);
    (void)fflush(stdout);
    run_seeds(&options);
    return 0;
}
