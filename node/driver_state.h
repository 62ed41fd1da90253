/*
 * driver_state.h - the daemon's memory, shared by driver*.c alone.
 */
#ifndef ILEA_NODE_DRIVER_STATE_H
#define ILEA_NODE_DRIVER_STATE_H

#include "node/agency.h"
#include "node/audience_log.h"
#include "node/blob_file.h"
#include "node/child.h"
#include "node/control_bundle.h"
#include "node/control_document.h"
#include "node/control_server.h"
#include "node/damage.h"
#include "node/driver.h"
#include "node/link_frame.h"
#include "node/lobby_desk.h"
#include "node/log.h"
#include "node/receipts.h"
#include "replication/core/replicator.h"
#include "replication/core/transfer.h"

enum {
    TURN_BYTES = 4 * 1024 * 1024,      /* taken in before a group commit */
    LINK_OUT_MAX = 24 * 1024 * 1024,   /* bytes on their way to ilea-link; more: the peer's session is dropped */
    RESTART_MS_MIN = 100, RESTART_MS_MAX = 5000,
    KEY_SWAP_MS = 2000,                /* to twice that: a peer that changed its transport key is tried with another */
    ILEA_PEER_KEYS_MAX = 8,            /* so often may it change between two meetings */
    FALLBACK_DIAL_MS = 300,            /* the peer should dial us and does not: we dial it */
    SUSPECT_DEATHS = 3, SUSPECT_WINDOW_MS = 60000, SUSPECT_MS_MIN = 60000, SUSPECT_MS_MAX = 3600000,
    RECEIPT_GATHER_MS = 1000,          /* what came or changed meanwhile goes together */
    RECEIPT_MS = 10000,                /* between two receipts of ours for one author */
    RECEIPT_OWN_MS = 30000,            /* the same, where only what we wrote ourselves is new */
    RECEIPT_DETOUR_MS = 5000,          /* an author's link is down: what it did not get goes over others */
    DOCUMENT_OUT_MAX = 1024 * 1024,    /* bytes on their way to ilea-link; more: chunks wait, and commits pass */
    AUDIENCES_DUE_MAX = 64,            /* of which more is known since the last group commit; more: all */
    DOCUMENTS_OPEN_MAX = 4,            /* that are being served */
    DOCUMENTS_ASKED_MAX = 16,          /* that commands wait for */
    DOCUMENT_REST_MS = 5000,           /* before one that nobody has is tried again, or one that did not fit */
    DOCUMENT_IDLE_MS = 60000,          /* nothing is wanted that could be fetched: look again after it */
    DOCUMENT_ASKED_MS = 60000,         /* a command that has not asked for so long is gone */
    SWEEP_ROWS = 256,                  /* looked at in one turn */
    SWEEP_MS = 3600000,                /* what lies in blobs/ and belongs to nothing is looked for so often */
    SWEEP_FRESH_S = 30 * 24 * 3600,    /* and is left alone for so long: its record may come back from peers */
    READERS_CHECK_MS = 60000, REQUESTS_CHECK_MS = 60000, GRANTS_CHECK_MS = 30000, RETIRE_CHECK_MS = 5000,
    ERASE_CHECK_MS = 10 * 60 * 1000,
    RETRY_MS = 1000,
    BEHIND_MS = 60000,                 /* so long we lack what an agency says it has for us, and then status says so */
    BEHIND_CHECK_MS = 5000,
    SCRUB_BYTES = 1024 * 1024, SCRUB_MS = 1000, /* so much of the log is checked at once, so often */
    SCRUB_REST_MS = 24 * 3600 * 1000, SCRUB_AGAIN_MS = 60000 /* after a pass; after one that found damage */
};

_Static_assert((int)ILEA_LINKS_MAX <= (int)ILEA_LINK_PEERS_MAX, "a number in ilea-link for every link");
_Static_assert((int)ILEA_MESSAGE_SIZE_MAX == (int)ILEA_LINK_MESSAGE_MAX, "a message fits ilea-link's frames");

