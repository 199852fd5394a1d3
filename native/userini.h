/* .user.ini files, and the [PATH=] and [HOST=] sections of php.ini. */
#ifndef KRAAL_USERINI_H
#define KRAAL_USERINI_H

void userini_start(void);
void userini_stop(void);

/* Apply what holds for this script and host to the request that is starting.  The last two may be NULL. */
void userini_activate(const char *script, const char *document_root, const char *server_name);

#endif
