#include "node/ceremony.h"

#include <string.h>

#include "crypto/assert.h"
#include "crypto/random.h"

static struct ilea_sas_side
side_with(const struct ilea_sas_side *side, const uint8_t nonce[ILEA_SAS_NONCE_SIZE])
{
    struct ilea_sas_side with = *side;
    memcpy(with.nonce, nonce, sizeof with.nonce);
    return with;
}

static bool
is_over(const struct ilea_ceremony *ceremony, uint64_t now_ms)
{
    return now_ms - ceremony->opened_ms >= ILEA_CEREMONY_MS
        || now_ms - ceremony->asked_ms >= ILEA_CEREMONY_LEASE_MS;
}

void
ilea_ceremony_close(struct ilea_ceremony *ceremony)
{
    ilea_wipe(ceremony, sizeof *ceremony);
}

struct ilea_ceremony *
ilea_ceremony_find(struct ilea_ceremonies *ceremonies, const struct ilea_agency_id *agency, uint64_t now_ms)
{
    struct ilea_ceremony *found = NULL;
    for (unsigned i = 0; i < ILEA_CEREMONIES_MAX; i++) {
        struct ilea_ceremony *ceremony = &ceremonies->open[i];
        if (ceremony->is_open && is_over(ceremony, now_ms)) ilea_ceremony_close(ceremony);
        if (ceremony->is_open && memcmp(ceremony->other.agency.bytes, agency->bytes, ILEA_ID_SIZE) == 0) {
            found = ceremony;
        }
    }
    return found;
}

bool
ilea_ceremony_any(struct ilea_ceremonies *ceremonies, uint64_t now_ms)
{
    bool any = false;
    for (unsigned i = 0; i < ILEA_CEREMONIES_MAX; i++) {
        struct ilea_ceremony *ceremony = &ceremonies->open[i];
        if (ceremony->is_open && is_over(ceremony, now_ms)) ilea_ceremony_close(ceremony);
        any = any || ceremony->is_open;
    }
    return any;
}

static bool
has_manifests(const struct ilea_ceremony *ceremony, const struct ilea_sas_side *own,
              const struct ilea_sas_side *other)
{
    return memcmp(ceremony->own.manifest, own->manifest, ILEA_HASH_SIZE) == 0
        && memcmp(ceremony->other.manifest, other->manifest, ILEA_HASH_SIZE) == 0;
}

struct ilea_ceremony *
ilea_ceremony_open(struct ilea_ceremonies *ceremonies, const struct ilea_sas_side *own,
                   const struct ilea_sas_side *other, uint64_t now_ms)
{
    struct ilea_ceremony *ceremony = ilea_ceremony_find(ceremonies, &other->agency, now_ms);
    if (ceremony != NULL && has_manifests(ceremony, own, other)) {
        ceremony->asked_ms = now_ms;
        return ceremony;
    }
    for (unsigned i = 0; ceremony == NULL && i < ILEA_CEREMONIES_MAX; i++) {
        if (!ceremonies->open[i].is_open) ceremony = &ceremonies->open[i];
    }
    if (ceremony == NULL) return NULL;
    *ceremony = (struct ilea_ceremony){ .is_open = true, .own = *own, .other = *other,
                                        .opened_ms = now_ms, .asked_ms = now_ms };
    ceremony->is_lower = memcmp(own->agency.bytes, other->agency.bytes, ILEA_ID_SIZE) < 0;
    ilea_random_bytes(ceremony->ours.own, sizeof ceremony->ours.own);
    const struct ilea_sas_side side = side_with(own, ceremony->ours.own);
    ilea_sas_commitment(&side, ceremony->ours.commitment);
    return ceremony;
}

/* The code can be shown when this side has all that goes into it and knows that the other has, too. */
static bool
is_done(const struct ilea_ceremony *ceremony)
{
    return ceremony->chosen != NULL && ceremony->chosen->step == ILEA_STEP_REVEALED;
}

enum ilea_ceremony_state
ilea_ceremony_state(const struct ilea_ceremony *ceremony)
{
    if (is_done(ceremony)) return ILEA_CEREMONY_DONE;
    if (ceremony->is_broken) return ILEA_CEREMONY_BROKEN;
    bool exchanges = ceremony->chosen != NULL || ceremony->theirs.step != ILEA_STEP_NONE;
    return exchanges ? ILEA_CEREMONY_EXCHANGING : ILEA_CEREMONY_WAITING;
}

bool
ilea_ceremony_has_next(const struct ilea_ceremony *ceremony, uint64_t now_ms)
{
    if (ceremony->is_broken || ceremony->chosen == &ceremony->theirs) return false;
    if (ceremony->sent_ms != 0 && now_ms - ceremony->sent_ms < ILEA_CEREMONY_PAUSE_MS) return false;
    switch (ceremony->ours.step) {
    case ILEA_STEP_NONE:
        /* Once the other side's run has begun there is no need for a second one. */
        return (ceremony->is_lower || now_ms - ceremony->opened_ms >= ILEA_CEREMONY_SECOND_MS)
            && ceremony->theirs.step == ILEA_STEP_NONE;
    case ILEA_STEP_COMMITTED:
    case ILEA_STEP_NONCES: return true;
    case ILEA_STEP_REVEALED:
    case ILEA_STEP_DEAD: return false;
    }
    return false;
}