/* An approved peer: its number is the link's in the replicator and in ilea-link. */
struct peer {
    bool exists;
    struct ilea_agency_id agency;
    struct ilea_transport_public transport; /* in use with it */
    struct ilea_transport_public keys[ILEA_PEER_KEYS_MAX]; /* tried in turn while it is down; the newest first */
    uint32_t key_count, key;
    bool relays;
    char code[ILEA_CODE_SIZE_MAX + 1];
    char endpoint[ILEA_ENDPOINT_SIZE_MAX + 1];
    bool dials;                /* by the rule: ours is the lower key, or we cannot be dialled */
    bool dials_too;            /* the fallback */
    bool up;                   /* it had a session when last looked at */
    uint64_t down_since_ms, swap_ms;
    uint32_t suspicions;       /* ilea-link died while it was talking */
    uint64_t shunned_until_ms; /* kept away from ilea-link */
};

/* A process of ours that is started again when it ends. */
struct helper {
    struct ilea_child child;
    uint64_t restart_ms, backoff_ms, started_ms;
};

/* A message of a ceremony on its way to the other side's lobby, by the hands of its admin's command. */
struct call {
    struct ilea_agency_id agency;
    struct ilea_lobby_challenge challenge;
    struct ilea_lobby_secret *reply; /* NULL: none is on its way */
};

/* The lobby as the daemon has it. */
struct lobby {
    struct ilea_desk desk;
    struct ilea_ceremonies ceremonies;
    struct call calls[ILEA_CEREMONIES_MAX];
    struct ilea_lobby_counts door, door_before; /* told by ilea-link; of those before it */
    bool is_told;                    /* ilea-link was asked to open it */
    bool is_open;
    bool had_ceremony;               /* as ilea-link was told */
    char text[ILEA_CONFIG_VALUE_SIZE]; /* where it is open, or why not */
    uint64_t shut_until_ms;          /* kept closed: ilea-link died again and again */
};

/* Receipts with the peer of a link. */
struct receipt_link {
    uint64_t session;                /* of the replicator; 0: none */
    bool asked;                      /* the peer said how far it has ours */
    bool in_flight;                  /* some are on their way to it, and it has not said so again */
    bool warned;                     /* a receipt from it was dropped, and that was logged */
    bool ack_due;                    /* what it gave is in the open transaction, or durable: say so */
    uint64_t after;                  /* it needs nothing up to this stamp */
    uint64_t retry_ms;               /* nothing is given before */
    uint64_t detour_ms;              /* its link went down: 0, or when what it did not get takes other ways */
};

/* What one author is to be told. */
struct receipt_due {
    struct ilea_agency_id author;
    bool due, issued;                /* something changed; it was told since the start */
    uint64_t changed_ms, issued_ms;
    uint64_t own_ms;                 /* when we first wrote something that it was not told of yet; 0: nothing */
    uint8_t content[ILEA_HASH_SIZE]; /* hash of what it was told */
};

struct receipts {
    struct receipt_link links[ILEA_LINKS_MAX];
    struct receipt_due dues[ILEA_AGENCIES_MAX];
    uint32_t due_count;
    uint64_t stamp, stamp_ms;        /* the newest that is durable, and when it was first seen */
    uint64_t retry_ms;               /* no author is told anything before */
};

/* An agency that says it has more for us than we hold. */
struct gap {
    struct ilea_agency_id agency;
    uint64_t told, held;
    uint64_t since_ms, asked_ms;     /* nothing came since; all links were asked */
    bool is_shown;
};

struct gaps {
    struct gap list[ILEA_CONTROL_BEHIND_MAX];
    uint32_t count;
    uint64_t check_ms;
    uint32_t feed;                   /* where the log is being checked: number and seq of what comes next */
    uint64_t seq, scrub_ms;
    uint64_t suspect;                /* a position of the log that could not be read; 0: none */
    uint64_t found, damaged;         /* in this pass; in the one before, less what was repaired */
    uint64_t repaired;
};

/* Documents with the peer of a link. */
struct document_link {
    uint64_t session;                /* of the replicator; 0: none */
    struct {
        struct ilea_blob_id root;
        uint64_t index;
    } queue[ILEA_ASK_CHUNKS_MAX];    /* it asked for them, and is entitled to them */
    uint32_t queue_count;
    uint64_t index;                  /* the chunk that is being put together, */
    uint32_t got, total;             /* its bytes so far and in the end, */
    uint8_t *bytes;                  /* ILEA_BLOB_SEALED_MAX; NULL: none */
};

