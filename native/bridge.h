/* The whole boundary between Python and the native library.
 *
 * cffi reads this file when the package is built (see cdef.py), so struct layouts and constants have
 * this one source.  It names no PHP type and no Python type.
 *
 * Order of calls in a pool manager:  kraal_php_start  …fork…  kraal_nurse  …fork…  kraal_serve*  kraal_php_stop.
 * kraal_serve returns for rare events only; the worker acts on the outcome and calls it again. */
#ifndef KRAAL_BRIDGE_H
#define KRAAL_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

/* ---------------------------------------------------------------- scoreboard
 * A memory file: one header, then one slot per worker.  A slot has one writer, the worker in it;
 * `sequence` is odd while it writes.  Readers treat everything as foreign input. */

#define KRAAL_SCOREBOARD_MAGIC 0x6b726c31
#define KRAAL_METHOD_SIZE 16
#define KRAAL_USER_SIZE 32
#define KRAAL_PATH_SIZE 256
#define KRAAL_QUERY_SIZE 512
#define KRAAL_ERROR_SIZE 512
#define KRAAL_OPCACHE_FIGURES 13

enum kraal_stage {
	KRAAL_STAGE_IDLE = 1,
	KRAAL_STAGE_READING_HEADERS = 2,
	KRAAL_STAGE_INFO = 3,
	KRAAL_STAGE_RUNNING = 4,
	KRAAL_STAGE_ENDING = 5,
	KRAAL_STAGE_FINISHING = 6
};

/* Whether a worker script stays loaded in a worker; see resident.h. */
enum kraal_residence {
	KRAAL_ORDINARY = 0,
	KRAAL_RESIDENT_AWAY = 1, /* a resident whose script does not run, or boots */
	KRAAL_RESIDENT_UP = 2
};

/* How a request that has run too long is to end; see overtime.h. */
#define KRAAL_OVERTIME_SIGNAL 40 /* a real-time signal */
enum kraal_overtime {
	KRAAL_OVERTIME_STOP = 1, /* with a fatal error: PHP runs its shutdown functions */
	KRAAL_OVERTIME_KILL = 2  /* with the worker, by SIGTERM */
};

/* Where what is to be read of a worker's memory from outside stands; see layout.c.  Addresses are the same in all
 * workers of a manager, as they were forked from it.  All else is bytes from the start of a structure. */
struct kraal_layout {
	uint64_t current_frame;      /* address of a pointer to the innermost zend_execute_data */
	uint64_t exception_op;       /* address of the opcodes that a frame points to while it throws */
	uint64_t exception_op_end;
	uint64_t before_exception;   /* address of a pointer to the opcode that threw */
	uint64_t generator_class;    /* address of the class Generator */
	uint64_t script;             /* address of a pointer to the main script's name, a char * */
	uint64_t request;            /* address of a pointer to the running struct sapi_request */
	uint32_t frame_size, frame_opline, frame_func, frame_this, frame_info, frame_previous;
	uint32_t kind_mask, kind_top, kind_nested;  /* of frame_info: what kind of code a frame runs */
	uint32_t flag_top, flag_generator;          /* of frame_info: it was called from C; it is resumed */
	uint32_t type_mask, type_object;            /* of frame_info: what frame_this is */
	uint32_t function_size, function_type, function_name, function_class;
	uint32_t internal_function;  /* the type of one that is written in C; it has none of the following */
	uint32_t function_file, function_opcodes, function_last, function_line_start, function_line_end;
	uint32_t opcode_size, opcode_line;
	uint32_t string_length, string_text;
	uint32_t class_name;
	uint32_t object_class;
	uint32_t generator_frame, generator_parent;
	uint32_t request_connection, connection_pairs, connection_pair_count;
	uint32_t pair_size, pair_name, pair_value, pair_name_size, pair_value_size;
};

