/* REQUEST_BODY_FILE: a body that the web server left in a file, instead of sending it.
 *
 * Whoever can send params could name any file that the pool's user may read, so security.limit_body_files
 * says where such files may be. */
#ifndef KRAAL_BODYFILE_H
#define KRAAL_BODYFILE_H

#include <stddef.h>

/* From now on files are read only below these directories: real names, one a line and each with a slash at
 * its end; "" for none, or NULL for any. */
void bodyfile_limit(const char *directories);

/* Open the file for reading.  Returns its descriptor, or -1 after a warning of PHP's that says why not. */
int bodyfile_open(const char *name);

/* Read up to `size` bytes, fewer only at the end of the file or after an error.  Returns their number. */
size_t bodyfile_read(int file, char *to, size_t size);

#endif
