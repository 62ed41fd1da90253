#include "config/config.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parse {
    struct ilea_config *config;
    char *reason;
    size_t reason_size;
};

static int
set_value(struct parse *parse, char *to, const char *name, const char *value)
{
    if (strlen(value) >= ILEA_CONFIG_VALUE_SIZE) {
        (void)snprintf(parse->reason, parse->reason_size, "value of %s is too long", name);
        return 0;
    }
    memcpy(to, value, strlen(value) + 1);
    return 1;
}

/* A number in plain digits. */
static int
set_number(struct parse *parse, uint32_t *to, const char *name, const char *value, uint32_t min, uint32_t max)
{
    uint32_t number = 0;
    size_t size = strlen(value), i = 0;
    while (i < size && i < 7 && value[i] >= '0' && value[i] <= '9') number = number * 10 + (uint32_t)(value[i++] - '0');
    if (size == 0 || i < size || number < min || number > max) {
        (void)snprintf(parse->reason, parse->reason_size, "%s takes a number from %u to %u", name, min, max);
        return 0;
    }
    *to = number;
    return 1;
}

static int
set_flag(struct parse *parse, bool *to, const char *name, const char *value)
{
    *to = strcmp(value, "yes") == 0;
    if (*to || strcmp(value, "no") == 0) return 1;
    (void)snprintf(parse->reason, parse->reason_size, "%s takes yes or no", name);
    return 0;
}

static int
set_documents(struct parse *parse, const char *value)
{
    parse->config->all_documents = strcmp(value, "all") == 0;
    if (parse->config->all_documents || strcmp(value, "on-demand") == 0) return 1;
    (void)snprintf(parse->reason, parse->reason_size, "documents takes on-demand or all");
    return 0;
}

/* Digits, and K, M, G or T behind them. */
static int
set_documents_max(struct parse *parse, const char *value)
{
    static const char units[] = "KMGT";
    uint64_t number = 0;
    size_t size = strlen(value);
    unsigned shift = 0;
    const char *unit = size > 1 ? strchr(units, value[size - 1]) : NULL;
    if (unit != NULL) {
        shift = 10 * (unsigned)(unit - units + 1);
        size--;
    }
    bool is_good = size > 0 && size <= 12;
    for (size_t i = 0; i < size && is_good; i++) {
        is_good = value[i] >= '0' && value[i] <= '9';
        number = number * 10 + (uint64_t)(value[i] - '0');
    }
    if (!is_good || number > UINT64_MAX >> shift) {
        (void)snprintf(parse->reason, parse->reason_size, "documents_max takes a size, as 500M or 20G");
        return 0;
    }
    parse->config->documents_max = number << shift;
    return 1;
}

/* inih's callback: 0 means the line is bad. */
static int
on_entry(void *context, const char *section, const char *name, const char *value)
{
    struct parse *parse = context;
    bool first_fault = parse->reason[0] == '\0';
    if (!first_fault) return 0;
    if (strcmp(section, "node") != 0) {
        (void)snprintf(parse->reason, parse->reason_size, "unknown section [%.30s]", section);
        return 0;
    }
    if (strcmp(name, "listen") == 0) return set_value(parse, parse->config->listen, name, value);
    if (strcmp(name, "lobby") == 0) return set_value(parse, parse->config->lobby, name, value);
    if (strcmp(name, "guard") == 0) return set_value(parse, parse->config->guard, name, value);
    if (strcmp(name, "approvals") == 0) {
        return set_number(parse, &parse->config->approvals, name, value, 1, ILEA_APPROVALS_MAX);
    }
    if (strcmp(name, "erase_day") == 0) {
        return set_number(parse, &parse->config->erase_day, name, value, 0, ILEA_ERASE_DAY_MAX);
    }
    if (strcmp(name, "unverified") == 0) return set_flag(parse, &parse->config->unverified, name, value);
    if (strcmp(name, "four_eyes") == 0) return set_flag(parse, &parse->config->four_eyes, name, value);
    if (strcmp(name, "documents") == 0) return set_documents(parse, value);
    if (strcmp(name, "documents_max") == 0) return set_documents_max(parse, value);
    if (strcmp(name, "generation") == 0) {
        return set_value(parse, parse->config->generation, name, value);
    }
    (void)snprintf(parse->reason, parse->reason_size, "unknown key %.30s", name);
    return 0;
}

enum ilea_error
ilea_config_parse(const char *text, size_t size, struct ilea_config *config, int *line,
                  char *reason, size_t reason_size)
{
    *config = (struct ilea_config){ .approvals = 1, .documents_max = ILEA_DOCUMENTS_MAX_DEFAULT,
                                    .erase_day = ILEA_ERASE_DAY_DEFAULT };
    *line = 0;
    reason[0] = '\0';
    if (size > ILEA_CONFIG_FILE_SIZE_MAX || memchr(text, '\0', size) != NULL) {
        (void)snprintf(reason, reason_size, "not a configuration file");
        return ILEA_ERROR_INVALID;
    }
    char *copy = malloc(size + 1);
    if (copy == NULL) return ILEA_ERROR_NO_MEMORY;
    memcpy(copy, text, size);
    copy[size] = '\0';
    struct parse parse = { config, reason, reason_size };
    *line = ini_parse_string(copy, on_entry, &parse);
    free(copy);
    if (*line == 0) return ILEA_ERROR_NONE;
    if (reason[0] == '\0') (void)snprintf(reason, reason_size, "not of the form: key = value");
    return ILEA_ERROR_INVALID;
}