struct kraal_scoreboard {
	uint32_t magic;
	uint32_t slot_count;
	uint32_t slot_size;
	uint32_t active;       /* atomic; only `max_active` leans on it, status counts the slots */
	int64_t started_at;    /* seconds since the epoch */
	uint64_t accepted;     /* atomic: requests taken, in all slots that ever were */
	uint64_t slow;         /* atomic */
	uint32_t max_active;   /* atomic */
	uint32_t max_children_reached;
	uint32_t parked;       /* atomic: workers that leave new connections to others */
	uint32_t alarm;        /* atomic: so many active workers wake the manager; 0: no number does */
	uint64_t log_lost;     /* atomic: lines of the access log that nobody has */
	uint32_t log_untold;   /* atomic: how many of them the error log was not told of */
	int32_t log_error;     /* errno of the last of them */
	int64_t log_told_at;   /* atomic: CLOCK_MONOTONIC seconds */
	uint32_t residents_active; /* atomic: residents are not among the `active` */
	uint32_t queue;        /* atomic: connections that waited when somebody looked last */
	uint32_t queue_limit;  /* atomic: and how many could */
	uint32_t max_queue;    /* atomic: the most that were seen */
	uint64_t connections;  /* atomic: taken from the listener */
	uint64_t memory_peak;  /* atomic: the most memory that a request needed, see the slot's `memory` */
	uint64_t turned_away;  /* written by the manager: requests that it has answered with 503, see manager/shedding.py */
	uint8_t reserved[8];
	uint64_t opcache[KRAAL_OPCACHE_FIGURES]; /* what OPcache said of itself when its manager asked; see opcache.c */
	struct kraal_layout layout;  /* for programs that look into workers */
};

struct kraal_slot {
	uint32_t sequence;     /* odd while the worker writes */
	int32_t pid;           /* 0: the slot is free; written by the worker and its manager */
	uint32_t stage;        /* enum kraal_stage */
	uint16_t holding;      /* how many connections it has */
	uint16_t parked;       /* it counts in the header's `parked` */
	uint64_t requests;
	int64_t started_at;    /* of the worker, seconds since the epoch */
	int64_t accepted_ns;   /* of the request, CLOCK_MONOTONIC */
	int64_t finished_ns;   /* of the last request, CLOCK_MONOTONIC */
	int64_t cpu_ns;        /* processor time of the last request */
	uint64_t memory;       /* peak bytes of PHP's memory manager in the last request */
	uint64_t content_length;
	int64_t waited_ns;     /* of the request, before it came here, as the web server says; -1: it does not */
	uint64_t error_request; /* the request (its number in `requests`) that `error` is of */
	uint64_t overtime;     /* written by the manager: the request (its number in `requests`) that is to end */
	uint32_t overtime_step; /* written before it: enum kraal_overtime */
	uint32_t cached;       /* it uses what OPcache shares, see cachelock.h */
	uint32_t residence;    /* enum kraal_residence */
	char method[KRAAL_METHOD_SIZE];
	char user[KRAAL_USER_SIZE];
	char uri[KRAAL_PATH_SIZE];      /* SCRIPT_NAME, as php-fpm calls it */
	char query[KRAAL_QUERY_SIZE];
	char script[KRAAL_PATH_SIZE];
	char error[KRAAL_ERROR_SIZE];   /* the last that PHP raised */
};

/* For the manager: take back the slot of a worker that is gone, whatever it left in it, and take it out
 * of the counters, which the living go on using. */
void kraal_slot_vacate(void *scoreboard, uint32_t slot);

/* For the manager: have the worker in a slot end its request of that number, if it is still at it.  The signal
 * is the caller's. */
void kraal_slot_overtime(void *scoreboard, uint32_t slot, uint64_t request, enum kraal_overtime step);

/* Note how many connections wait in the listener, and how many can.  Anybody may who has looked. */
void kraal_queue_note(void *scoreboard, uint32_t waiting, uint32_t limit);

/* For the manager: have the worker that makes it so many active ones write to the alarm, once.  0: none.
 * Look at the slots afterwards: who became active before this has not rung. */
void kraal_alarm_set(void *scoreboard, uint32_t active);

/* ---------------------------------------------------------------- ledger
 * Another memory file: what a pool has done since the master was started.  All generations of the pool write to the
 * same one, those of another version, too: so members are only ever added, at the end, and never change their
 * meaning.  All counters are atomic. */

#define KRAAL_LEDGER_MAGIC 0x6b726c32
#define KRAAL_LEDGER_SIZE 4096

