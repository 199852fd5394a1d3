#include "params.h"

#include <stdlib.h>
#include <string.h>

/* Buffers above this are given back after the request that needed them. */
#define KEEP_TEXT 16384
#define KEEP_PAIRS 128

void params_init(struct params *params)
{
	memset(params, 0, sizeof(*params));
}

static void free_owned(struct params *params)
{
	for (size_t i = 0; i < params->owned_count; i++) {
		free(params->owned[i]);
	}
	params->owned_count = 0;
}

void params_release(struct params *params)
{
	free_owned(params);
	free(params->owned);
	free(params->text);
	free(params->pairs);
	params_init(params);
}

void params_reset(struct params *params)
{
	if (params->text_capacity > KEEP_TEXT || params->capacity > KEEP_PAIRS) {
		params_release(params);
		return;
	}
	free_owned(params);
	params->text_size = 0;
	params->count = 0;
	params->front = (struct param){0};
	memset(params->newest, 0, sizeof(params->newest));
}

size_t params_memory(const struct params *params)
{
	return params->text_capacity + params->capacity * sizeof(*params->pairs);
}

/* Make room for `needed` items of `item` bytes, doubling.  Returns -1 without memory. */
static int reserve(void **items, size_t *capacity, size_t needed, size_t item, size_t first)
{
	if (needed <= *capacity) {
		return 0;
	}
	size_t larger = *capacity ? *capacity : first;
	while (larger < needed) {
		larger *= 2;
	}
	void *moved = realloc(*items, larger * item);
	if (!moved) {
		return -1;
	}
	*items = moved;
	*capacity = larger;
	return 0;
}

int params_append(struct params *params, const uint8_t *from, size_t size, size_t limit)
{
	if (!size) {
		return 0;
	}
	if (size > limit - params->text_size) {
		return -1;
	}
	if (reserve((void **)&params->text, &params->text_capacity, params->text_size + size, 1, 4096) < 0) {
		return -1;
	}
	memcpy(params->text + params->text_size, from, size);
	params->text_size += size;
	return 0;
}

/* A length is one byte, or four when the high bit is set.  Returns the bytes used, 0 if cut off. */
static size_t decode_length(const uint8_t *at, size_t left, uint32_t *length)
{
	if (left >= 1 && at[0] < 0x80) {
		*length = at[0];
		return 1;
	}
	if (left >= 4) {
		*length = ((uint32_t)(at[0] & 0x7f) << 24) | ((uint32_t)at[1] << 16) | ((uint32_t)at[2] << 8) | at[3];
		return 4;
	}
	return 0;
}

static bool is_called(const struct param *pair, const char *name, size_t size)
{
	return pair->name_size == size && memcmp(pair->name, name, size) == 0;
}

static struct param *find_in(const struct params *params, unsigned bucket, const char *name, size_t size)
{
	for (size_t place = params->newest[bucket]; place; place = params->pairs[place - 1].older) {
		struct param *pair = &params->pairs[place - 1];
		if (is_called(pair, name, size)) {
			return pair;
		}
	}
	return NULL;
}

/* The pair called name, made if there is none.  Returns NULL without memory. */
static struct param *pair_called(struct params *params, char *name, uint32_t size)
{
	unsigned bucket = params_bucket(name, size);
	struct param *pair = find_in(params, bucket, name, size);
	if (pair || params->count > PARAMS_COUNT_MAX ||
	    reserve((void **)&params->pairs, &params->capacity, params->count + 1, sizeof(struct param), 64) < 0) {
		return pair;
	}
	pair = &params->pairs[params->count++];
	*pair = (struct param){.name = name, .name_size = size, .older = params->newest[bucket]};
	params->newest[bucket] = (uint16_t)params->count;
	return pair;
}

int params_decode(struct params *params)
{
	char *text = params->text;
	size_t at = 0, size = params->text_size;
	while (at < size) {
		char *name = text + at;
		uint32_t name_size, value_size;
		size_t used = decode_length((uint8_t *)text + at, size - at, &name_size);
		if (!used) {
			return -1;
		}
		at += used;
		used = decode_length((uint8_t *)text + at, size - at, &value_size);
		if (!used) {
			return -1;
		}
		at += used;
		/* both are below 2^31, so the sum cannot wrap */
		if ((size_t)name_size + value_size > size - at) {
			return -1;
		}
		memmove(name, text + at, name_size);
		name[name_size] = '\0';
		char *value = name + name_size + 1;
		memmove(value, text + at + name_size, value_size);
		value[value_size] = '\0';
		at += (size_t)name_size + value_size;
		struct param *pair = pair_called(params, name, name_size);
		if (!pair || params->count > PARAMS_COUNT_MAX) {
			return -1;
		}
		pair->value = value;
		pair->value_size = value_size;
	}
	return 0;
}

void params_set_front(struct params *params, const char *name, const char *value)
{
	params->front = (struct param){
	    .name = (char *)(uintptr_t)name,
	    .value = (char *)(uintptr_t)value,
	    .name_size = (uint32_t)strlen(name),
	    .value_size = (uint32_t)strlen(value),
	};
}

static struct param *find(const struct params *params, unsigned bucket, const char *name, size_t name_size)
{
	struct param *pair = find_in(params, bucket, name, name_size);
	if (!pair && params->front.name && is_called(&params->front, name, name_size)) {
		return (struct param *)(uintptr_t)&params->front;
	}
	return pair;
}

struct param *params_find(const struct params *params, const char *name, size_t name_size)
{
	return find(params, params_bucket(name, name_size), name, name_size);
}

char *params_get_from(const struct params *params, unsigned bucket, const char *name, size_t name_size)
{
	const struct param *pair = find(params, bucket, name, name_size);
	return pair ? pair->value : NULL;
}

/* A copy of text that lives as long as the request. */
static char *own(struct params *params, const char *text, size_t size)
{
	if (reserve((void **)&params->owned, &params->owned_capacity, params->owned_count + 1, sizeof(char *), 8) < 0) {
		return NULL;
	}
	char *copy = malloc(size + 1);
	if (!copy) {
		return NULL;
	}
	memcpy(copy, text, size);
	copy[size] = '\0';
	params->owned[params->owned_count++] = copy;
	return copy;
}

char *params_set(struct params *params, const char *name, size_t name_size, const char *value)
{
	struct param *pair = params_find(params, name, name_size);
	if (!value) {
		if (pair) {
			pair->value = NULL;
			pair->value_size = 0;
		}
		return NULL;
	}
	size_t value_size = strlen(value);
	char *copy = own(params, value, value_size);
	if (!copy || value_size > UINT32_MAX) {
		return NULL;
	}
	if (!pair) {
		char *own_name = own(params, name, name_size);
		pair = own_name ? pair_called(params, own_name, (uint32_t)name_size) : NULL;
		if (!pair) {
			return NULL;
		}
	}
	pair->value = copy;
	pair->value_size = (uint32_t)value_size;
	return copy;
}
