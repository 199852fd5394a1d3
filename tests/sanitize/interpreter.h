/* What is done before Python starts, by whoever watches it. */
#ifndef INTERPRETER_H
#define INTERPRETER_H

void interpreter_begin(int argc, char **argv);

#endif
