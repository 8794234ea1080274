/* SPDX-License-Identifier: Apache-2.0
 * The .npy format, versions 1 to 3: magic, version, header length, a Python dictionary, data. Only the three
 * keys that NumPy writes are read, by a parser for just that. Source: numpy.lib.format's documentation. */
#include "tools/npy.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define HEADER_BYTES_MAX (1u << 20)

typedef struct parser {
    const char *at, *end;
} parser;

static void skip_space(parser *p) {
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t')) p->at++;
}

static bool take(parser *p, char c) {
    skip_space(p);
    if (p->at >= p->end || *p->at != c) return false;
    p->at++;
    return true;
}

static bool take_word(parser *p, const char *word) {
    size_t n = strlen(word);
    skip_space(p);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, word, n) != 0) return false;
    p->at += n;
    return true;
}

/* A quoted string without escapes. */
static bool take_string(parser *p, char *out, size_t capacity) {
    skip_space(p);
    if (p->at >= p->end || (*p->at != '\'' && *p->at != '"')) return false;
    char quote = *p->at++;
    size_t n = 0;
    while (p->at < p->end && *p->at != quote && *p->at != '\\' && n + 1 < capacity) out[n++] = *p->at++;
    out[n] = '\0';
    return take(p, quote);
}

static bool take_dim(parser *p, int64_t *dim) {
    skip_space(p);
    if (p->at >= p->end || !isdigit((unsigned char)*p->at)) return false;
    *dim = 0;
    for (; p->at < p->end && isdigit((unsigned char)*p->at); p->at++)
        if (__builtin_mul_overflow(*dim, 10, dim) || __builtin_add_overflow(*dim, *p->at - '0', dim))
            return false;
    if (p->at < p->end && *p->at == 'L') p->at++; /* Python 2 */
    return true;
}

static bool take_shape(parser *p, npy_file *file, tool_why *why) {
    if (!take(p, '(')) return tool_refuse(why, "its shape is no tuple");
    for (file->rank = 0; !take(p, ')'); file->rank++) {
        if (file->rank == NPY_MAX_RANK) return tool_refuse(why, "more than %d dimensions", NPY_MAX_RANK);
        if (!take_dim(p, &file->shape[file->rank]))
            return tool_refuse(why, "dimension %d of its shape is no whole number of 63 bits", file->rank);
        if (!take(p, ',')) {
            if (!take(p, ')')) return tool_refuse(why, "its shape is no tuple");
            file->rank++;
            break;
        }
    }
    return true;
}

static bool take_descr(parser *p, npy_file *file, tool_why *why) {
    char text[24];
    if (take(p, '[')) return tool_refuse(why, "a structured array; one of float32 or float16 is needed");
    if (!take_string(p, text, sizeof text)) return tool_refuse(why, "its descr is no type");
    if (strcmp(text, "<f4") == 0)
        file->type = PAVE_F32;
    else if (strcmp(text, "<f2") == 0)
        file->type = PAVE_F16;
    else if (text[0] == '>')
        return tool_refuse(why, "big-endian data ('%s'); save it with .astype('<f4')", text);
    else if (strcmp(text, "|O") == 0)
        return tool_refuse(why, "an array of Python objects; one of float32 or float16 is needed");
    else
        return tool_refuse(why, "data of type '%s'; float32 ('<f4') or float16 ('<f2') is needed", text);
    return true;
}

static bool take_item(parser *p, npy_file *file, unsigned *seen, bool *fortran, tool_why *why) {
    char key[24];
    if (!take_string(p, key, sizeof key) || !take(p, ':'))
        return tool_refuse(why, "its header is no dictionary");
    unsigned bit;
    bool ok = true;
    if (strcmp(key, "descr") == 0) {
        bit = 1;
        ok = take_descr(p, file, why);
    } else if (strcmp(key, "fortran_order") == 0) {
        bit = 2;
        *fortran = take_word(p, "True");
        if (!*fortran && !take_word(p, "False"))
            return tool_refuse(why, "its fortran_order is no truth value");
    } else if (strcmp(key, "shape") == 0) {
        bit = 4;
        ok = take_shape(p, file, why);
    } else {
        return tool_refuse(why, "unknown key '%s' in its header", key);
    }
    if (ok && (*seen & bit)) return tool_refuse(why, "key '%s' twice in its header", key);
    *seen |= bit;
    return ok;
}

