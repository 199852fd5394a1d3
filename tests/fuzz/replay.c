/* Run a target over the files that are named, without libFuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerInitialize(int *count, char ***arguments) __attribute__((weak));

int main(int count, char **arguments)
{
	if (LLVMFuzzerInitialize) {
		LLVMFuzzerInitialize(&count, &arguments);
	}
	for (int i = 1; i < count; i++) {
		FILE *file = fopen(arguments[i], "rb");
		uint8_t *bytes = malloc(1 << 20);
		if (!file || !bytes) {
			return 1;
		}
		size_t size = fread(bytes, 1, 1 << 20, file);
		/* Exactly as large as the input, so that a look beyond it is seen. */
		uint8_t *exact = malloc(size);
		for (size_t at = 0; at < size; at++) {
			exact[at] = bytes[at];
		}
		fclose(file);
		free(bytes);
		LLVMFuzzerTestOneInput(exact, size);
		free(exact);
	}
	printf("%d\n", count - 1);
	return 0;
}