struct documents {
    struct ilea_transfer *transfer;  /* of the one that is being fetched, */
    struct ilea_blob_file *file;     /* its files; NULL: none is, */
    struct ilea_document_row row;    /* and what the log says of it */
    struct document_link links[ILEA_LINKS_MAX];
    struct {
        struct ilea_blob_id root;
        struct ilea_blob_file *file; /* NULL: free */
        uint64_t used_ms;
    } open[DOCUMENTS_OPEN_MAX];
    struct {
        struct ilea_blob_id root;
        enum ilea_document_state state;
        uint64_t retry_ms, heard_ms;
    } asked[DOCUMENTS_ASKED_MAX];    /* the last first */
    uint32_t asked_count;
    struct ilea_blob_id last;        /* the one tried last */
    uint64_t rest_ms;                /* nothing is begun before */
    uint32_t turn;                   /* the link that is served next */
    uint8_t *sealed;                 /* a chunk being sent */

    bool was_current;                /* the view has come as far as the log once */
    uint64_t seen;                   /* of the view's count of documents: what was swept; UINT64_MAX: nothing yet */
    enum { SWEEP_NOT, SWEEP_VIEW, SWEEP_LOG, SWEEP_DISK } sweep;
    struct ilea_view_document sweep_view; /* where it has come to */
    struct ilea_blob_id sweep_log;
    uint64_t sweep_count, sweep_disk_ms;
};

/* Closed audiences. */
struct audiences {
    struct ilea_audience_cache *durable; /* by what is durable, */
    struct ilea_audience_cache *open;    /* and by what is in the open transaction */
    struct ilea_audience_id due[AUDIENCES_DUE_MAX]; /* more is known of them, in the open transaction */
    uint32_t due_count;
    bool all_due;                        /* of all, or of more than there is room for */
};

struct driver {
    struct ilea_node *node;
    const char *listen;
    const struct ilea_span *passphrase;
    struct ilea_logger logger;
    struct ilea_replicator *replicator;
    struct ilea_effects effects;
    struct ilea_control_server *control; /* borrowed: it outlives a reload */
    struct peer peers[ILEA_LINKS_MAX];

    struct helper link;
    struct ilea_link_pipe pipe;
    uint64_t link_restarts;
    uint32_t last_talker;           /* link whose message came last */
    uint64_t deaths_since_ms;
    uint32_t deaths;
    bool bind_failed;

    struct helper worker;
    uint8_t report[8];              /* of the worker, being received */
    size_t report_size;
    uint64_t view_position;
    bool view_is_full;              /* the worker ended for want of space, and has reported nothing since */
    uint32_t next_generation;       /* being rebuilt beside the current one; 0: no */

    struct ilea_feed_id *archive_due;  /* they, or what they name, may be archived since the last commit */
    uint32_t archive_count, archive_capacity;

    struct ilea_imported imported;  /* by IMPORT events since it was last set to zeros */
    struct bundle *bundle;          /* being taken in; NULL: none is */

    bool strays;                    /* the view reported since it was last asked what is left over of erased records */
    bool stored;                    /* STOREs are in the open transaction */
    bool trouble;                   /* the log cannot be written: retry at retry_ms */
    uint64_t retry_ms, readers_check_ms, grants_check_ms, retire_check_ms, requests_check_ms,
        erase_check_ms;
    uint64_t watchdog_ms, watchdog_due_ms;
    bool stopping;
    bool reloading;                 /* our own manifest changed: the node is closed and opened again */
    struct lobby lobby;
    struct receipts receipts;
    struct gaps gaps;
    struct documents documents;
    struct audiences audiences;
    uint8_t *message;               /* a frame being composed */
};

/* driver.c */
void ilea_driver_log_error(struct driver *driver, const char *event, enum ilea_error error);

/* driver_effects.c */
void ilea_driver_commit_turn(struct driver *driver);
enum ilea_error ilea_driver_load_replicator(struct driver *driver);
void ilea_driver_recover(struct driver *driver, const char *what, enum ilea_error error);
void ilea_driver_step(struct driver *driver, struct ilea_event *event);
void ilea_driver_tell_feed(struct driver *driver, const struct ilea_feed_row *feed);
/* Of the peer at the other end of a link; of ILEA_NO_LINK "bundle". */
const char *ilea_driver_peer_code(const struct driver *driver, uint32_t link);
enum ilea_error ilea_driver_transaction(struct driver *driver);

