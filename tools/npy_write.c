/* SPDX-License-Identifier: Apache-2.0
 * Writes an array under a temporary name in the target's directory and renames it when it is whole. A target
 * that is a device or a pipe is written in place, since a rename would replace it. */
#include "tools/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool open_temporary(npy_writer *writer, tool_why *why) {
    const char *slash = strrchr(writer->path, '/');
    size_t folder = slash ? (size_t)(slash - writer->path) + 1 : 0;
    size_t room = strlen(writer->path) + 16;
    writer->temporary = malloc(room);
    if (!writer->temporary) return tool_refuse(why, "no memory");
    snprintf(writer->temporary, room, "%.*s.%s.XXXXXX", (int)folder, writer->path, writer->path + folder);
    writer->fd = mkstemp(writer->temporary);
    if (writer->fd < 0) {
        int code = errno;
        free(writer->temporary);
        writer->temporary = NULL;
        return tool_refuse(why, "%s", strerror(code));
    }
    tool_remove_on_kill(writer->temporary);
    mode_t mask = umask(0);
    umask(mask);
    /* mkstemp gives the owner alone access; a failure leaves it so, which harms nobody. */
    if (fchmod(writer->fd, 0666 & ~mask) != 0) errno = 0;
    return true;
}

static bool open_target(const char *path, npy_writer *writer, tool_why *why) {
    struct stat status;
    bool there = stat(path, &status) == 0;
    if (there && S_ISDIR(status.st_mode)) return tool_refuse(why, "is a directory");
    if (there && !S_ISREG(status.st_mode)) {
        writer->path = strdup(path);
        writer->fd = open(path, O_WRONLY | O_CLOEXEC);
        return writer->fd >= 0 || tool_refuse(why, "%s", strerror(errno));
    }
    /* A link to a file stays a link to the new file. */
    writer->path = there ? realpath(path, NULL) : strdup(path);
    if (!writer->path) return tool_refuse(why, "%s", strerror(errno));
    return open_temporary(writer, why);
}

bool npy_write(npy_writer *writer, const void *source, uint64_t bytes, tool_why *why) {
    const char *from = source;
    while (bytes) {
        size_t piece = bytes < (1u << 30) ? (size_t)bytes : 1u << 30;
        ssize_t put = write(writer->fd, from, piece);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return tool_refuse(why, "%s", strerror(errno));
        from += put;
        bytes -= (uint64_t)put;
    }
    return true;
}

/* Version 1.0, padded so that the data starts at a multiple of 64 bytes, as NumPy does. */
static bool write_header(npy_writer *writer, int rank, const int64_t *shape, tool_why *why) {
    char text[1024] = "\x93NUMPY\x01";
    size_t used = 10;
    used += (size_t)snprintf(text + used, sizeof text - used,
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%" PRId64 "%s", i ? " " : "", shape[i],
                                 i + 1 < rank || rank == 1 ? "," : "");
    used += (size_t)snprintf(text + used, sizeof text - used, "), }");
    while ((used + 1) % 64) text[used++] = ' ';
    text[used++] = '\n';
    text[8] = (char)((used - 10) & 0xff);
    text[9] = (char)((used - 10) >> 8);
    return npy_write(writer, text, used, why);
}

bool npy_create(const char *path, int rank, const int64_t *shape, npy_writer *writer, tool_why *why) {
    *writer = (npy_writer){.fd = -1};
    if (open_target(path, writer, why) && write_header(writer, rank, shape, why)) return true;
    npy_abandon(writer);
    return false;
}

bool npy_finish(npy_writer *writer, tool_why *why) {
    if (writer->temporary && fsync(writer->fd) != 0) return tool_refuse(why, "%s", strerror(errno));
    int fd = writer->fd;
    writer->fd = -1;
    if (close(fd) != 0) return tool_refuse(why, "%s", strerror(errno));
    if (!writer->temporary) return true;
    if (rename(writer->temporary, writer->path) != 0) return tool_refuse(why, "%s", strerror(errno));
    tool_remove_on_kill(NULL);
    free(writer->temporary);
    writer->temporary = NULL;
    return true;
}

void npy_abandon(npy_writer *writer) {
    if (writer->fd >= 0) close(writer->fd);
    if (writer->temporary) unlink(writer->temporary);
    tool_remove_on_kill(NULL);
    free(writer->temporary);
    free(writer->path);
    *writer = (npy_writer){.fd = -1};
}
