/* FastCGI params of one request: gathered from records of any cut, decoded once, in place.
 *
 * Names and values are NUL-terminated after decoding: a pair's two length fields make room for its
 * two terminators, so decoding never grows the text. */
#ifndef KRAAL_PARAMS_H
#define KRAAL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct param {
	char *name;
	char *value;        /* NULL: taken away by params_set */
	uint32_t name_size;
	uint32_t value_size;
	uint16_t older;     /* the next pair of its bucket, as in `newest` */
};

#define PARAMS_BUCKETS 128

struct params {
	char *text;
	size_t text_size, text_capacity;
	struct param *pairs;
	size_t count, capacity;
	struct param front; /* comes before all pairs; without a name there is none */
	char **owned;       /* texts made by params_set */
	size_t owned_count, owned_capacity;
	uint16_t newest[PARAMS_BUCKETS]; /* names that are mixed alike: the newest pair's place + 1; 0: there is none */
};

void params_init(struct params *params);
void params_release(struct params *params);

/* Forget the request, keep small buffers for the next one. */
void params_reset(struct params *params);

/* Bytes of memory that they take. */
size_t params_memory(const struct params *params);

/* Append raw bytes of a PARAMS record.  Returns -1 without memory or above limit. */
int params_append(struct params *params, const uint8_t *from, size_t size, size_t limit);

/* More names than any web server sends; finding equal ones would take too long. */
#define PARAMS_COUNT_MAX 4096

/* Decode all that was appended.  Returns -1 if a length points beyond the end, or if there are too many. */
int params_decode(struct params *params);

/* Put one pair in front of all others, which go before it when names are equal.  The texts are constants. */
void params_set_front(struct params *params, const char *name, const char *value);

/* The pair called name, or NULL.  Of equal names in a request the last value counts, at the first one's place. */
struct param *params_find(const struct params *params, const char *name, size_t name_size);

/* Which bucket a name is in.  Names of web servers begin alike: the middle and the end tell them apart. */
static inline unsigned params_bucket(const char *name, size_t size)
{
	unsigned mix = (unsigned)size;
	if (size) {
		mix += (uint8_t)name[size / 2] * 5u + (uint8_t)name[size - 1] * 11u;
	}
	return mix % PARAMS_BUCKETS;
}

/* For params_get: the bucket is that of the name. */
char *params_get_from(const struct params *params, unsigned bucket, const char *name, size_t name_size);

/* The value called name, or NULL.  PARAM_GET takes a string literal: its bucket is known to the compiler, and most
 * that are asked for are empty. */
#define PARAM_GET(params, literal) params_get((params), (literal), sizeof(literal) - 1)
static inline char *params_get(const struct params *params, const char *name, size_t name_size)
{
	unsigned bucket = params_bucket(name, name_size);
	bool none = !params->newest[bucket] && params->front.name_size != name_size;
	return none ? NULL : params_get_from(params, bucket, name, name_size);
}

/* Set or (value NULL) remove.  Returns the stored value; NULL when removed or without memory. */
#define PARAM_SET(params, literal, value) params_set((params), (literal), sizeof(literal) - 1, (value))
char *params_set(struct params *params, const char *name, size_t name_size, const char *value);

#endif