/* driver_audience.c */
enum ilea_error ilea_driver_begin_audiences(struct driver *driver);
void ilea_driver_end_audiences(struct driver *driver);
/* May an agency be told of an audience's feeds? */
bool ilea_driver_is_entitled(struct driver *driver, const struct ilea_agency_id *agency,
                             const struct ilea_audience_id *audience);
/* A commit that was stored says more of it. */
void ilea_driver_touch_audience(struct driver *driver, const struct ilea_audience_id *audience);
/* Before the group commit, in it: hand keys of ours to those who may have them by what came. */
enum ilea_error ilea_driver_hand_over(struct driver *driver);
/* After it, before anything of it is told: others may be told of their feeds now, or not any more. */
void ilea_driver_tell_audiences(struct driver *driver);
/* Who is followed has changed, or what counts of a feed. */
void ilea_driver_tell_all_audiences(struct driver *driver);

/* driver_ceremony.c */
void ilea_driver_ceremony(struct driver *driver, struct ilea_control_client *client, struct ilea_span body);
void ilea_driver_ceremony_came(struct driver *driver, uint32_t number, const struct ilea_lobby_challenge *challenge,
    struct ilea_span message);
void ilea_driver_end_ceremonies(struct driver *driver);

/* driver_link.c */
enum ilea_error ilea_driver_apply(struct driver *driver, const struct ilea_agency_id *agency);
void ilea_driver_apply_agency(struct driver *driver, const struct ilea_agency *agency);
bool ilea_driver_awaits_dial(const struct peer *peer);
void ilea_driver_check_peers(struct driver *driver, uint64_t now);
void ilea_driver_link_ended(struct driver *driver, int code);
enum ilea_error ilea_driver_load_agencies(struct driver *driver, struct ilea_transaction *txn);
bool ilea_driver_read_link(struct driver *driver);
void ilea_driver_send_link(struct driver *driver, enum ilea_link_kind kind, uint32_t peer,
    struct ilea_span first, struct ilea_span second);
void ilea_driver_start_link(struct driver *driver);
/* The transport key that we serve and dial with: the old one for as long as some peer knows no other. */
const struct ilea_transport_secret *ilea_driver_transport(const struct driver *driver);
void ilea_driver_retire_transport(struct driver *driver);

/* driver_erase.c */
void ilea_driver_tend_erased(struct driver *driver, uint64_t now);

/* driver_bundle.c */
void ilea_driver_end_bundle(struct driver *driver);

/* driver_log.c */
void ilea_driver_archive(struct ilea_transaction *txn, const struct ilea_agency_id *agency,
    struct ilea_archive *archive);
void ilea_driver_feed_state(const struct ilea_feed_row *row, struct ilea_event_feed *feed);
struct ilea_transaction *ilea_driver_read(struct driver *driver, struct ilea_transaction **own);
void ilea_driver_replicator_log(struct driver *driver, struct ilea_replicator_log *log);
void ilea_driver_send_commits(struct driver *driver, const struct ilea_effect *effect);
void ilea_driver_send_fork(struct driver *driver, const struct ilea_effect *effect);
void ilea_driver_send_manifests(struct driver *driver, const struct ilea_effect *effect);

/* driver_trust.c */
void ilea_driver_blame(struct driver *driver, uint32_t link, enum ilea_error error);
void ilea_driver_judge(struct driver *driver, const struct ilea_effect *effect);
void ilea_driver_note_archived(struct driver *driver, const struct ilea_feed_row *feed, bool was_archived,
    struct ilea_span bytes);
void ilea_driver_tell_archived(struct driver *driver);

/* driver_receipts.c */
/* SIDE from a peer; the error is trouble of ours. */
enum ilea_error ilea_driver_side(struct driver *driver, uint32_t link, struct ilea_span body);
/* What we hold of an author's feeds changed, or may have. */
void ilea_driver_touch_receipt(struct driver *driver, const struct ilea_agency_id *author);
/* The log was loaded anew: nothing is known to have been said. */
void ilea_driver_reset_receipts(struct driver *driver);
void ilea_driver_tend_receipts(struct driver *driver, uint64_t now);
uint64_t ilea_driver_receipts_due(const struct driver *driver);

