/*
 * config.h - the configuration file: text to struct, pure. DIR/ilea.conf:
 *
 *     [node]
 *     listen = tcp://192.0.2.10:7101     ; where peers connect; empty: this node only dials
 *     lobby = tcp://192.0.2.10:7102      ; where strangers may ask to join; empty: nowhere
 *     guard = /run/ilea                  ; memory-backed folder for the feed guard
 *     approvals = 2                      ; admins who must sign a decision, 1 to 16; default 1
 *     unverified = yes                   ; peers may be approved without comparing a code; default no
 *     four_eyes = yes                    ; nothing leaves before a second admin approved it; default no
 *     documents = all                    ; fetch every document that records name; default on-demand
 *     documents_max = 20G                ; how much of them this node keeps; default 20G
 *     erase_day = 100                    ; records erased in 24 hours without signatures of two admins; 0 to 100000
 *     generation = /path                 ; file that changes when this machine is put back to a snapshot
 *
 * Unknown sections and keys are errors: a misspelt one must not be silently ignored.
 */
#ifndef ILEA_CONFIG_CONFIG_H
#define ILEA_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/ilea/error.h"

enum { ILEA_CONFIG_VALUE_SIZE = 256, ILEA_CONFIG_FILE_SIZE_MAX = 64 * 1024, ILEA_APPROVALS_MAX = 16,
       ILEA_ERASE_DAY_DEFAULT = 100, ILEA_ERASE_DAY_MAX = 100000 };
#define ILEA_DOCUMENTS_MAX_DEFAULT (UINT64_C(20) << 30)

struct ilea_config {
    char listen[ILEA_CONFIG_VALUE_SIZE]; /* "" if not set */
    char lobby[ILEA_CONFIG_VALUE_SIZE];  /* "" if not set */
    char guard[ILEA_CONFIG_VALUE_SIZE];  /* "" if not set */
    uint32_t approvals;                  /* 1 to ILEA_APPROVALS_MAX */
    bool unverified;
    bool four_eyes;
    bool all_documents;                  /* else only those that somebody asked for */
    uint64_t documents_max;              /* bytes */
    uint32_t erase_day;                  /* 0 to ILEA_ERASE_DAY_MAX */
    char generation[ILEA_CONFIG_VALUE_SIZE]; /* "" if not set */
};

/*
 * Parse `text` (size bytes, any bytes). ILEA_ERROR_INVALID: *line is the number of the first bad line
 * and `reason` (at least 100 bytes) says in a phrase what is wrong with it.
 */
ILEA_MUST_USE enum ilea_error ilea_config_parse(const char *text, size_t size,
                                                struct ilea_config *config, int *line,
                                                char *reason, size_t reason_size);

#endif
