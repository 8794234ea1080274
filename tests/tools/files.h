/* SPDX-License-Identifier: Apache-2.0
 * Scratch files for the tests of the readers and of the command: they are made here, hostile ones included.
 */
#ifndef PAVE_TESTS_TOOLS_FILES_H
#define PAVE_TESTS_TOOLS_FILES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Makes a fresh directory the current one; files_leave removes it and all in it. */
static inline int files_enter(void **state) {
    static char folder[64];
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/pave-test-XXXXXX", base && strlen(base) < 40 ? base : "/tmp");
    *state = folder;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static inline int files_leave(void **state) {
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", (const char *)*state);
    return chdir("/") == 0 ? system(command) : -1;
}

static inline void put_file(const char *name, const void *head, size_t head_bytes, const void *body,
                            size_t body_bytes) {
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(head, 1, head_bytes, file), head_bytes);
    if (body_bytes) assert_int_equal(fwrite(body, 1, body_bytes, file), body_bytes);
    assert_int_equal(fclose(file), 0);
}

/* A .safetensors file with this header text and `bytes` of data (zeros where NULL). */
static inline void put_safetensors(const char *name, const char *header, const void *data, size_t bytes) {
    size_t length = strlen(header);
    uint8_t *head = malloc(8 + length);
    void *body = calloc(1, bytes + 1);
    assert_true(head && body);
    for (int i = 0; i < 8; i++) head[i] = (uint8_t)((uint64_t)length >> 8 * i);
    memcpy(head + 8, header, length);
    if (data) memcpy(body, data, bytes);
    put_file(name, head, 8 + length, body, bytes);
    free(head);
    free(body);
}

/* A .npy file of version 1 (2 where `major` says so) with this dictionary. */
static inline void put_npy(const char *name, int major, const char *dictionary, const void *data,
                           size_t bytes) {
    char head[512] = "\x93NUMPY";
    size_t length = strlen(dictionary), start = major == 1 ? 10 : 12;
    head[6] = (char)major;
    head[8] = (char)(length & 0xff);
    head[9] = (char)(length >> 8);
    memcpy(head + start, dictionary, length);
    void *body = calloc(1, bytes + 1);
    assert_non_null(body);
    if (data) memcpy(body, data, bytes);
    put_file(name, head, start + length, body, bytes);
    free(body);
}

#endif
