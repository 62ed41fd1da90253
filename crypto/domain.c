#include "crypto/assert.h"
#include "crypto/domain.h"

/* One length byte on the wire, and room in every buffer that holds a domain. */
#define X(name, text) \
    _Static_assert(sizeof text > 1 && sizeof text <= 64, "a domain has 1 to 63 bytes");
ILEA_DOMAIN_TABLE(X)
#undef X

struct ilea_span
ilea_domain_text(enum ilea_domain domain)
{
    static const struct ilea_span texts[ILEA_DOMAIN_COUNT] = {
#define X(name, text) { (const uint8_t *)(text), sizeof text - 1 },
        ILEA_DOMAIN_TABLE(X)
#undef X
    };
    ilea_assert((unsigned)domain < ILEA_DOMAIN_COUNT);
    return texts[domain];
}
