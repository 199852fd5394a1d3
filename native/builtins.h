/* What libphp-embed has compiled in and php-fpm has not.
 *
 * The embed library is built like the command line: with pcntl and chroot().  A script that forks
 * would make a second, uncounted worker, so both are left out, as in php-fpm. */
#ifndef KRAAL_BUILTINS_H
#define KRAAL_BUILTINS_H

/* Call before PHP's module start-up. */
void builtins_prepare(void);

#endif
