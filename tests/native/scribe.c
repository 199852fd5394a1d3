/* The scribe on its own: scribe PIPE FILES, two descriptors.  Prints how many lines were lost. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridge.h"

int main(int count, char **arguments)
{
	struct kraal_scoreboard board = {0};
	if (count != 3) {
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	kraal_scribe(atoi(arguments[1]), atoi(arguments[2]), &board);
	printf("%llu\n", (unsigned long long)board.log_lost);
	return 0;
}
