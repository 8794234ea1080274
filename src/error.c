/* SPDX-License-Identifier: Apache-2.0
 * Statuses, the thread's last message, and logging. */
#include "src/objects.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_BYTES 8192

static _Thread_local char last_message[MESSAGE_BYTES];

static struct {
    pthread_mutex_t lock;
    bool ready;
    pave_log_level level;
    pave_log_fn fn;
    void *user;
} logger = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const level_names[] = {"none", "error", "warn", "info", "debug"};

const char *pave_status_name(pave_status status) {
    switch (status) {
    case PAVE_OK: return "PAVE_OK";
    case PAVE_E_INVALID: return "PAVE_E_INVALID";
    case PAVE_E_UNSUPPORTED: return "PAVE_E_UNSUPPORTED";
    case PAVE_E_NOT_FOUND: return "PAVE_E_NOT_FOUND";
    case PAVE_E_HOST_MEMORY: return "PAVE_E_HOST_MEMORY";
    case PAVE_E_DEVICE_MEMORY: return "PAVE_E_DEVICE_MEMORY";
    case PAVE_E_BUILD: return "PAVE_E_BUILD";
    case PAVE_E_DEVICE: return "PAVE_E_DEVICE";
    case PAVE_E_NOT_READY: return "PAVE_E_NOT_READY";
    }
    return "unknown status";
}

const char *pave_last_message(void) {
    return last_message;
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *pave_version(void) {
    return TEXT(PAVE_VERSION_MAJOR) "." TEXT(PAVE_VERSION_MINOR) "." TEXT(PAVE_VERSION_PATCH);
}

static int level_of(const char *name) {
    for (int i = 0; i < (int)(sizeof level_names / sizeof level_names[0]); i++)
        if (strcmp(name, level_names[i]) == 0) return i;
    return -1;
}

static void log_to_stderr(void *user, pave_log_level level, const char *message) {
    (void)user;
    fprintf(stderr, "pave: %s: %s\n", level_names[level], message);
}

/* The environment's choice, once; a call of pave_log_set comes before it or replaces it. */
static void logger_default(void) {
    const char *value = getenv("PAVE_LOG");
    int level = value ? level_of(value) : -1;
    logger.level = level > 0 ? (pave_log_level)level : PAVE_LOG_NONE;
    logger.fn = log_to_stderr;
    logger.user = NULL;
    logger.ready = true;
}

void pave_log_set(pave_log_level level, pave_log_fn fn, void *user) {
    pthread_mutex_lock(&logger.lock);
    if (fn) {
        logger.level = level;
        logger.fn = fn;
        logger.user = user;
        logger.ready = true;
    } else {
        logger_default();
    }
    pthread_mutex_unlock(&logger.lock);
}

static void log_va(pave_log_level level, const char *format, va_list list) {
    pthread_mutex_lock(&logger.lock);
    if (!logger.ready) logger_default();
    pave_log_level limit = logger.level;
    pave_log_fn fn = logger.fn;
    void *user = logger.user;
    pthread_mutex_unlock(&logger.lock);
    if (level > limit) return;
    char text[MESSAGE_BYTES];
    vsnprintf(text, sizeof text, format, list);
    fn(user, level, text);
}

void pave__log(pave_log_level level, const char *format, ...) {
    va_list list;
    va_start(list, format);
    log_va(level, format, list);
    va_end(list);
}

pave_status pave__fail(pave_status status, const char *format, ...) {
    /* The message may quote the previous one, so it is composed aside. */
    char text[MESSAGE_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    memcpy(last_message, text, strlen(text) + 1);
    pave__log(PAVE_LOG_DEBUG, "%s: %s", pave_status_name(status), text);
    return status;
}

pave_status pave__environment_check(void) {
    const char *value = getenv("PAVE_LOG");
    if (value && *value && level_of(value) < 0)
        return pave__fail(PAVE_E_INVALID, "PAVE_LOG: \"%s\" is none of none, error, warn, info, debug",
                          value);
    value = getenv("PAVE_CACHE");
    if (value && *value && strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        return pave__fail(PAVE_E_INVALID, "PAVE_CACHE: \"%s\" is neither on nor off", value);
    return PAVE_OK;
}
