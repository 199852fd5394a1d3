#define _GNU_SOURCE
#include "folder.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static int home = -1;

void folder_open(void)
{
	home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool folder_enter(const char *script)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(script, '/');
	/* PHP looks for a relative path from where it is, so it must not be moved before. */
	if (home < 0 || script[0] != '/' || (size_t)(slash - script) >= sizeof(folder) - 1) {
		return false;
	}
	size_t size = slash == script ? 1 : (size_t)(slash - script);
	memcpy(folder, script, size);
	folder[size] = '\0';
	/* PHP does not mind either if it may not go there. */
	(void)!chdir(folder);
	return true;
}

void folder_leave(void)
{
	(void)!fchdir(home);
}
