/* SPDX-License-Identifier: Apache-2.0
 * The .safetensors format: 8 bytes of little-endian header length, a JSON object of tensors, then their data
 * with no gap and no overlap. Source: https://github.com/huggingface/safetensors, "Format". */
#include "tools/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES_MAX 100000000u /* the format's own limit */

static const struct {
    const char *name;
    unsigned bytes;
    pave_dtype type;
} dtypes[] = {{"F32", 4, PAVE_F32},
              {"F16", 2, PAVE_F16},
              {"BF16", 2, PAVE_BF16},
              {"F64", 8, 0},
              {"I64", 8, 0},
              {"U64", 8, 0},
              {"I32", 4, 0},
              {"U32", 4, 0},
              {"I16", 2, 0},
              {"U16", 2, 0},
              {"I8", 1, 0},
              {"U8", 1, 0},
              {"BOOL", 1, 0},
              {"F8_E4M3", 1, PAVE_E4M3},
              {"F8_E5M2", 1, PAVE_E5M2}};

int tool_open_file(const char *path, uint64_t *bytes, tool_why *why) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        tool_refuse(why, "%s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        tool_refuse(why, "not a regular file");
    } else {
        *bytes = (uint64_t)status.st_size;
        return fd;
    }
    if (fd >= 0) close(fd);
    return -1;
}

bool tool_pread(int fd, uint64_t offset, void *target, uint64_t bytes, tool_why *why) {
    char *to = target;
    while (bytes) {
        size_t piece = bytes < (1u << 30) ? (size_t)bytes : 1u << 30;
        ssize_t got = pread(fd, to, piece, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return tool_refuse(why, "%s", strerror(errno));
        if (got == 0) return tool_refuse(why, "the file ends at byte %" PRIu64 ", before its data", offset);
        to += got;
        offset += (uint64_t)got;
        bytes -= (uint64_t)got;
    }
    return true;
}

static bool parse_shape(const char *name, const json_t *shape, unsigned size, st_tensor *t, uint64_t *bytes,
                        tool_why *why) {
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape)) return tool_refuse(why, "tensor '%s': no shape", name);
    if (rank > PAVE_MAX_RANK)
        return tool_refuse(why, "tensor '%s': %zu dimensions where %d are the most", name, rank,
                           PAVE_MAX_RANK);
    t->rank = (int)rank;
    int64_t product = size;
    bool overflow = false;
    for (size_t i = 0; i < rank; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return tool_refuse(why, "tensor '%s': dimension %zu of its shape is no whole number >= 0", name,
                               i);
        t->shape[i] = json_integer_value(dim);
        overflow |= __builtin_mul_overflow(product, t->shape[i], &product);
    }
    if (overflow) return tool_refuse(why, "tensor '%s': its shape's product overflows", name);
    *bytes = (uint64_t)product;
    return true;
}

static bool parse_offsets(const char *name, const json_t *offsets, unsigned size, uint64_t data,
                          uint64_t room, st_tensor *t, tool_why *why) {
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return tool_refuse(why, "tensor '%s': its data_offsets are not two whole numbers", name);
    json_int_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin || (uint64_t)end > room)
        return tool_refuse(why, "tensor '%s': its data, bytes %lld to %lld, leaves the file's %" PRIu64, name,
                           (long long)begin, (long long)end, room);
    if ((uint64_t)(end - begin) != t->bytes)
        return tool_refuse(why, "tensor '%s': %lld bytes of data where its shape needs %" PRIu64, name,
                           (long long)(end - begin), t->bytes);
    if (begin % size)
        return tool_refuse(why, "tensor '%s': its data at byte %lld is not aligned to %u", name,
                           (long long)begin, size);
    t->offset = data + (uint64_t)begin;
    return true;
}

static bool parse_tensor(const char *name, const json_t *entry, uint64_t data, uint64_t room, st_tensor *t,
                         tool_why *why) {
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype) return tool_refuse(why, "tensor '%s': no dtype", name);
    size_t i = 0, count = sizeof dtypes / sizeof dtypes[0];
    while (i < count && strcmp(dtypes[i].name, dtype) != 0) i++;
    if (i == count) return tool_refuse(why, "tensor '%s': unknown dtype '%.16s'", name, dtype);
    snprintf(t->dtype, sizeof t->dtype, "%s", dtype);
    t->type = dtypes[i].type;
    if (!parse_shape(name, json_object_get(entry, "shape"), dtypes[i].bytes, t, &t->bytes, why)) return false;
    if (!parse_offsets(name, json_object_get(entry, "data_offsets"), dtypes[i].bytes, data, room, t, why))
        return false;
    t->name = strdup(name);
    return t->name ? true : tool_refuse(why, "no memory");
}

