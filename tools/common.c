/* SPDX-License-Identifier: Apache-2.0
 * Errors, devices, signals and quantities for every subcommand. */
#include "tools/common.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *command = "";

void tool_name_set(const char *name) {
    command = name;
}

bool tool_refuse(tool_why *why, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return false;
}

/* File and tensor names come from strangers: nothing of theirs may move the terminal's cursor. A driver's
 * message of several lines becomes one, a build log keeps its lines. */
static void put_clean(const char *text, bool keep_lines) {
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '\n' && keep_lines) {
            putc('\n', stderr);
        } else if (c == '\n') {
            fputs(p > text && p[-1] == ':' ? " " : "; ", stderr);
            while (p[1] == ' ') p++;
        } else {
            putc(c < 32 || c == 127 ? (c == '\t' ? ' ' : '?') : c, stderr);
        }
    }
}

static void put_line(const char *message, const char *detail, bool keep_lines) {
    fprintf(stderr, "pave%s%s: ", *command ? " " : "", command);
    put_clean(message, false);
    if (*detail) fputs(": ", stderr);
    put_clean(detail, keep_lines);
    putc('\n', stderr);
}

void tool_error(const char *format, ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_line(text, "", false);
}

int tool_fail(pave_status status, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *detail = pave_last_message();
    put_line(text, *detail ? detail : pave_status_name(status), status == PAVE_E_BUILD);
    return status == PAVE_E_NOT_FOUND ? TOOL_NO_DEVICE : TOOL_FAILED;
}

int tool_open(const char *selector, bool profiling, tool_session *session) {
    memset(session, 0, sizeof *session);
    pave_status status = pave_device_open(selector, &session->device);
    if (status) {
        tool_fail(status, "opening the device");
        return status == PAVE_E_INVALID ? TOOL_USAGE : TOOL_NO_DEVICE;
    }
    session->info.size = sizeof session->info;
    status = pave_device_describe(session->device, &session->info);
    if (!status) status = pave_context_create(session->device, &session->context);
    if (!status) {
        pave_queue_params params = {.size = sizeof params, .profiling = profiling};
        status = pave_queue_create(session->context, &params, &session->queue);
    }
    if (!status) return TOOL_OK;
    int code = tool_fail(status, "device %s", session->info.name);
    tool_close(session);
    return code;
}

void tool_close(tool_session *session) {
    pave_queue_destroy(&session->queue);
    pave_context_destroy(&session->context);
}

double tool_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static volatile sig_atomic_t interrupted;
static const char *volatile doomed;

static void on_signal(int number) {
    (void)number;
    if (interrupted) {
        if (doomed) unlink(doomed);
        _exit(TOOL_INTERRUPTED);
    }
    interrupted = 1;
}

bool tool_interrupted(void) {
    return interrupted != 0;
}

void tool_remove_on_kill(const char *path) {
    doomed = path;
}

void tool_catch_interrupt(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
#ifdef SIGXFSZ
    /* A file-size limit then shows as an error of write(), which has a message. */
    action.sa_handler = SIG_IGN;
    sigaction(SIGXFSZ, &action, NULL);
#endif
}

char *tool_quantity(char *text, size_t capacity, double value, const char *unit) {
    static const char prefixes[] = " kMGTPE";
    int step = 0;
    while (value >= 1000 && step < 6) {
        value /= 1000;
        step++;
    }
    int decimals = value >= 100 || (step == 0 && value == (double)(long)value) ? 0 : value >= 10 ? 1 : 2;
    snprintf(text, capacity, "%.*f %.*s%s", decimals, value, step ? 1 : 0, prefixes + step, unit);
    return text;
}