/* We wrote something that others may have: they are told how much there is. */
void ilea_driver_own_changed(struct driver *driver);

/* driver_gaps.c */
void ilea_driver_tend_gaps(struct driver *driver, uint64_t now);
/* What lies at a position of the log may be damaged. */
void ilea_driver_suspect(struct driver *driver, uint64_t position);
enum ilea_error ilea_driver_repair(struct driver *driver, const struct ilea_effect *effect);
void ilea_driver_tell_gaps(const struct driver *driver, struct ilea_transaction *txn,
    struct ilea_control_status *status);
/* driver_documents.c */
/* An approved peer may have a document of ours or of others: the one place where that is decided. */
bool ilea_driver_may_have(struct driver *driver, uint32_t link, const struct ilea_document_row *row);
/* May the peer be asked for it? To ask is to tell that there is such a document: of one that records in closed
 * audiences alone name, its author and who is allowed there. */
bool ilea_driver_may_ask(struct driver *driver, uint32_t link, const struct ilea_document_row *row);
/* Does a record here name it? True too where that cannot be said. */
bool ilea_driver_names_document(const struct driver *driver, const struct ilea_blob_id *root);
/* No record names it any more: its files go, and its row. BUSY: the files could not be removed; try again. */
enum ilea_error ilea_driver_drop_document(struct driver *driver, const struct ilea_blob_id *root);
/* A command waits for one. */
void ilea_driver_want_document(struct driver *driver, const struct ilea_blob_id *root, uint32_t damaged,
    struct ilea_control_document *answer);
/* The sessions are over. */
void ilea_driver_reset_documents(struct driver *driver);
void ilea_driver_end_documents(struct driver *driver);
void ilea_driver_tend_documents(struct driver *driver, uint64_t now);
uint64_t ilea_driver_documents_due(const struct driver *driver);
/* Open the list of a document with the key of any record that names it. Errors as ilea_blob_file_list(). */
enum ilea_error ilea_driver_open_list(struct driver *driver, struct ilea_blob_file *file,
    const struct ilea_blob_id *root, struct ilea_span sealed);
/* The one that is being fetched is put aside; `state`: why. */
void ilea_driver_stop_document(struct driver *driver, enum ilea_document_state state);

/* driver_transfer.c */
/* A SIDE body of one of the forms of record/document.h; the error is trouble of the peer's. */
enum ilea_error ilea_driver_document_side(struct driver *driver, uint32_t link, uint32_t form, struct ilea_span body);
void ilea_driver_ask_chunks(struct driver *driver, uint64_t now);
void ilea_driver_serve_chunks(struct driver *driver);
bool ilea_driver_has_chunks_to_serve(const struct driver *driver);
void ilea_driver_follow_document_sessions(struct driver *driver, uint64_t now);
void ilea_driver_close_served(struct driver *driver, const struct ilea_blob_id *root);

/* driver_lobby.c */
bool ilea_driver_lobby_frame(struct driver *driver, const struct ilea_link_frame *frame);
void ilea_driver_lobby_status(struct driver *driver, struct ilea_control_client *client);
void ilea_driver_lobby_link_ended(struct driver *driver);
void ilea_driver_open_lobby(struct driver *driver);
void ilea_driver_seal(struct driver *driver, struct ilea_control_client *client, struct ilea_span body);
bool ilea_driver_shut_lobby(struct driver *driver, uint64_t now);
void ilea_driver_tell_invites(struct driver *driver);
void ilea_driver_tend_lobby(struct driver *driver, uint64_t now);

/* driver_view.c */
bool ilea_driver_abandon_view(struct driver *driver);
void ilea_driver_read_worker(struct driver *driver);
void ilea_driver_start_worker(struct driver *driver);
void ilea_driver_worker_ended(struct driver *driver, int code);

/* driver_requests.c */
void ilea_driver_check_grants(struct driver *driver);
void ilea_driver_serve_client(struct driver *driver, struct ilea_control_client *client,
    struct ilea_put *put, size_t *budget);

#endif
