/* The decoder of params: a byte that says how they come in pieces, and the params. */
#include <stdlib.h>
#include <string.h>

#include "../../native/params.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(int holds)
{
	if (!holds) {
		abort();
	}
}

/* What is decoded can be found, ends in a NUL, and stands once. */
static void look(const struct params *params)
{
	for (size_t i = 0; i < params->count; i++) {
		const struct param *pair = &params->pairs[i];
		check(pair->name[pair->name_size] == '\0' && pair->value[pair->value_size] == '\0');
		check(params_find(params, pair->name, pair->name_size) == pair);
		check(params_get(params, pair->name, pair->name_size) == pair->value);
	}
}

/* What becomes of a request's params on the way to its script. */
static void change(struct params *params)
{
	params_set_front(params, "FCGI_ROLE", "RESPONDER");
	check(params_find(params, "FCGI_ROLE", 9) != NULL);
	for (size_t i = 0; i < params->count && i < 8; i++) {
		char name[64];
		size_t size = params->pairs[i].name_size;
		if (size >= sizeof(name)) {
			continue;
		}
		memcpy(name, params->pairs[i].name, size + 1);
		char *set = params_set(params, name, size, i % 2 ? "another" : NULL);
		check(i % 2 ? set && strcmp(set, "another") == 0 : !set);
		check(params_get(params, name, size) == set);
	}
	check(params_set(params, "ORIG_SCRIPT_NAME", 16, params->front.value) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct params params;  /* kept, as a worker keeps its buffers */
	if (!size) {
		return 0;
	}
	size_t longest = bytes[0] ? bytes[0] : size;
	params_reset(&params);
	for (size_t at = 1; at < size;) {
		size_t piece = longest < size - at ? longest : size - at;
		check(params_append(&params, bytes + at, piece, 1 << 20) == 0);
		at += piece;
	}
	if (params_decode(&params) == 0) {
		look(&params);
		change(&params);
	}
	return 0;
}