/* Where the buckets of a histogram end, in microseconds; one more is for what takes longer. */
enum kraal_bound {
	KRAAL_BOUND_0 = 1000, KRAAL_BOUND_1 = 2500, KRAAL_BOUND_2 = 5000,
	KRAAL_BOUND_3 = 10000, KRAAL_BOUND_4 = 25000, KRAAL_BOUND_5 = 50000,
	KRAAL_BOUND_6 = 100000, KRAAL_BOUND_7 = 250000, KRAAL_BOUND_8 = 500000,
	KRAAL_BOUND_9 = 1000000, KRAAL_BOUND_10 = 2500000, KRAAL_BOUND_11 = 5000000,
	KRAAL_BOUND_12 = 10000000, KRAAL_BOUND_13 = 30000000, KRAAL_BOUND_14 = 60000000
};
#define KRAAL_BUCKETS 16

struct kraal_histogram {
	uint64_t buckets[KRAAL_BUCKETS];
	uint64_t sum_ns;
};

/* Why a worker has ended; see manager/exit_reason.py. */
enum kraal_ending {
	KRAAL_ENDING_STOPPED = 0, KRAAL_ENDING_SPARE = 1, KRAAL_ENDING_MAX_REQUESTS = 2,
	KRAAL_ENDING_MAX_MEMORY = 3, KRAAL_ENDING_TIMEOUT = 4, KRAAL_ENDING_OUT_OF_MEMORY = 5,
	KRAAL_ENDING_SIGNAL = 6, KRAAL_ENDING_ERROR = 7, KRAAL_ENDING_REPLACED = 8
};
#define KRAAL_ENDINGS 16

struct kraal_ledger {
	uint64_t magic;
	uint64_t answers[6];   /* by the first digit of the status; 0: what is none of HTTP */
	struct kraal_histogram durations; /* of requests, until the worker was idle again */
	struct kraal_histogram waits;     /* before they came here, as far as the web server says */
	uint64_t endings[KRAAL_ENDINGS];  /* of workers; enum kraal_ending */
	uint64_t lazy[2];                 /* connections that were closed; enum patience_end */
};

/* For the manager: a worker has ended. */
void kraal_ledger_ending(void *ledger, enum kraal_ending why);

/* ---------------------------------------------------------------- PHP */

struct kraal_php_settings {
	const char *ini_path;     /* -c: a file or a folder; NULL: PHP looks itself */
	int ini_ignore;           /* -n */
	int extended_info;        /* -e: compile scripts with what debuggers and profilers want */
	const char *ini_entries;  /* lines `name="value"`, stronger than php.ini; may be NULL */
	const char *executable;   /* what PHP_BINARY says; may be NULL */
};

/* Start PHP's module start-up.  Returns 0, or -1 with a sentence in error. */
int kraal_php_start(const struct kraal_php_settings *settings, char *error, size_t error_size);

/* Let scripts no longer change this ini entry.  Returns -1 if PHP has no such entry. */
int kraal_php_lock_ini(const char *name);

/* Whether a Zend extension ("Zend OPcache") is up. */
int kraal_php_has_zend_extension(const char *name);

/* Some lines for `-v`; a module list for `-m`; phpinfo as text for `-i`; the name of every ini setting, one
 * a line.  They print to stdout; `kraal` is kraal's own version. */
enum kraal_php_page {
	KRAAL_PHP_VERSION = 0,
	KRAAL_PHP_MODULES = 1,
	KRAAL_PHP_INFO = 2,
	KRAAL_PHP_SETTINGS = 3
};
int kraal_php_print(enum kraal_php_page page, const char *kraal);

/* For the manager: ask OPcache how it is, and note it.  Without OPcache nothing happens. */
void kraal_opcache_note(void *scoreboard);

/* Say where things stand in this process, after PHP was started. */
void kraal_php_layout(struct kraal_layout *layout);

/* The header that PHP puts in front of every response, or NULL if it is not to (expose_php). */
const char *kraal_php_powered_by(void);

/* Run PHP's module shutdown. */
void kraal_php_stop(void);

/* ---------------------------------------------------------------- access log
 * A format is a list of steps, which Python compiles (see logs/access.py) and C runs. */

