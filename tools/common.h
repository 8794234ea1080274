/* SPDX-License-Identifier: Apache-2.0
 * What the subcommands share: exit codes, errors as one line, option parsing with suggestions, words for
 * enums, and opening a device. It knows nothing of any one subcommand. */
#ifndef PAVE_TOOLS_COMMON_H
#define PAVE_TOOLS_COMMON_H

#include <getopt.h>
#include <pave/pave.h>
#include <stdbool.h>
#include <stdio.h>

enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2, TOOL_NO_DEVICE = 3, TOOL_INTERRUPTED = 130 };

int cmd_info(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_selftest(int argc, char **argv);

/* A reason in words, filled by the file readers; the command adds its name and the file's. */
typedef struct tool_why {
    char text[512];
} tool_why;

/* Fills `why` and returns false, so that a reader can `return tool_refuse(why, …)`. */
bool tool_refuse(tool_why *why, const char *format, ...) PAVE_PRINTF(2, 3);

/* One line "pave COMMAND: …" on standard error; control characters are shown as '?'. */
void tool_error(const char *format, ...) PAVE_PRINTF(1, 2);
/* The same with the library's last message behind it; returns the exit code that belongs to `status`. */
int tool_fail(pave_status status, const char *format, ...) PAVE_PRINTF(2, 3);
/* The command's name for tool_error. */
void tool_name_set(const char *name);

/* getopt_long for long options only, with errors as one line and the nearest option's name. Returns the
 * option's value, -1 at the end, '?' after an error that has been printed. Arguments that are no options are
 * errors. */
int tool_option(int argc, char **argv, const struct option *options);
/* Of `count` words, spaced `stride` bytes apart, the one most like `word`; NULL where none is near. */
const char *tool_nearest(const char *word, const void *words, size_t count, size_t stride);

/* A word and its enum value; tables end with a NULL name. */
typedef struct tool_word {
    const char *name;
    int value;
    float a, b; /* an activation's scalars */
} tool_word;

extern const tool_word tool_activations[], tool_reductions[], tool_precisions[], tool_types[], tool_ops[];

/* Each prints its error and returns false. */
bool tool_parse_word(const char *option, const char *text, const tool_word *table, const tool_word **word);
bool tool_parse_int(const char *option, const char *text, int64_t min, int64_t max, int64_t *value);
/* Comma separated integers; at most `capacity`. */
bool tool_parse_ints(const char *option, const char *text, int64_t min, int64_t max, size_t capacity,
                     int64_t *values, size_t *count);
/* The word for a value, "?" where there is none. */
const char *tool_word_of(const tool_word *table, int value);

typedef struct tool_session {
    pave_device *device;
    pave_device_info info;
    pave_context *context;
    pave_queue *queue;
} tool_session;

/* Opens device, context and queue; returns an exit code, the error printed. */
int tool_open(const char *selector, bool profiling, tool_session *session);
void tool_close(tool_session *session);

/* Seconds of a clock that only goes forward. */
double tool_now(void);
/* Set once SIGINT or SIGTERM came; tool_catch_interrupt installs the handler. A second signal ends the
 * process at once, after removing the file named by tool_remove_on_kill (NULL: none). */
bool tool_interrupted(void);
void tool_catch_interrupt(void);
void tool_remove_on_kill(const char *path);

/* "1.50 GB", "2.3 TFLOP/s": three digits and a decimal prefix. Returns `text`. */
char *tool_quantity(char *text, size_t capacity, double value, const char *unit);

#endif
