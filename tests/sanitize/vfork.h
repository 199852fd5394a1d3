/* Included before every file of a library that is to run in valgrind, which makes a fork of every vfork: what the child
 * writes into memory that it has not borrowed then comes back through a pipe. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

static int vfork_pipe[2] = {-1, -1};
static volatile int32_t *vfork_value;

__attribute__((unused)) static void vfork_close(void)
{
	close(vfork_pipe[0]);
	close(vfork_pipe[1]);
	vfork_pipe[0] = vfork_pipe[1] = -1;
}

__attribute__((unused)) static pid_t vfork_emulated(volatile int32_t *value)
{
	int32_t given;
	if (pipe(vfork_pipe) < 0) {
		return -1;
	}
	vfork_value = value;
	pid_t child = fork();
	if (child == 0) {
		/* What the child forks has nothing to give back. */
		pthread_atfork(NULL, NULL, vfork_close);
		return 0;
	}
	close(vfork_pipe[1]);
	vfork_pipe[1] = -1;
	if (child > 0 && read(vfork_pipe[0], &given, sizeof(given)) == sizeof(given)) {
		*value = given;
	}
	vfork_close();
	return child;
}

__attribute__((unused, noreturn)) static void vfork_exit(int code)
{
	if (vfork_pipe[1] >= 0) {
		int32_t given = *vfork_value;
		(void)!write(vfork_pipe[1], &given, sizeof(given));
	}
	_exit(code);
}

/* nursery.c has the only one. */
#define vfork() vfork_emulated(&borne)
#define _exit(code) vfork_exit(code)
