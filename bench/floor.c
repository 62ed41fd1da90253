/*
 * floor.c - what this machine can do with the same bytes and no node: the floors that bench/run.py
 * measures in the same run as the figures.
 *
 *   floor write DIR COUNT SIZE    append COUNT values to LMDB, 2 MiB a synchronous transaction
 *   floor pipe DIR COUNT SIZE     encrypt, hash and sign at one process, CURVE over TCP on loopback, verify,
 *                                 hash, decrypt and append durably at another: the bare pipeline of a sync
 *   floor copy DIR COUNT SIZE     copy a file of COUNT pieces of SIZE bytes, hashing each, durable every 16: what
 *                                 keeping a document costs at least
 *   floor seal DIR COUNT SIZE     seal SIZE bytes to COUNT keys: what a new epoch costs at least
 *
 * Prints one JSON object: {"seconds":S,"per_second":R}.
 */
#include <fcntl.h>
#include <lmdb.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum { TRANSACTION_BYTES = 2 * 1024 * 1024, MESSAGE_BYTES = 200 * 1024, NONCE = 24, TAG = 16 };

static void
check(int good, const char *what)
{
    if (good) return;
    fprintf(stderr, "floor: %s failed\n", what);
    exit(1);
}

static double
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

struct log {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi database;
    uint64_t last;
    size_t pending;
};

static void
log_open(struct log *log, const char *folder)
{
    memset(log, 0, sizeof *log);
    check(mdb_env_create(&log->env) == 0 && mdb_env_set_mapsize(log->env, (size_t)4 << 30) == 0
              && mdb_env_open(log->env, folder, 0, 0600) == 0
              && mdb_txn_begin(log->env, NULL, 0, &log->txn) == 0
              && mdb_dbi_open(log->txn, NULL, 0, &log->database) == 0, "opening LMDB");
}

static void
log_sync(struct log *log, int again)
{
    check(mdb_txn_commit(log->txn) == 0, "LMDB commit");
    if (again) check(mdb_txn_begin(log->env, NULL, 0, &log->txn) == 0, "LMDB begin");
    log->pending = 0;
}

static void
log_append(struct log *log, void *bytes, size_t size)
{
    uint8_t key[8];
    log->last++;
    for (int i = 0; i < 8; i++) key[i] = (uint8_t)(log->last >> (56 - 8 * i));
    MDB_val k = { sizeof key, key }, v = { size, bytes };
    check(mdb_put(log->txn, log->database, &k, &v, MDB_APPEND) == 0, "LMDB put");
    log->pending += size;
    if (log->pending >= TRANSACTION_BYTES) log_sync(log, 1);
}

static double
floor_write(const char *folder, long count, size_t size)
{
    struct log log;
    uint8_t *value = malloc(size);
    check(value != NULL, "malloc");
    randombytes_buf(value, size);
    log_open(&log, folder);
    double start = now();
    for (long i = 0; i < count; i++) {
        memcpy(value, &i, sizeof i);
        log_append(&log, value, size);
    }
    log_sync(&log, 0);
    double seconds = now() - start;
    mdb_env_close(log.env);
    free(value);
    return seconds;
}

struct keys {
    char server_public[41], server_secret[41], client_public[41], client_secret[41];
    uint8_t sign_public[32], sign_secret[64], epoch[32];
};

/* The receiver: its exit means that everything is on its disk. */
static void
receive(const struct keys *keys, const char *folder, const char *endpoint, long count, size_t size)
{
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->server_public, 40);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->client_public, 40);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->client_secret, 40);
    check(zmq_connect(socket, endpoint) == 0 && zmq_send(socket, "GET", 3, 0) == 3, "connect");
    struct log log;
    log_open(&log, folder);
    const size_t item = NONCE + size + TAG;
    uint8_t *plain = malloc(size);
    check(plain != NULL, "malloc");
    for (long got = 0; got < count;) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        check(zmq_msg_recv(&message, socket, 0) >= 0, "receive");
        uint8_t *bytes = zmq_msg_data(&message);
        size_t items = (zmq_msg_size(&message) - 64) / item;
        uint8_t hash[32];
        crypto_generichash(hash, sizeof hash, bytes + 64, items * item, NULL, 0);
        check(crypto_sign_verify_detached(bytes, hash, sizeof hash, keys->sign_public) == 0, "verify");
        for (size_t i = 0; i < items; i++) {
            uint8_t *at = bytes + 64 + i * item;
            check(crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, at + NONCE, size + TAG,
                                                             NULL, 0, at, keys->epoch) == 0, "decrypt");
        }
        log_append(&log, bytes, zmq_msg_size(&message));
        got += (long)items;
        zmq_msg_close(&message);
    }
    log_sync(&log, 0);
    mdb_env_close(log.env);
    _exit(0);
}

