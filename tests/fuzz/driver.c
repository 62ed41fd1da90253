/*
 * driver.c - runs a fuzz target without libFuzzer: over every file named on the
 * command line, or over 20,000 inputs mutated from a few seeds with a fresh
 * random seed, printed so that a failure can be replayed (first argument
 * "seed=N"). A regression net; the real search is the fuzz preset.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t
next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Tags and lengths that decoders stumble over. */
static const uint8_t spice[] = { 0x00, 0x01, 0x7f, 0x80, 0x90, 0x92, 0x9f, 0xa1, 0xc0, 0xc4, 0xc5, 0xc6,
                                 0xcc, 0xcd, 0xce, 0xcf, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xff };

static void
run_random(uint64_t seed)
{
    uint64_t state = seed | 1;
    for (unsigned round = 0; round < 20000; round++) {
        size_t size = next(&state) % 400;
        uint8_t *bytes = malloc(size > 0 ? size : 1);
        if (bytes == NULL) abort();
        for (size_t i = 0; i < size; i++) {
            uint64_t draw = next(&state);
            bytes[i] = draw % 3 == 0 ? (uint8_t)(draw >> 8) : spice[(draw >> 8) % sizeof spice];
        }
        LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
    }
}

static void
run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    uint8_t *bytes = malloc(1 << 20);
    if (bytes == NULL) abort();
    size_t size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strncmp(argv[1], "seed=", 5) != 0) {
        for (int i = 1; i < argc; i++) run_file(argv[i]);
        return 0;
    }
    uint64_t seed = argc > 1 ? strtoull(argv[1] + 5, NULL, 10) : (uint64_t)time(NULL);
    printf("seed=%llu\n", (unsigned long long)seed);
    run_random(seed);
    return 0;
}
