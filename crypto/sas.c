#include "crypto/sas.h"

#include <sodium.h>
#include <string.h>

#include "crypto/assert.h"

enum {
    FOR_COMMITMENT = 1, FOR_CODE = 2, FOR_SALT = 3, /* what a hash of this domain is for */
    PASSES = 8,
    MEMORY = 64 * 1024 * 1024,
    DIGITS_MODULUS = 100000000
};

_Static_assert(sizeof(struct ilea_sas_side) == 96, "a side is its bytes");

/* 256 common words of four to six letters. No two begin with the same four letters, any two differ in three
 * letters at least, and none sounds like another English word. Part of the protocol: never change one. */
static const char words[256][ILEA_SAS_WORD_SIZE_MAX + 1] = {
    "actor", "album", "angel", "ankle", "archer", "arena", "arrow", "atlas", "attic", "autumn", "award",
    "bacon", "badge", "baker", "bamboo", "banana", "banjo", "barrel", "bonus", "border", "bottle", "brick",
    "bronze", "brush", "bucket", "butter", "cabin", "cactus", "camel", "canyon", "cargo", "carpet", "castle",
    "cedar", "chalk", "cheese", "circus", "cliff", "clock", "cobalt", "cobra", "comedy", "cookie", "copper",
    "cosmos", "cotton", "coyote", "cradle", "crown", "cycle", "daisy", "dance", "delta", "denim", "dinner",
    "domino", "donkey", "dragon", "drum", "dynamo", "eagle", "earth", "echo", "editor", "elbow", "ember",
    "engine", "envoy", "escape", "exit", "fabric", "farmer", "ferry", "flame", "flint", "forest", "fossil",
    "fridge", "frozen", "fruit", "fungus", "fusion", "galaxy", "garden", "garlic", "giant", "glider", "glove",
    "goblet", "grape", "guitar", "helmet", "heron", "hobby", "hornet", "hotel", "igloo", "impala", "insect",
    "island", "ivory", "jaguar", "jelly", "jewel", "jigsaw", "juice", "jumbo", "jungle", "kayak", "kimono",
    "kiosk", "kitten", "kiwi", "koala", "ladder", "lagoon", "laptop", "legend", "lily", "lizard", "lunar",
    "magic", "magnet", "marble", "meadow", "melody", "mentor", "mirror", "mosaic", "muffin", "museum", "napkin",
    "nectar", "needle", "nickel", "nomad", "nugget", "nutmeg", "nylon", "oasis", "ocean", "omega", "omelet",
    "onion", "orange", "orchid", "outfit", "oxygen", "oyster", "pajama", "palace", "panda", "pastry", "patrol",
    "peanut", "pebble", "pencil", "permit", "pickle", "picnic", "pigeon", "pilot", "pixel", "plaza", "poet",
    "polar", "pollen", "poncho", "potato", "prism", "proton", "pulse", "puppet", "python", "quartz", "quilt",
    "rabbit", "radish", "rapid", "raven", "razor", "relic", "rhino", "ribbon", "ritual", "rubber", "ruby",
    "saddle", "safari", "salad", "salmon", "saturn", "school", "scout", "shelf", "shrimp", "siesta", "signal",
    "silver", "siren", "sketch", "slalom", "soccer", "spiral", "sponge", "spoon", "squid", "stereo", "stork",
    "studio", "subway", "sultan", "summer", "sunset", "swan", "syrup", "teapot", "temple", "tennis", "throne",
    "tiara", "tiger", "tissue", "toast", "topaz", "train", "trophy", "tulip", "tunnel", "turtle", "tuxedo",
    "tweed", "unity", "urban", "usher", "utopia", "vacuum", "valley", "vessel", "video", "violet", "vortex",
    "voyage", "waffle", "walnut", "wheat", "whisk", "willow", "wisdom", "wolf", "wombat", "yacht", "yogurt",
    "zigzag", "zinc", "zodiac"
};

const char *
ilea_sas_word(uint8_t number)
{
    return words[number];
}