static double
floor_pipe(const char *folder, long count, size_t size)
{
    struct keys keys;
    char endpoint[64];
    zmq_curve_keypair(keys.server_public, keys.server_secret);
    zmq_curve_keypair(keys.client_public, keys.client_secret);
    crypto_sign_keypair(keys.sign_public, keys.sign_secret);
    randombytes_buf(keys.epoch, sizeof keys.epoch);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", 20000 + (int)getpid() % 20000);
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) receive(&keys, folder, endpoint, count, size);

    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_ROUTER);
    int one = 1, hwm = 64;
    zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys.server_secret, 40);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &one, sizeof one); /* wait instead of dropping */
    check(zmq_bind(socket, endpoint) == 0, "bind");
    char id[256], text[8];
    int id_size = zmq_recv(socket, id, sizeof id, 0);
    check(id_size > 0 && zmq_recv(socket, text, sizeof text, 0) == 3, "hello");

    const size_t item = NONCE + size + TAG, per_message = MESSAGE_BYTES / item;
    uint8_t *record = malloc(size);
    check(record != NULL, "malloc");
    randombytes_buf(record, size);
    double start = now();
    for (long sent = 0; sent < count;) {
        size_t items = (size_t)(count - sent) < per_message ? (size_t)(count - sent) : per_message;
        zmq_msg_t message;
        zmq_msg_init_size(&message, 64 + items * item);
        uint8_t *bytes = zmq_msg_data(&message);
        for (size_t i = 0; i < items; i++) {
            uint8_t *at = bytes + 64 + i * item;
            randombytes_buf(at, NONCE);
            crypto_aead_xchacha20poly1305_ietf_encrypt(at + NONCE, NULL, record, size, NULL, 0, NULL, at,
                                                       keys.epoch);
        }
        uint8_t hash[32];
        crypto_generichash(hash, sizeof hash, bytes + 64, items * item, NULL, 0);
        crypto_sign_detached(bytes, NULL, hash, sizeof hash, keys.sign_secret);
        check(zmq_send(socket, id, (size_t)id_size, ZMQ_SNDMORE) >= 0
                  && zmq_msg_send(&message, socket, 0) >= 0, "send");
        sent += (long)items;
    }
    int status;
    waitpid(child, &status, 0);
    double seconds = now() - start;
    check(status == 0, "receiver");
    free(record);
    return seconds;
}

static double
floor_seal(long count, size_t size)
{
    unsigned char (*keys)[crypto_box_PUBLICKEYBYTES] = malloc((size_t)count * sizeof *keys);
    unsigned char *message = calloc(1, size), *sealed = malloc(size + crypto_box_SEALBYTES);
    unsigned char secret[crypto_box_SECRETKEYBYTES];
    check(keys != NULL && message != NULL && sealed != NULL, "memory");
    for (long i = 0; i < count; i++) crypto_box_keypair(keys[i], secret);
    double start = now();
    for (long i = 0; i < count; i++) check(crypto_box_seal(sealed, message, size, keys[i]) == 0, "sealing");
    double seconds = now() - start;
    free(keys);
    free(message);
    free(sealed);
    return seconds;
}

/* Of a file that the page cache has, as a document that is being served. */
static double
floor_copy(const char *folder, long count, size_t size)
{
    char from[1024], to[1024];
    unsigned char *piece = malloc(size), hash[32];
    check(piece != NULL, "memory");
    (void)snprintf(from, sizeof from, "%s/from", folder);
    (void)snprintf(to, sizeof to, "%s/to", folder);
    int in = open(from, O_RDWR | O_CREAT | O_EXCL, 0600), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    check(in >= 0 && out >= 0, "open");
    for (long i = 0; i < count; i++) {
        randombytes_buf(piece, size);
        check(write(in, piece, size) == (ssize_t)size, "write");
    }
    check(fsync(in) == 0 && lseek(in, 0, SEEK_SET) == 0, "sync");
    double start = now();
    for (long i = 0; i < count; i++) {
        check(read(in, piece, size) == (ssize_t)size, "read");
        crypto_generichash(hash, sizeof hash, piece, size, NULL, 0);
        check(write(out, piece, size) == (ssize_t)size, "write");
        if (i % 16 == 15 || i + 1 == count) check(fdatasync(out) == 0, "sync");
    }
    double seconds = now() - start;
    close(in);
    close(out);
    (void)unlink(from);
    (void)unlink(to);
    free(piece);
    return seconds;
}

int
main(int argc, char **argv)
{
    check(argc == 5 && sodium_init() >= 0, "usage: floor write|pipe|seal|copy DIR COUNT SIZE;");
    long count = atol(argv[3]);
    size_t size = (size_t)atol(argv[4]);
    bool is_copy = strcmp(argv[1], "copy") == 0;
    check(count > 0 && size >= sizeof count && size < (is_copy ? 1 << 20 : MESSAGE_BYTES / 2), "COUNT and SIZE");
    check(mkdir(argv[2], 0700) == 0, "mkdir");
    double seconds = is_copy                        ? floor_copy(argv[2], count, size)
                     : strcmp(argv[1], "write") == 0 ? floor_write(argv[2], count, size)
                     : strcmp(argv[1], "seal") == 0 ? floor_seal(count, size)
                                                    : floor_pipe(argv[2], count, size);
    printf("{\"seconds\":%.6f,\"per_second\":%.0f}\n", seconds, (double)count / seconds);
    return 0;
}