bool
ilea_ceremony_next(struct ilea_ceremony *ceremony, uint64_t now_ms, struct ilea_lobby_ceremony *message)
{
    struct ilea_ceremony_run *run = &ceremony->ours;
    if (!ilea_ceremony_has_next(ceremony, now_ms)) return false;
    if (run->step == ILEA_STEP_NONE) run->step = ILEA_STEP_COMMITTED;
    bool commits = run->step == ILEA_STEP_COMMITTED;
    message->kind = commits ? ILEA_LOBBY_KIND_COMMIT : ILEA_LOBBY_KIND_REVEAL;
    memcpy(message->manifest, ceremony->own.manifest, sizeof message->manifest);
    memcpy(message->value, commits ? run->commitment : run->own, sizeof message->value);
    ceremony->sent_ms = now_ms;
    return true;
}

/* The same agency's result, else an unused place, else the oldest. */
static void
remember(struct ilea_ceremonies *ceremonies, const struct ilea_ceremony *ceremony, uint64_t now_ms)
{
    const struct ilea_ceremony_run *run = ceremony->chosen;
    struct ilea_ceremony_result *place = &ceremonies->results[0];
    for (unsigned i = 0; i < ILEA_CEREMONY_RESULTS_MAX; i++) {
        struct ilea_ceremony_result *result = &ceremonies->results[i];
        if (result->is_set
            && memcmp(result->agency.bytes, ceremony->other.agency.bytes, ILEA_ID_SIZE) == 0) {
            place = result;
            break;
        }
        if (place->is_set && (!result->is_set || result->done_ms < place->done_ms)) place = result;
    }
    const struct ilea_sas_side own = side_with(&ceremony->own, run->own),
                               other = side_with(&ceremony->other, run->other);
    *place = (struct ilea_ceremony_result){ .is_set = true, .agency = other.agency, .done_ms = now_ms };
    memcpy(place->own_manifest, own.manifest, sizeof place->own_manifest);
    memcpy(place->manifest, other.manifest, sizeof place->manifest);
    ilea_sas_online(&own, &other, &place->sas);
}

static bool
take_commitment(struct ilea_ceremony *ceremony, const uint8_t commitment[ILEA_HASH_SIZE])
{
    struct ilea_ceremony_run *run = &ceremony->theirs;
    bool is_known = run->step != ILEA_STEP_NONE
        && memcmp(run->commitment, commitment, sizeof run->commitment) == 0;
    if (is_known) return true;
    /* Another one: its admin has begun anew. */
    if (run->step == ILEA_STEP_REVEALED || ceremony->commitments == ILEA_CEREMONY_COMMITMENTS_MAX) {
        return false;
    }
    ceremony->commitments++;
    run->step = ILEA_STEP_NONCES;
    memcpy(run->commitment, commitment, sizeof run->commitment);
    ilea_random_bytes(run->own, sizeof run->own);
    return true;
}

static bool
take_reveal(struct ilea_ceremonies *ceremonies, struct ilea_ceremony *ceremony,
            const uint8_t nonce[ILEA_SAS_NONCE_SIZE], uint64_t now_ms)
{
    struct ilea_ceremony_run *run = &ceremony->theirs;
    if (run->step == ILEA_STEP_NONE) return false;
    uint8_t commitment[ILEA_HASH_SIZE];
    const struct ilea_sas_side side = side_with(&ceremony->other, nonce);
    ilea_sas_commitment(&side, commitment);
    if (memcmp(commitment, run->commitment, sizeof commitment) != 0) {
        if (run->step != ILEA_STEP_REVEALED) ceremony->is_broken = true;
        return false;
    }
    if (run->step == ILEA_STEP_REVEALED) return true; /* our DONE was lost */
    memcpy(run->other, nonce, sizeof run->other);
    run->step = ILEA_STEP_REVEALED;
    ceremony->chosen = run;
    remember(ceremonies, ceremony, now_ms);
    return true;
}

static bool
is_expected(struct ilea_ceremony *ceremony, const struct ilea_lobby_ceremony *message)
{
    bool is_same = memcmp(message->manifest, ceremony->other.manifest, sizeof message->manifest) == 0;
    if (!is_same) ceremony->is_other_card = true;
    return is_same && !ceremony->is_broken;
}