enum kraal_log_item {
	KRAAL_ITEM_TEXT = 0,      /* `text` as it is */
	KRAAL_ITEM_CPU = 1,
	KRAAL_ITEM_DURATION = 2,
	KRAAL_ITEM_VARIABLE = 3,  /* the param called `text` */
	KRAAL_ITEM_SCRIPT = 4,
	KRAAL_ITEM_LENGTH = 5,
	KRAAL_ITEM_METHOD = 6,
	KRAAL_ITEM_MEMORY = 7,
	KRAAL_ITEM_POOL = 8,
	KRAAL_ITEM_HEADER = 9,    /* the response header called `text` */
	KRAAL_ITEM_PID = 10,
	KRAAL_ITEM_PARENT = 11,
	KRAAL_ITEM_QUERY = 12,
	KRAAL_ITEM_QUESTION = 13, /* a question mark if there is a query */
	KRAAL_ITEM_URI = 14,
	KRAAL_ITEM_REMOTE = 15,
	KRAAL_ITEM_STATUS = 16,
	KRAAL_ITEM_STARTED = 17,  /* the time, in the form of strftime that `text` is */
	KRAAL_ITEM_LOGGED = 18,
	KRAAL_ITEM_USER = 19,
	KRAAL_ITEM_ID = 20,
	KRAAL_ITEM_WAITED = 21
};

/* Units and the like; 0 is what an item has by itself. */
enum kraal_log_form {
	KRAAL_FORM_PLAIN = 0,
	KRAAL_FORM_MILLIS = 1,
	KRAAL_FORM_MICROS = 2,
	KRAAL_FORM_KILO = 3,
	KRAAL_FORM_MEGA = 4,
	KRAAL_FORM_USER = 5,
	KRAAL_FORM_SYSTEM = 6,
	KRAAL_FORM_ISO = 7        /* ISO 8601 with milliseconds */
};

struct kraal_log_step {
	uint32_t item;            /* enum kraal_log_item */
	uint32_t form;            /* enum kraal_log_form */
	const char *text;
};

struct kraal_access {
	int pipe;                 /* to the scribe; never waited for */
	const struct kraal_log_step *steps;
	uint32_t step_count;
	uint32_t json;            /* values are those of JSON, and the steps say what stands around them */
	uint32_t limit;           /* longest line, newline included; 0: no limit */
	const char *suppressed;   /* paths that are not logged, each with a newline behind it */
};

/* For a scribe: write the lines that workers put into a pipe to the file that last came through a socket, until
 * nobody has the other ends of the pipe any more.  Lines that are lost are counted in the scoreboard. */
void kraal_scribe(int pipe, int files, void *scoreboard);

/* ---------------------------------------------------------------- serving */

struct kraal_network {
	uint8_t address[16];   /* IPv6, or IPv4 as ::ffff:a.b.c.d */
	uint32_t prefix;       /* leading bits that count, 0 to 128 */
};

enum kraal_outcome {
	KRAAL_STOPPED = 0,        /* SIGQUIT: the running request was finished */
	KRAAL_SPENT = 1,          /* max_requests served; a resident says it once, and can go on */
	KRAAL_LOCAL_PAGE = 2,     /* a request for status or ping waits for kraal_answer */
	KRAAL_LISTENER_LOST = 3,  /* accept failed for good; errno tells */
	KRAAL_PHP_FAILED = 4,     /* PHP could not start a request or bailed out beyond repair */
	KRAAL_SCRIPT_ENDED = 5    /* the worker script is to be started again, by kraal_boot */
};

