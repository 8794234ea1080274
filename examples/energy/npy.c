/* SPDX-License-Identifier: Apache-2.0
 * Reads the .npy arrays that the report needs: versions 1 to 3, '<f4' or '<i4', C order, rank 1 or 2. Every
 * length is checked against the file's own before it is used. Source: numpy.lib.format, "A simple file format
 * for NumPy arrays". */
#include "energy.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *path, const char *why) {
    fprintf(stderr, "energy-report: %s: %s\n", path, why);
    return 0;
}

static uint32_t little_endian(const unsigned char *bytes, int count) {
    uint32_t value = 0;
    for (int i = count - 1; i >= 0; i--) value = value << 8 | bytes[i];
    return value;
}

/* The header's text as a string to be freed; NULL where the file is no .npy file. */
static char *read_header(FILE *file) {
    unsigned char start[12];
    if (fread(start, 1, 8, file) != 8 || memcmp(start, "\x93NUMPY", 6) != 0) return NULL;
    int width = start[6] == 1 ? 2 : 4;
    if (start[6] < 1 || start[6] > 3 || fread(start + 8, 1, width, file) != (size_t)width) return NULL;
    uint32_t bytes = little_endian(start + 8, width);
    char *text = bytes <= 65536 ? malloc(bytes + 1) : NULL;
    if (!text || fread(text, 1, bytes, file) != bytes) {
        free(text);
        return NULL;
    }
    text[bytes] = '\0';
    return text;
}

/* "(599,)" or "(599, 10)". */
static int parse_shape(const char *header, array *out) {
    const char *at = strstr(header, "'shape': (");
    if (!at) return 0;
    char *end;
    errno = 0;
    unsigned long long rows = strtoull(at + 10, &end, 10), cols = 1;
    if (end == at + 10 || *end != ',') return 0;
    const char *second = end + 1 + strspn(end + 1, " ");
    if (*second != ')') {
        cols = strtoull(second, &end, 10);
        if (end == second || end[strspn(end, ", ")] != ')') return 0;
    }
    if (errno || rows > INT32_MAX || cols > INT32_MAX) return 0;
    out->rows = (size_t)rows;
    out->cols = (size_t)cols;
    return 1;
}

static int read_values(FILE *file, int is_float, array *out) {
    size_t count = out->rows * out->cols;
    if (count > SIZE_MAX / sizeof(double)) return 0;
    out->values = malloc(count ? count * sizeof(double) : 1);
    if (!out->values) return 0;
    for (size_t i = 0; i < count; i++) {
        unsigned char raw[4];
        if (fread(raw, 1, 4, file) != 4) return 0;
        uint32_t bits = little_endian(raw, 4);
        float real;
        int32_t whole;
        memcpy(&real, &bits, 4);
        memcpy(&whole, &bits, 4);
        out->values[i] = is_float ? real : whole;
    }
    return fgetc(file) == EOF;
}

int array_read(const char *path, array *out) {
    memset(out, 0, sizeof *out);
    FILE *file = fopen(path, "rb");
    if (!file) return fail(path, strerror(errno));
    char *header = read_header(file);
    const char *why = NULL;
    if (!header) {
        why = "not a .npy file";
    } else {
        int is_float = strstr(header, "'<f4'") != NULL;
        if (!is_float && !strstr(header, "'<i4'"))
            why = "neither little-endian float32 nor int32";
        else if (!strstr(header, "'fortran_order': False"))
            why = "not in C order";
        else if (!parse_shape(header, out))
            why = "not of rank 1 or 2";
        else if (!read_values(file, is_float, out))
            why = "its length is not its shape's";
    }
    free(header);
    fclose(file);
    if (!why) return 1;
    free(out->values);
    out->values = NULL;
    return fail(path, why);
}
