/* valgrind around the interpreter: it runs programs on a stack of its own, where nobody outside sees their titles. */
#include "interpreter.h"

#include <string.h>
#include <sys/prctl.h>

extern char **environ;

void interpreter_begin(int argc, char **argv)
{
	char *end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
	char *last = end;
	for (char **each = environ; *each; each++) {
		last = *each + strlen(*each) + 1;
	}
	/* The kernel wants a start below its end at every step. */
	prctl(PR_SET_MM, PR_SET_MM_ARG_START, argv[0], 0, 0);
	prctl(PR_SET_MM, PR_SET_MM_ARG_END, end, 0, 0);
	prctl(PR_SET_MM, PR_SET_MM_ENV_START, end, 0, 0);
	prctl(PR_SET_MM, PR_SET_MM_ENV_END, last, 0, 0);
}
