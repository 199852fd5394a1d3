/* Reads formats and requests from standard input and writes the lines of the access log for them.
 *
 * A number is 8 bytes, a text its number of bytes and then these; -1 stands for no text.  All texts are copies
 * of just the size that they need, so that the sanitizers see who reads beyond one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accessline.h"
#include "waiting.h"

static char *owned[4096];
static size_t owned_count;
static size_t last_size;

static int64_t read_number(void)
{
	int64_t number;
	if (fread(&number, sizeof(number), 1, stdin) != 1) {
		exit(0);
	}
	return number;
}

static char *read_text(void)
{
	int64_t size = read_number();
	if (size < 0) {
		return NULL;
	}
	char *text = malloc((size_t)size + 1);
	if (!text || fread(text, 1, (size_t)size, stdin) != (size_t)size) {
		exit(1);
	}
	text[size] = '\0';
	last_size = (size_t)size;
	owned[owned_count++] = text;
	return text;
}

static struct excerpt find(const struct access_record *record, const char *name, size_t size)
{
	const struct param *pair = params_find(record->response, name, size);
	return pair ? (struct excerpt){pair->value, pair->value_size} : (struct excerpt){0};
}

static void read_params(struct params *params)
{
	params_init(params);
	char *raw = read_text();
	if (params_append(params, (uint8_t *)raw, last_size, 1 << 24) < 0 || params_decode(params) < 0) {
		exit(2);
	}
}

int main(void)
{
	static char line[ACCESSLINE_MAX];
	for (;;) {
		struct kraal_access access = {.json = (uint32_t)read_number(), .limit = (uint32_t)read_number()};
		access.step_count = (uint32_t)read_number();
		struct kraal_log_step *steps = calloc(access.step_count + 1, sizeof(*steps));
		for (uint32_t i = 0; i < access.step_count; i++) {
			steps[i].item = (uint32_t)read_number();
			steps[i].form = (uint32_t)read_number();
			steps[i].text = read_text();
		}
		access.steps = steps;
		struct params params, headers;
		read_params(&params);
		read_params(&headers);
		struct access_record record = {.params = &params, .response = &headers, .header = find};
		const char **texts[] = {&record.method, &record.uri,  &record.query, &record.script,
		                        &record.user,   &record.remote, &record.pool,  &record.id};
		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
			*texts[i] = read_text();
		}
		record.length = (uint64_t)read_number();
		record.memory = (uint64_t)read_number();
		record.status = (int)read_number();
		record.pid = (int)read_number();
		record.parent = (int)read_number();
		record.started_ns = read_number();
		record.logged_ns = read_number();
		record.duration_ns = read_number();
		record.user_ns = read_number();
		record.system_ns = read_number();
		record.waited_ns = waiting_time(&params, record.started_ns);
		uint64_t size = accessline_put(&access, &record, line);
		fwrite(&size, sizeof(size), 1, stdout);
		fwrite(line, 1, size, stdout);
		fflush(stdout);
		params_release(&params);
		params_release(&headers);
		free(steps);
		while (owned_count) {
			free(owned[--owned_count]);
		}
	}
}