static int by_offset(const void *a, const void *b) {
    const st_tensor *s = a, *t = b;
    if (s->offset != t->offset) return s->offset < t->offset ? -1 : 1;
    return (s->bytes > t->bytes) - (s->bytes < t->bytes);
}

/* Data without gap or overlap: what the format demands, so that no byte of a file goes unexplained. */
static bool check_cover(const st_file *file, uint64_t data, uint64_t end, tool_why *why) {
    uint64_t at = data;
    for (size_t i = 0; i < file->count; i++) {
        const st_tensor *t = &file->tensors[i];
        if (t->offset < at)
            return tool_refuse(why, "tensor '%s': its data overlaps another tensor's", t->name);
        if (t->offset > at)
            return tool_refuse(why, "tensor '%s': a gap of %" PRIu64 " bytes before its data", t->name,
                               t->offset - at);
        at += t->bytes;
    }
    if (at != end) return tool_refuse(why, "%" PRIu64 " bytes behind the last tensor's data", end - at);
    return true;
}

static bool parse_header(st_file *file, const json_t *root, uint64_t data, uint64_t bytes, tool_why *why) {
    if (!json_is_object(root)) return tool_refuse(why, "the header is not a JSON object");
    file->tensors = calloc(json_object_size(root) + 1, sizeof *file->tensors);
    if (!file->tensors) return tool_refuse(why, "no memory");
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)root, name, entry) {
        if (strcmp(name, "__metadata__") == 0) continue;
        if (!parse_tensor(name, entry, data, bytes - data, &file->tensors[file->count], why)) return false;
        file->count++;
    }
    qsort(file->tensors, file->count, sizeof *file->tensors, by_offset);
    return check_cover(file, data, bytes, why);
}

static bool load(st_file *file, uint64_t bytes, tool_why *why) {
    uint8_t raw[8];
    if (bytes < sizeof raw) return tool_refuse(why, "too short to be a safetensors file");
    if (!tool_pread(file->fd, 0, raw, sizeof raw, why)) return false;
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | raw[i];
    if (length > HEADER_BYTES_MAX)
        return tool_refuse(why, "not a safetensors file: a header of %" PRIu64 " bytes, more than %u", length,
                           HEADER_BYTES_MAX);
    if (length > bytes - sizeof raw)
        return tool_refuse(why, "a header of %" PRIu64 " bytes in a file of %" PRIu64, length, bytes);
    char *text = malloc((size_t)length + 1);
    if (!text) return tool_refuse(why, "no memory for a header of %" PRIu64 " bytes", length);
    bool ok = tool_pread(file->fd, sizeof raw, text, length, why);
    json_error_t error;
    json_t *root = ok ? json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error) : NULL;
    free(text);
    if (ok && !root)
        ok = tool_refuse(why, "the header is not valid JSON: %s (byte %d)", error.text, error.position);
    if (ok) ok = parse_header(file, root, sizeof raw + length, bytes, why);
    json_decref(root);
    return ok;
}

bool st_open(const char *path, st_file *file, tool_why *why) {
    uint64_t bytes = 0;
    *file = (st_file){.fd = tool_open_file(path, &bytes, why)};
    if (file->fd >= 0 && load(file, bytes, why)) return true;
    st_close(file);
    return false;
}

bool st_read(const st_file *file, const st_tensor *tensor, void *target, tool_why *why) {
    return tool_pread(file->fd, tensor->offset, target, tensor->bytes, why);
}

const st_tensor *st_find(const st_file *file, const char *name) {
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}

void st_close(st_file *file) {
    for (size_t i = 0; i < file->count; i++) free(file->tensors[i].name);
    free(file->tensors);
    if (file->fd >= 0) close(file->fd);
    *file = (st_file){.fd = -1};
}