static bool parse_header(parser p, npy_file *file, tool_why *why) {
    unsigned seen = 0;
    bool fortran = false;
    if (!take(&p, '{')) return tool_refuse(why, "its header is no dictionary");
    while (!take(&p, '}')) {
        if (!take_item(&p, file, &seen, &fortran, why)) return false;
        if (take(&p, ',')) continue;
        if (!take(&p, '}')) return tool_refuse(why, "its header is no dictionary");
        break;
    }
    skip_space(&p);
    if (p.at != p.end) return tool_refuse(why, "something follows the dictionary in its header");
    if (seen != 7) return tool_refuse(why, "descr, fortran_order or shape is missing in its header");
    if (fortran && file->rank > 1)
        return tool_refuse(why, "Fortran order; save it with numpy.ascontiguousarray()");
    return true;
}

static bool check_size(npy_file *file, uint64_t bytes, tool_why *why) {
    if (file->rank < 1) return tool_refuse(why, "a single number; an array of rows is needed");
    int64_t size = (int64_t)pave_dtype_bytes(file->type), all;
    bool overflow = false;
    file->rows = 1;
    file->cols = file->shape[file->rank - 1];
    for (int i = 0; i < file->rank - 1; i++)
        overflow |= __builtin_mul_overflow(file->rows, file->shape[i], &file->rows);
    overflow |= __builtin_mul_overflow(file->rows, file->cols, &all);
    overflow |= __builtin_mul_overflow(all, size, &all);
    if (overflow) return tool_refuse(why, "its shape's product overflows");
    uint64_t there = bytes - file->data;
    if (there < (uint64_t)all)
        return tool_refuse(why, "truncated: %" PRIu64 " bytes of data where its shape needs %" PRId64, there,
                           all);
    if (there > (uint64_t)all)
        return tool_refuse(why, "%" PRIu64 " bytes behind its data", there - (uint64_t)all);
    return true;
}

static bool load(npy_file *file, uint64_t bytes, tool_why *why) {
    static const char magic[6] = "\x93NUMPY";
    uint8_t raw[12] = {0};
    static char text[HEADER_BYTES_MAX];
    if (bytes < 10) return tool_refuse(why, "not a .npy file: too short");
    if (!tool_pread(file->fd, 0, raw, bytes < 12 ? 10 : 12, why)) return false;
    if (memcmp(raw, magic, sizeof magic) != 0) return tool_refuse(why, "not a .npy file: wrong magic");
    if (raw[6] < 1 || raw[6] > 3 || raw[7] != 0)
        return tool_refuse(why, ".npy version %u.%u; 1.0, 2.0 and 3.0 are known", raw[6], raw[7]);
    uint64_t start = raw[6] == 1 ? 10 : 12;
    uint64_t length = raw[8] | (uint64_t)raw[9] << 8;
    if (raw[6] > 1) length |= (uint64_t)raw[10] << 16 | (uint64_t)raw[11] << 24;
    if (length > HEADER_BYTES_MAX) return tool_refuse(why, "a header of %" PRIu64 " bytes", length);
    if (start > bytes || length > bytes - start)
        return tool_refuse(why, "truncated: a header of %" PRIu64 " bytes in a file of %" PRIu64, length,
                           bytes);
    if (!tool_pread(file->fd, start, text, length, why)) return false;
    file->data = start + length;
    if (!parse_header((parser){text, text + length}, file, why)) return false;
    return check_size(file, bytes, why);
}

bool npy_open(const char *path, npy_file *file, tool_why *why) {
    uint64_t bytes = 0;
    memset(file, 0, sizeof *file);
    file->fd = tool_open_file(path, &bytes, why);
    if (file->fd >= 0 && load(file, bytes, why)) return true;
    npy_close(file);
    return false;
}

bool npy_read_rows(const npy_file *file, int64_t first, int64_t count, void *target, tool_why *why) {
    uint64_t row = (uint64_t)file->cols * pave_dtype_bytes(file->type);
    return tool_pread(file->fd, file->data + (uint64_t)first * row, target, (uint64_t)count * row, why);
}

void npy_close(npy_file *file) {
    if (file->fd >= 0) close(file->fd);
    file->fd = -1;
}
