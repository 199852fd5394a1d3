/* Faults that a watcher has to report as ours, each in a process of its own. */
#include <stdlib.h>

void overrun(volatile int size)
{
	volatile char *volatile piece = malloc((size_t)size);
	piece[size] = 'x';
	free((void *)piece);
}

void lose(volatile int size)
{
	volatile char *volatile piece = malloc((size_t)size);
	piece[0] = 'x';
	piece = NULL;
}

int shift(volatile int size)
{
	return 1 << (size << 4);
}
