#include "replication/record/label.h"

#include <string.h>

#include "crypto/assert.h"
#include "replication/record/msgpack_reader.h"
#include "replication/record/schema.h"

static const char *const *
codes(void)
{
    return ilea_field_by_number(NULL, ILEA_FIELD_TLP)->codes;
}

uint32_t
ilea_label_of_code(struct ilea_span code)
{
    for (uint32_t i = 0; codes()[i] != NULL; i++) {
        if (strlen(codes()[i]) == code.size && memcmp(codes()[i], code.data, code.size) == 0) {
            return i + ILEA_LABEL_CLEAR;
        }
    }
    return 0;
}

const char *
ilea_label_name(uint32_t label)
{
    ilea_assert(label >= ILEA_LABEL_CLEAR && label <= ILEA_LABEL_RED);
    return codes()[label - ILEA_LABEL_CLEAR];
}

uint32_t
ilea_label_of_value(struct ilea_span value, enum ilea_scope scope)
{
    if (value.size == 0) {
        return scope == ILEA_SCOPE_PEERS ? ILEA_LABEL_GREEN
            : scope == ILEA_SCOPE_AUDIENCE ? ILEA_LABEL_AMBER
                                           : ILEA_LABEL_AMBER_STRICT;
    }
    struct ilea_msgpack_reader reader;
    ilea_msgpack_reader_init(&reader, value);
    struct ilea_span code = ilea_msgpack_get_str(&reader, (uint32_t)value.size);
    uint32_t label = ilea_msgpack_reader_done(&reader) ? ilea_label_of_code(code) : 0;
    return label != 0 ? label : ILEA_LABEL_RED;
}

const char *
ilea_scope_name(enum ilea_scope scope)
{
    return scope == ILEA_SCOPE_PEERS ? "all-peers" : "agency";
}
