/* SPDX-License-Identifier: Apache-2.0
 * Program binaries on disk, shared by any number of processes. A file is a header and a payload; it is
 * checked whole before a driver sees it, since drivers accept damaged binaries in silence. A file appears by
 * renaming a finished temporary one, so a reader sees all of it or nothing; whatever goes wrong, there is no
 * cache. */
#include "backends/opencl/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define MAGIC "PAVEBIN"
#define FORMAT 1
/* More than any kernel of ours makes; a longer file is not one of ours. */
#define BYTES_MAX (256u << 20)
#define FOLDER_BYTES 3072
#define PATH_BYTES 4096

typedef struct header {
    char magic[8];
    uint64_t format, bytes, hash;
    cl_cache_key key;
} header;

/* Once a process: a cache that cannot be written costs time, not results. */
static void warn(const char *path) {
    static atomic_uint warned;
    int error = errno;
    if (!atomic_exchange(&warned, 1))
        pave__log(PAVE_LOG_WARN, "opencl: kernels cannot be cached as %s: %s", path, strerror(error));
}

/* The cache's folder; false where none is wanted. */
static bool folder(char *path, size_t capacity) {
    const char *switched = getenv("PAVE_CACHE"), *own = getenv("PAVE_CACHE_DIR");
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (switched && strcmp(switched, "off") == 0) return false;
    int n;
    if (own && *own)
        n = snprintf(path, capacity, "%s", own);
    else if (xdg && *xdg)
        n = snprintf(path, capacity, "%s/pave", xdg);
    else if (home && *home)
        n = snprintf(path, capacity, "%s/.cache/pave", home);
    else
        return false;
    return n > 0 && (size_t)n < capacity;
}

bool cl_cache_wanted(void) {
    char dir[FOLDER_BYTES];
    return folder(dir, sizeof dir);
}

/* Makes the folder and those above it; false with errno set. */
static bool make_folder(const char *dir) {
    char path[FOLDER_BYTES];
    snprintf(path, sizeof path, "%s", dir);
    for (char *p = path + 1; *p; p++) {
        if (*p != '/') continue;
        *p = '\0';
        mkdir(path, 0777);
        *p = '/';
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool file_name(cl_cache_key key, const char *dir, char *path, size_t capacity) {
    int n = snprintf(path, capacity, "%s/%016" PRIx64 "%016" PRIx64 ".bin", dir, key.high, key.low);
    return n > 0 && (size_t)n < capacity;
}

static bool trusted(const header *h, cl_cache_key key) {
    return memcmp(h->magic, MAGIC, sizeof MAGIC) == 0 && h->format == FORMAT && h->key.low == key.low &&
           h->key.high == key.high && h->bytes > 0 && h->bytes <= BYTES_MAX;
}

static bool read_all(int fd, void *data, size_t bytes) {
    char *p = data;
    while (bytes) {
        ssize_t n = read(fd, p, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        bytes -= (size_t)n;
    }
    return true;
}

void *cl_cache_read(cl_cache_key key, size_t *bytes) {
    char dir[FOLDER_BYTES], path[PATH_BYTES];
    if (!folder(dir, sizeof dir) || !file_name(key, dir, path, sizeof path)) return NULL;
    /* Nonblocking, or a pipe of that name would be waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return NULL;
    header h;
    struct stat s;
    void *data = NULL;
    bool good = fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && read_all(fd, &h, sizeof h) && trusted(&h, key) &&
                (uint64_t)s.st_size == sizeof h + h.bytes;
    if (good) data = malloc(h.bytes);
    good = data && read_all(fd, data, h.bytes) && XXH3_64bits(data, h.bytes) == h.hash;
    close(fd);
    if (good) {
        *bytes = h.bytes;
        return data;
    }
    pave__log(PAVE_LOG_INFO, "opencl: cached binary %s is damaged or of another version: built again", path);
    free(data);
    return NULL;
}

static bool write_all(int fd, const void *data, size_t bytes) {
    const char *p = data;
    while (bytes) {
        ssize_t n = write(fd, p, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        bytes -= (size_t)n;
    }
    return true;
}

void cl_cache_write(cl_cache_key key, const void *data, size_t bytes) {
    static atomic_uint serial;
    char dir[FOLDER_BYTES], path[PATH_BYTES], temporary[PATH_BYTES + 64];
    if (bytes == 0 || bytes > BYTES_MAX || !folder(dir, sizeof dir) ||
        !file_name(key, dir, path, sizeof path))
        return;
    if (!make_folder(dir)) {
        warn(path);
        return;
    }
    snprintf(temporary, sizeof temporary, "%s.%ld.%u.tmp", path, (long)getpid(),
             atomic_fetch_add(&serial, 1));
    header h = {
        .magic = MAGIC, .format = FORMAT, .bytes = bytes, .hash = XXH3_64bits(data, bytes), .key = key};
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write_all(fd, &h, sizeof h) && write_all(fd, data, bytes);
    if (fd >= 0 && close(fd) != 0) good = false;
    if (good && rename(temporary, path) == 0) return;
    warn(path);
    if (fd >= 0) unlink(temporary);
}
