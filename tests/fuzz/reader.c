/* The FastCGI reader: a byte of mode, a byte that says how the stream comes in pieces, and the stream. */
#define main decoder_main
#include "../native/decoder.c"
#undef main

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Lay an input out as a stream.  Returns its mode, or 0 if it is none. */
static enum mode lay_out(const uint8_t *bytes, size_t size)
{
	static const enum mode modes[] = {MODE_READS_BODY, MODE_SKIPS_BODY, MODE_HANDS_OVER, MODE_MOVES};
	if (size < 2 || size > FCGI_INPUT_SIZE * 4) {
		return 0;
	}
	if (!stream) {
		stream = malloc(STREAM_MAX);
		ends = malloc(PIECES_MAX * sizeof(*ends));
	}
	piece = piece_count = stream_at = 0;
	size_t longest = bytes[1] ? bytes[1] : size;
	memcpy(stream, bytes + 2, size - 2);
	for (size_t at = 0; at < size - 2;) {
		at += longest < size - 2 - at ? longest : size - 2 - at;
		ends[piece_count++] = at;
	}
	return modes[bytes[0] % 4];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	enum mode mode = lay_out(bytes, size);
	if (mode) {
		quiet = true;
		srand(bytes[0]);
		run(mode);
	}
	return 0;
}