static void
hash_sides(const struct ilea_sas_side *one, const struct ilea_sas_side *other,
           uint8_t hash[ILEA_HASH_SIZE])
{
    /* Public values, compared to put them in order. */
    bool in_order = memcmp(one, other, sizeof *one) < 0;
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_SAS);
    ilea_hash_add_u64(&hasher, FOR_CODE);
    ilea_hash_add(&hasher, in_order ? one : other, sizeof *one);
    ilea_hash_add(&hasher, in_order ? other : one, sizeof *one);
    ilea_hash_end(&hasher, hash);
}

static void
to_sas(const uint8_t bytes[ILEA_HASH_SIZE], struct ilea_sas *sas)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) number = number << 8 | bytes[i];
    number %= DIGITS_MODULUS;
    for (int i = ILEA_SAS_DIGITS - 1; i >= 0; i--) {
        sas->digits[i] = (char)('0' + number % 10);
        number /= 10;
    }
    sas->digits[ILEA_SAS_DIGITS] = '\0';
    for (int i = 0; i < ILEA_SAS_WORDS; i++) sas->words[i] = ilea_sas_word(bytes[8 + i]);
}

void
ilea_sas_commitment(const struct ilea_sas_side *side, uint8_t commitment[ILEA_HASH_SIZE])
{
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_SAS);
    ilea_hash_add_u64(&hasher, FOR_COMMITMENT);
    ilea_hash_add(&hasher, side, sizeof *side);
    ilea_hash_end(&hasher, commitment);
}

void
ilea_sas_online(const struct ilea_sas_side *one, const struct ilea_sas_side *other, struct ilea_sas *sas)
{
    uint8_t hash[ILEA_HASH_SIZE];
    hash_sides(one, other, hash);
    to_sas(hash, sas);
}

enum ilea_error
ilea_sas_offline(const struct ilea_sas_side *one, const struct ilea_sas_side *other, struct ilea_sas *sas)
{
    ilea_assert(sodium_is_zero(one->nonce, sizeof one->nonce) == 1);
    ilea_assert(sodium_is_zero(other->nonce, sizeof other->nonce) == 1);
    uint8_t hash[ILEA_HASH_SIZE], salt[ILEA_HASH_SIZE], slow[ILEA_HASH_SIZE];
    hash_sides(one, other, hash);
    struct ilea_hasher hasher;
    ilea_hash_begin(&hasher, ILEA_DOMAIN_SAS);
    ilea_hash_add_u64(&hasher, FOR_SALT);
    ilea_hash_end(&hasher, salt);
    _Static_assert(sizeof salt >= crypto_pwhash_SALTBYTES, "enough salt");
    if (crypto_pwhash(slow, sizeof slow, (const char *)hash, sizeof hash, salt, PASSES, MEMORY,
                      crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return ILEA_ERROR_NO_MEMORY;
    }
    to_sas(slow, sas);
    return ILEA_ERROR_NONE;
}

static bool
is_gap(char c)
{
    return c == ' ' || c == '-';
}

/* The next word of *text against `word`; -1: there is none, 0: another, 1: the same. */
static int
take_word(const char **text, const char *word)
{
    while (is_gap(**text)) (*text)++;
    if (**text == '\0') return -1;
    bool same = true;
    for (; **text != '\0' && !is_gap(**text); (*text)++) {
        char c = **text;
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        if (c != *word) same = false;
        if (*word != '\0') word++;
    }
    return same && *word == '\0' ? 1 : 0;
}

enum ilea_sas_match
ilea_sas_compare(const struct ilea_sas *sas, const char *typed)
{
    bool same = true;
    for (int i = 0; i < ILEA_SAS_DIGITS; i++, typed++) {
        while (is_gap(*typed)) typed++;
        if (*typed < '0' || *typed > '9') return ILEA_SAS_BAD_LENGTH;
        if (*typed != sas->digits[i]) same = false;
    }
    if (*typed != '\0' && !is_gap(*typed)) return ILEA_SAS_BAD_LENGTH;
    int found = 0;
    for (int i = 0; i < ILEA_SAS_WORDS; i++) {
        int word = take_word(&typed, sas->words[i]);
        if (word < 0) break;
        if (word == 0) same = false;
        found++;
    }
    while (is_gap(*typed)) typed++;
    if ((found != 0 && found != ILEA_SAS_WORDS) || *typed != '\0') return ILEA_SAS_BAD_LENGTH;
    return same ? ILEA_SAS_EQUAL : ILEA_SAS_DIFFERENT;
}
