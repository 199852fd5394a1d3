/* The FastCGI reader as a library: what it makes of an input of the target `reader`, in the lines of decoder.c. */
#include <stdio.h>

static FILE *said;

#define printf(...) fprintf(said, __VA_ARGS__)
#include "reader.c"

const char *protocol_read(const uint8_t *bytes, size_t size);

/* The lines, up to the next call.  NULL: it is no input, or there is no memory. */
const char *protocol_read(const uint8_t *bytes, size_t size)
{
	static char *text;
	static size_t text_size;
	enum mode mode = lay_out(bytes, size);
	free(text);
	text = NULL;
	said = mode ? open_memstream(&text, &text_size) : NULL;
	if (!said) {
		return NULL;
	}
	run(mode);
	fclose(said);
	return text;
}
