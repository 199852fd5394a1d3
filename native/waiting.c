#include "waiting.h"

#include <string.h>

#define SECOND INT64_C(1000000000)
#define DAY (86400 * SECOND)

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Nanoseconds in one of what a moment is counted in.  Seconds of our days have 10 digits, milliseconds 13 and so on. */
static int64_t unit_of(int64_t number)
{
	if (number < INT64_C(100000000000)) {
		return SECOND;
	}
	if (number < INT64_C(100000000000000)) {
		return 1000000;
	}
	return number < INT64_C(100000000000000000) ? 1000 : 1;
}

static int64_t parse(const char *text)
{
	int64_t number = 0, fraction = 0, scale = SECOND;
	if (text[0] == 't' && text[1] == '=') {
		text += 2;
	}
	if (!is_digit(*text)) {
		return -1;
	}
	for (; is_digit(*text); text++) {
		if (number > (INT64_MAX - 9) / 10) {
			return -1;
		}
		number = number * 10 + (*text - '0');
	}
	int64_t unit = unit_of(number);
	if (*text == '.') {
		for (text++; is_digit(*text); text++) {
			scale /= 10;
			fraction += (*text - '0') * scale;
		}
	}
	if (*text || number > INT64_MAX / unit - 1) {
		return -1;
	}
	/* The fraction is in billionths of the unit. */
	return number * unit + fraction / (SECOND / unit);
}

int64_t waiting_since(const struct params *params)
{
	const char *text = PARAM_GET(params, "REQUEST_START");
	if (!text || !*text) {
		text = PARAM_GET(params, "HTTP_X_REQUEST_START");
	}
	return text && *text ? parse(text) : -1;
}

int64_t waiting_time(const struct params *params, int64_t now_ns)
{
	int64_t since = waiting_since(params);
	if (since < 0 || now_ns - since > DAY) {
		return -1;
	}
	return since > now_ns ? 0 : now_ns - since;
}
