#include "include/ilea/error.h"

const char *
ilea_error_text(enum ilea_error error)
{
    switch (error) {
#define X(name, peer, text) \
    case ILEA_ERROR_##name: return text;
        ILEA_ERROR_TABLE(X)
#undef X
    }
    return "unknown error"; /* a number from a newer version of the library */
}

bool
ilea_error_is_peer_fault(enum ilea_error error)
{
    switch (error) {
#define X(name, peer, text) \
    case ILEA_ERROR_##name: return peer;
        ILEA_ERROR_TABLE(X)
#undef X
    }
    return false;
}
