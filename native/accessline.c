#include "accessline.h"

#include <string.h>
#include <time.h>

/* A value of a JSON line that is too long is cut, but not below this. */
#define LEAST_VALUE 16

/* A line that is being written.  Bytes beyond the room are counted and not written. */
struct line {
	char *text;
	size_t size, room;
	size_t value_most;  /* bytes of a value that are shown */
	bool json;
};

static void put(struct line *line, const char *from, size_t size)
{
	if (line->size < line->room) {
		size_t left = line->room - line->size;
		memcpy(line->text + line->size, from, size < left ? size : left);
	}
	line->size += size;
}
#define PUT(line, literal) put((line), literal, sizeof(literal) - 1)

static void put_text(struct line *line, const char *text)
{
	put(line, text, strlen(text));
}

static void put_number(struct line *line, uint64_t number, int least_digits)
{
	char digits[24];
	size_t at = sizeof(digits);
	for (; number || least_digits > 0; number /= 10, least_digits--) {
		digits[--at] = (char)('0' + number % 10);
	}
	put(line, digits + at, sizeof(digits) - at);
}

/* Thousandths or hundredths as a decimal number; not by printf, whose decimal point a script can change. */
static void put_decimal(struct line *line, uint64_t number, unsigned scale, int digits)
{
	put_number(line, number / scale, 1);
	PUT(line, ".");
	put_number(line, number % scale, digits);
}

/* ---------------------------------------------------------------- escaping */

/* The bytes of the character that begins here, 0 if it is none of UTF-8. */
static size_t character(const unsigned char *at, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (at[0] < 0x80) {
		return 1;
	}
	size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
	if (at[0] < 0xc2 || at[0] > 0xf4 || size > left) {
		return 0;
	}
	uint32_t code = at[0] & (0xffu >> (size + 1));
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80) {
			return 0;
		}
		code = code << 6 | (at[i] & 0x3f);
	}
	return code < least[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : size;
}

/* Whether a terminal or a reader of lines may take this character for more than a character. */
static bool is_control(const unsigned char *at, size_t size)
{
	return size == 1 ? at[0] < 0x20 || at[0] == 0x7f : size == 2 && at[0] == 0xc2 && at[1] < 0xa0;
}

static void put_hex(struct line *line, unsigned char byte)
{
	static const char digits[] = "0123456789abcdef";
	char text[] = {digits[byte >> 4], digits[byte & 15]};
	put(line, text, sizeof(text));
}

static void put_escaped(struct line *line, const unsigned char *at, size_t size)
{
	if (line->json) {
		if (!size) {
			PUT(line, "\\ufffd");
		} else if (is_control(at, size)) {
			PUT(line, "\\u00");
			put_hex(line, at[size - 1]);
		} else {
			PUT(line, "\\");
			put(line, (const char *)at, 1);
		}
		return;
	}
	for (size_t i = 0; i < size; i++) {
		PUT(line, "\\x");
		put_hex(line, at[i]);
	}
}

static bool is_plain(const struct line *line, const unsigned char *at, size_t size)
{
	if (!size) {
		return !line->json;
	}
	return !is_control(at, size) && !(line->json && (at[0] == '"' || at[0] == '\\'));
}

static void put_foreign(struct line *line, const char *from, size_t size)
{
	const unsigned char *at = (const unsigned char *)from;
	size_t shown = size < line->value_most ? size : line->value_most;
	/* No more can be seen, however much there is. */
	for (size_t i = 0; i < shown && line->size < line->room;) {
		size_t plain = 0, bytes;
		while (i + plain < shown && (bytes = character(at + i + plain, size - i - plain), is_plain(line, at + i + plain, bytes))) {
			plain += bytes ? bytes : 1;
		}
		put(line, from + i, plain);
		i += plain;
		if (i < shown) {
			bytes = character(at + i, size - i);
			put_escaped(line, at + i, bytes);
			i += bytes ? bytes : 1;
		}
	}
}

/* ---------------------------------------------------------------- values */

/* A text, or what stands for a missing one. */
static void put_value(struct line *line, const char *from, size_t size, const char *missing)
{
	if (!line->json) {
		from ? put_foreign(line, from, size) : put_text(line, missing);
	} else if (!from) {
		PUT(line, "null");
	} else {
		PUT(line, "\"");
		put_foreign(line, from, size);
		PUT(line, "\"");
	}
}

/* The empty text counts as missing. */
static void put_filled(struct line *line, const char *text, const char *missing)
{
	const char *from = text && *text ? text : NULL;
	put_value(line, from, from ? strlen(from) : 0, missing);
}

static void put_unknown(struct line *line)
{
	put_text(line, line->json ? "null" : "-");
}

static void put_duration(struct line *line, int64_t ns, uint32_t form)
{
	uint64_t micros = ns > 0 ? (uint64_t)ns / 1000 : 0;
	if (form == KRAAL_FORM_MICROS) {
		put_number(line, micros, 1);
	} else {
		put_decimal(line, form == KRAAL_FORM_MILLIS ? micros : (micros + 500) / 1000, 1000, 3);
	}
}

static void put_cpu(struct line *line, const struct access_record *record, uint32_t form)
{
	int64_t used = (form == KRAAL_FORM_SYSTEM ? 0 : record->user_ns) + (form == KRAAL_FORM_USER ? 0 : record->system_ns);
	double share = record->duration_ns > 0 && used > 0 ? (double)used / (double)record->duration_ns : 0;
	put_decimal(line, (uint64_t)(share * 10000 + 0.5), 100, 2);
}

