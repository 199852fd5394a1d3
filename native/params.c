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
	memset(params->names, 0, sizeof(params->names));
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

static struct param *new_pair(struct params *params)
{
	if (reserve((void **)&params->pairs, &params->capacity, params->count + 1, sizeof(struct param), 64) < 0) {
		return NULL;
	}
	return &params->pairs[params->count++];
}

/* Which bit stands for a name: names with different bits are different. */
static unsigned bit_of(const char *name, size_t size)
{
	unsigned mix = (unsigned)size;
	if (size) {
		mix += (uint8_t)name[size / 2] * 5u + (uint8_t)name[size - 1] * 11u;
	}
	return mix & 255;
}

static bool has_bit(const struct params *params, unsigned bit)
{
	return params->names[bit / 64] >> (bit % 64) & 1;
}

static void set_bit(struct params *params, unsigned bit)
{
	params->names[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* If the newest pair repeats a name, give its value to the older one. */
static void merge_newest(struct params *params)
{
	struct param *newest = &params->pairs[params->count - 1];
	unsigned bit = bit_of(newest->name, newest->name_size);
	if (!has_bit(params, bit)) {
		set_bit(params, bit);
		return;
	}
	for (size_t i = 0; i < params->count - 1; i++) {
		struct param *pair = &params->pairs[i];
		if (pair->name_size == newest->name_size && memcmp(pair->name, newest->name, pair->name_size) == 0) {
			pair->value = newest->value;
			pair->value_size = newest->value_size;
			params->count--;
			return;
		}
	}
}

int params_decode(struct params *params)
{
	size_t at = 0;
	while (at < params->text_size) {
		char *text = params->text;
		char *to = text + at;
		uint32_t name_size, value_size;
		size_t used = decode_length((uint8_t *)text + at, params->text_size - at, &name_size);
		if (!used) {
			return -1;
		}
		at += used;
		used = decode_length((uint8_t *)text + at, params->text_size - at, &value_size);
		if (!used) {
			return -1;
		}
		at += used;
		/* both are below 2^31, so the sum cannot wrap */
		if ((size_t)name_size + value_size > params->text_size - at) {
			return -1;
		}
		struct param *pair = new_pair(params);
		if (!pair) {
			return -1;
		}
		memmove(to, text + at, name_size);
		to[name_size] = '\0';
		memmove(to + name_size + 1, text + at + name_size, value_size);
		to[name_size + 1 + value_size] = '\0';
		*pair = (struct param){.name = to, .value = to + name_size + 1, .name_size = name_size, .value_size = value_size};
		at += (size_t)name_size + value_size;
		merge_newest(params);
		if (params->count > PARAMS_COUNT_MAX) {
			return -1;
		}
	}
	return 0;
}

int params_prepend(struct params *params, const char *name, const char *value)
{
	if (!new_pair(params)) {
		return -1;
	}
	memmove(params->pairs + 1, params->pairs, (params->count - 1) * sizeof(struct param));
	params->pairs[0] = (struct param){
	    .name = (char *)(uintptr_t)name,
	    .value = (char *)(uintptr_t)value,
	    .name_size = (uint32_t)strlen(name),
	    .value_size = (uint32_t)strlen(value),
	};
	set_bit(params, bit_of(name, strlen(name)));
	return 0;
}

struct param *params_find(const struct params *params, const char *name, size_t name_size)
{
	if (!has_bit(params, bit_of(name, name_size))) {
		return NULL;
	}
	/* Names often begin alike; their ends tell them apart, mostly without a call. */
	char end = name_size ? name[name_size - 1] : '\0';
	for (size_t i = params->count; i-- > 0;) {
		struct param *pair = &params->pairs[i];
		if (pair->name_size != name_size) {
			continue;
		}
		if (!name_size || (pair->name[name_size - 1] == end && memcmp(pair->name, name, name_size) == 0)) {
			return pair;
		}
	}
	return NULL;
}

char *params_get(const struct params *params, const char *name, size_t name_size)
{
	const struct param *pair = params_find(params, name, name_size);
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
		pair = own_name ? new_pair(params) : NULL;
		if (!pair) {
			return NULL;
		}
		pair->name = own_name;
		pair->name_size = (uint32_t)name_size;
		set_bit(params, bit_of(name, name_size));
	}
	pair->value = copy;
	pair->value_size = (uint32_t)value_size;
	return copy;
}