struct kraal_worker {
	int manager;                  /* process id of the parent */
	int listener;                 /* non-blocking, listening */
	int poke;                     /* eventfd of the pool: look again whether to listen */
	int handoff_give;             /* the two ends of the pool's SEQPACKET pair for kept connections */
	int handoff_take;
	int alarm;                    /* eventfd of the manager: see kraal_alarm_set */
	int log;                      /* SEQPACKET or DGRAM: one log line a message, or -1 */
	int catch_output;             /* standard error is read by the manager */
	const uint8_t *unfinished;    /* the manager holds text of a line that has not ended; NULL: unknown */
	int log_level;                /* the least enum kraal_level that is logged */
	uint32_t log_limit;           /* longest line of the log, newline included; 0: no limit */
	void *scoreboard;             /* start of the memory file; NULL in a zygote, which has no slot */
	void *ledger;                 /* start of the other one */
	uint32_t slot, slot_count;
	uint32_t allowed_count;
	const struct kraal_network *allowed; /* NULL: every peer */
	uint64_t max_requests;        /* 0: no limit */
	uint32_t idle_timeout;        /* seconds that connections are waited for, see patience.h; 0: for ever */
	uint32_t header_timeout, body_timeout;
	uint64_t body_buffer;         /* bytes of a body that are here before PHP runs */
	uint32_t terminate_timeout;   /* request_terminate_timeout in seconds, for its message */
	const char *extensions;       /* security.limit_extensions, separated by spaces; "" or NULL: all */
	const char *php_values;       /* security.limit_php_value, separated by spaces; NULL: all */
	const char *body_files;       /* security.limit_body_files, see bodyfile.h; NULL: all */
	const char *status_path;      /* NULL: no such page */
	const char *ping_path;        /* NULL: no such page */
	const char *script;           /* of a resident: what it runs; NULL: an ordinary worker */
	const char *match;            /* scripts that are for residents, see passing.h; NULL: there are none */
	int handoff_other;            /* if there are: where requests are given to the workers of the other kind */
	const char *pool;             /* for fpm_get_status() */
	const char *policy;
	int bounded;                  /* who waits may be turned away: fpm_get_status() says how many were */
	const struct kraal_access *access; /* NULL: no access log */
};

/* For the manager: write the access log's line of a request that it has answered itself.  `pairs` are the params as
 * FastCGI has them, `fd` is the connection; of `who` only access, pool, manager and scoreboard count. */
void kraal_log_answered(const struct kraal_worker *who, int fd, const uint8_t *pairs, size_t size, int status);

/* What the local page was asked for; valid until kraal_answer. */
struct kraal_page_request {
	const char *path;
	const char *method;
	const char *query;
};

/* A log message of a worker starts with a byte: the level, as enum kraal_level. */
enum kraal_level {
	KRAAL_LOG_DEBUG = 1,
	KRAAL_LOG_NOTICE = 2,
	KRAAL_LOG_WARNING = 3,
	KRAAL_LOG_ERROR = 4,
	KRAAL_LOG_ALERT = 5
};

/* Prepare this process as a worker: signal handling, environment hooks.  Call once, after fork.  Or as a zygote, in
 * which the worker script is booted, and that workers are forked off. */
int kraal_worker_start(const struct kraal_worker *worker);
int kraal_zygote_start(const struct kraal_worker *worker);

/* Run the worker script up to its first wait, or the hooks of a fork there.  Returns 0, or -1 if it ended before. */
int kraal_boot(void);

/* Why it has ended, when it has; one line. */
const char *kraal_script_end(void);

/* Serve requests until something happens that Python decides on.  All of `worker` must stay alive. */
enum kraal_outcome kraal_serve(const struct kraal_worker *worker);

void kraal_page_get(struct kraal_page_request *page);

/* Send head and body of the local page's response (CGI form) and end the request. */
void kraal_answer(const char *response, size_t size);

/* The nursery of a pool bears its workers, and changes nothing of what it shares with them.  With a struct kraal_birth
 * come descriptors for standard output, standard error and a file for `unfinished`, or none. */
struct kraal_birth {
	uint32_t slot, resident;
	uint64_t max_requests;
};
struct kraal_nursery {
	int line;     /* SEQPACKET: a struct kraal_birth comes, an int32_t goes, process id or -errno */
	int window;   /* where workers send their open memory, see unix/insight.py; or -1 */
	int prepare;  /* Python has something to do in each worker before it starts */
	struct kraal_worker *ordinary, *resident;
};
enum kraal_nursed { KRAAL_DISMISSED = 0, KRAAL_BORN = 1, KRAAL_SERVED = 2 };
/* Returns when the manager wants no more, and in every worker: in one that has not started and has signals blocked, or
 * with the outcome of its kraal_serve. */
enum kraal_nursed kraal_nurse(const struct kraal_nursery *nursery, struct kraal_birth *birth, enum kraal_outcome *outcome);

#pragma GCC visibility pop

#endif