static void put_memory(struct line *line, uint64_t bytes, uint32_t form)
{
	put_number(line, form == KRAAL_FORM_KILO ? bytes >> 10 : form == KRAAL_FORM_MEGA ? bytes >> 20 : bytes, 1);
}

/* ISO 8601 with milliseconds, whose zone has a colon. */
static size_t iso_time(char *text, size_t size, const struct tm *at, int64_t ns)
{
	char zone[8];
	size_t length = strftime(text, size, "%Y-%m-%dT%H:%M:%S.", at);
	if (!length || strftime(zone, sizeof(zone), "%z", at) != 5) {
		return 0;
	}
	for (int64_t scale = 100000000; scale >= 1000000; scale /= 10) {
		text[length++] = (char)('0' + ns / scale % 10);
	}
	memcpy(text + length, zone, 3);
	text[length + 3] = ':';
	memcpy(text + length + 4, zone + 3, 2);
	return length + 6;
}

static void put_time(struct line *line, int64_t ns, const struct kraal_log_step *step)
{
	char text[128];
	struct tm at = {0};
	time_t seconds = (time_t)(ns / 1000000000);
	/* Not localtime(), which asks the system each time whether the zone has changed. */
	localtime_r(&seconds, &at);
	size_t size = step->form == KRAAL_FORM_ISO ? iso_time(text, sizeof(text), &at, ns % 1000000000)
	                                           : strftime(text, sizeof(text), step->text, &at);
	put_value(line, text, size, "");
}

static void put_header(struct line *line, const struct access_record *record, const char *name)
{
	struct excerpt value = {0};
	if (record->header) {
		value = record->header(record, name, strlen(name));
	}
	put_value(line, value.at, value.size, "-");
}

static void put_variable(struct line *line, const struct access_record *record, const char *name)
{
	const struct param *pair = params_find(record->params, name, strlen(name));
	bool found = pair && pair->value;
	put_value(line, found ? pair->value : NULL, found ? pair->value_size : 0, "-");
}

/* ---------------------------------------------------------------- the line */

static void put_step(struct line *line, const struct access_record *record, const struct kraal_log_step *step)
{
	switch ((enum kraal_log_item)step->item) {
	case KRAAL_ITEM_TEXT:
		put_text(line, step->text);
		break;
	case KRAAL_ITEM_CPU:
		put_cpu(line, record, step->form);
		break;
	case KRAAL_ITEM_DURATION:
		put_duration(line, record->duration_ns, step->form);
		break;
	case KRAAL_ITEM_VARIABLE:
		put_variable(line, record, step->text);
		break;
	case KRAAL_ITEM_SCRIPT:
		put_filled(line, record->script, "-");
		break;
	case KRAAL_ITEM_LENGTH:
		put_number(line, record->length, 1);
		break;
	case KRAAL_ITEM_METHOD:
		put_filled(line, record->method, "-");
		break;
	case KRAAL_ITEM_MEMORY:
		put_memory(line, record->memory, step->form);
		break;
	case KRAAL_ITEM_POOL:
		put_filled(line, record->pool, "-");
		break;
	case KRAAL_ITEM_HEADER:
		put_header(line, record, step->text);
		break;
	case KRAAL_ITEM_PID:
		put_number(line, (uint64_t)record->pid, 1);
		break;
	case KRAAL_ITEM_PARENT:
		put_number(line, (uint64_t)record->parent, 1);
		break;
	case KRAAL_ITEM_QUERY:
		put_filled(line, record->query, "");
		break;
	case KRAAL_ITEM_QUESTION:
		put_text(line, record->query && *record->query ? "?" : "");
		break;
	case KRAAL_ITEM_URI:
		put_filled(line, record->uri, "");
		break;
	case KRAAL_ITEM_REMOTE:
		put_filled(line, record->remote, "-");
		break;
	case KRAAL_ITEM_STATUS:
		put_number(line, (uint64_t)(record->status > 0 ? record->status : 0), 1);
		break;
	case KRAAL_ITEM_STARTED:
		put_time(line, record->started_ns, step);
		break;
	case KRAAL_ITEM_LOGGED:
		put_time(line, record->logged_ns, step);
		break;
	case KRAAL_ITEM_USER:
		put_filled(line, record->user, "");
		break;
	case KRAAL_ITEM_ID:
		put_filled(line, record->id, "-");
		break;
	case KRAAL_ITEM_WAITED:
		record->waited_ns < 0 ? put_unknown(line) : put_duration(line, record->waited_ns, step->form);
		break;
	}
}

static void put_all(struct line *line, const struct kraal_access *access, const struct access_record *record)
{
	line->size = 0;
	for (uint32_t i = 0; i < access->step_count; i++) {
		put_step(line, record, &access->steps[i]);
	}
}

size_t accessline_put(const struct kraal_access *access, const struct access_record *record, char *text)
{
	size_t most = access->limit && access->limit < ACCESSLINE_MAX ? access->limit : ACCESSLINE_MAX;
	struct line line = {.text = text, .room = most - 1, .value_most = SIZE_MAX, .json = access->json};
	put_all(&line, access, record);
	if (line.json && line.size > line.room) {
		/* What is cut has to be valid all the same, so the values are; if need be, the line is longer than asked. */
		line.room = ACCESSLINE_MAX - 1;
		line.value_most = most;
		do {
			line.value_most /= 2;
			put_all(&line, access, record);
		} while (line.size > most - 1 && line.value_most > LEAST_VALUE);
	}
	if (!line.size) {
		return 0;
	}
	size_t size = line.size < line.room ? line.size : line.room;
	text[size] = '\n';
	return size + 1;
}
