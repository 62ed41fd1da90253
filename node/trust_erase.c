/* trust_erase.c - the decision to erase more records than one may unsigned. */
#include <stdlib.h>
#include <string.h>

#include "node/control_erase.h"
#include "node/trust_state.h"

static enum ilea_error
get_payload(struct decide *decide, struct ilea_control_erase *erase)
{
    const struct ilea_span bytes = { decide->payload, decide->payload_size };
    if (ilea_control_get_erase(bytes, erase) == ILEA_ERROR_NONE) return ILEA_ERROR_NONE;
    return ilea_trust_refuse(decide, ILEA_ERROR_MALFORMED, "what goes with the decision names no records");
}

enum ilea_error
ilea_trust_check_erase(struct decide *decide)
{
    struct ilea_control_erase *erase = malloc(sizeof *erase);
    if (erase == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = get_payload(decide, erase);
    free(erase);
    return error;
}

static int
compare_signatures(const void *a, const void *b)
{
    const struct ilea_act_signature *one = a, *other = b;
    return memcmp(one->admin.bytes, other->admin.bytes, sizeof one->admin.bytes);
}

enum ilea_error
ilea_trust_do_erase(struct decide *decide)
{
    struct ilea_erase_result result = { .records = 0 };
    struct ilea_control_erase *erase = malloc(sizeof *erase);
    if (erase == NULL) return ILEA_ERROR_NO_MEMORY;
    enum ilea_error error = get_payload(decide, erase);
    if (error == ILEA_ERROR_NONE) {
        struct ilea_erase_request request = ilea_control_erase_request(erase, decide->node->config.erase_day);
        qsort(decide->sigs, decide->sig_count, sizeof *decide->sigs, compare_signatures);
        request.act = decide->request->act;
        request.sigs = decide->sigs;
        request.sig_count = decide->sig_count;
        error = ilea_author_erase(decide->author, &request, &result);
    }
    free(erase);
    if (result.reason[0] != '\0') return ilea_trust_refuse(decide, error, "%s", result.reason);
    return error;
}