bool
ilea_ceremony_receive(struct ilea_ceremonies *ceremonies, struct ilea_ceremony *ceremony,
                      const struct ilea_lobby_ceremony *message, uint64_t now_ms,
                      struct ilea_lobby_ceremony *answer)
{
    if (!is_expected(ceremony, message)) return false;
    if (ceremony->chosen == &ceremony->ours) {
        bool is_unheard = ceremony->ours.step == ILEA_STEP_NONCES
            && now_ms - ceremony->nonce_ms >= ILEA_CEREMONY_UNHEARD_MS;
        if (!is_unheard || message->kind != ILEA_LOBBY_KIND_COMMIT) return false;
        ceremony->ours.step = ILEA_STEP_DEAD;
        ceremony->chosen = NULL;
    }
    const struct ilea_ceremony_run *run = &ceremony->theirs;
    memcpy(answer->manifest, ceremony->own.manifest, sizeof answer->manifest);
    if (message->kind == ILEA_LOBBY_KIND_COMMIT) {
        if (!take_commitment(ceremony, message->value)) return false;
        if (ceremony->is_lower) ceremony->chosen = run;
        answer->kind = ILEA_LOBBY_KIND_NONCE;
        memcpy(answer->value, run->own, sizeof answer->value);
        return true;
    }
    if (message->kind != ILEA_LOBBY_KIND_REVEAL) return false;
    if (!take_reveal(ceremonies, ceremony, message->value, now_ms)) return false;
    answer->kind = ILEA_LOBBY_KIND_DONE;
    memcpy(answer->value, run->commitment, sizeof answer->value);
    return true;
}

void
ilea_ceremony_answered(struct ilea_ceremonies *ceremonies, struct ilea_ceremony *ceremony,
                       const struct ilea_lobby_ceremony *message, uint64_t now_ms)
{
    struct ilea_ceremony_run *run = &ceremony->ours;
    if (!is_expected(ceremony, message) || ceremony->chosen == &ceremony->theirs) return;
    if (message->kind == ILEA_LOBBY_KIND_NONCE && run->step == ILEA_STEP_COMMITTED) {
        memcpy(run->other, message->value, sizeof run->other);
        run->step = ILEA_STEP_NONCES;
        ceremony->chosen = run;
        ceremony->nonce_ms = now_ms;
        ceremony->sent_ms = 0; /* go on at once */
    } else if (message->kind == ILEA_LOBBY_KIND_DONE && run->step == ILEA_STEP_NONCES
               && memcmp(message->value, run->commitment, sizeof run->commitment) == 0) {
        run->step = ILEA_STEP_REVEALED;
        remember(ceremonies, ceremony, now_ms);
    }
}

bool
ilea_ceremony_result(const struct ilea_ceremonies *ceremonies, const struct ilea_sas_side *own,
                     const struct ilea_sas_side *other, uint64_t now_ms, struct ilea_sas *sas)
{
    for (unsigned i = 0; i < ILEA_CEREMONY_RESULTS_MAX; i++) {
        const struct ilea_ceremony_result *result = &ceremonies->results[i];
        if (result->is_set && memcmp(result->agency.bytes, other->agency.bytes, ILEA_ID_SIZE) == 0
            && memcmp(result->own_manifest, own->manifest, ILEA_HASH_SIZE) == 0
            && memcmp(result->manifest, other->manifest, ILEA_HASH_SIZE) == 0
            && now_ms - result->done_ms < ILEA_CEREMONY_KEPT_MS) {
            *sas = result->sas;
            return true;
        }
    }
    return false;
}

/* Whoever looks for keys whose offline digits agree finds them within the hour; with the words, not in a lifetime. */
static bool
has_words(const char *typed)
{
    for (; *typed != '\0'; typed++) {
        if ((*typed >= 'a' && *typed <= 'z') || (*typed >= 'A' && *typed <= 'Z')) return true;
    }
    return false;
}

enum ilea_ceremony_match
ilea_ceremony_compare(const struct ilea_ceremonies *ceremonies, const struct ilea_sas_side *own,
                      const struct ilea_sas_side *other, const char *typed, uint64_t now_ms)
{
    static const uint8_t zeros[ILEA_SAS_NONCE_SIZE];
    struct ilea_sas sas = { .digits = "", .words = { "", "", "", "" } };
    if (ilea_sas_compare(&sas, typed) == ILEA_SAS_BAD_LENGTH) return ILEA_CEREMONY_BAD_LENGTH;
    if (ceremonies != NULL && ilea_ceremony_result(ceremonies, own, other, now_ms, &sas)
        && ilea_sas_compare(&sas, typed) == ILEA_SAS_EQUAL) {
        return ILEA_CEREMONY_ONLINE;
    }
    const struct ilea_sas_side one = side_with(own, zeros), two = side_with(other, zeros);
    if (ilea_sas_offline(&one, &two, &sas) != ILEA_ERROR_NONE) return ILEA_CEREMONY_UNKNOWN;
    if (ilea_sas_compare(&sas, typed) != ILEA_SAS_EQUAL) return ILEA_CEREMONY_WRONG;
    return has_words(typed) ? ILEA_CEREMONY_OFFLINE : ILEA_CEREMONY_WORDS;
}
