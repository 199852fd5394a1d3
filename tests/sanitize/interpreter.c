/* The `python` of an environment in which kraal is watched.  Python takes every piece of memory by itself. */
#include <Python.h>

#include <string.h>

#include "interpreter.h"

/* With PIECES PHP does so, too, and frees at the end of a request what it has left, as otherwise.  It asks the
 * environment, of which managers have none. */
char *getenv(const char *name)
{
	static char no[] = "0", yes[] = "1";
	size_t size = strlen(name);
	if (PIECES && strcmp(name, "USE_ZEND_ALLOC") == 0) {
		return no;
	}
	if (PIECES && strcmp(name, "USE_TRACKED_ALLOC") == 0) {
		return yes;
	}
	for (char **each = environ; each && *each; each++) {
		if (strncmp(*each, name, size) == 0 && (*each)[size] == '=') {
			return *each + size + 1;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	PyPreConfig config;
	interpreter_begin(argc, argv);
	PyPreConfig_InitPythonConfig(&config);
	config.allocator = PYMEM_ALLOCATOR_MALLOC;
	PyStatus status = Py_PreInitializeFromBytesArgs(&config, argc, argv);
	if (PyStatus_Exception(status)) {
		Py_ExitStatusException(status);
	}
	return Py_BytesMain(argc, argv);
}
