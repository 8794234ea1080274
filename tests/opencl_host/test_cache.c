/* SPDX-License-Identifier: Apache-2.0
 * The disk cache of OpenCL program binaries against what happens to files: damage, strangers in a file's
 * place, folders that cannot be written, writers side by side and writers that die. It needs no OpenCL
 * device. */
#include "backends/opencl/driver.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAYLOAD_BYTES 5000
#define HEADER_BYTES 48
#define FILE_BYTES (HEADER_BYTES + PAYLOAD_BYTES)
#define PROCESSES 4

static const cl_cache_key key = {0x0123456789abcdef, 0xfedcba9876543210};
static unsigned char payload[PAYLOAD_BYTES];
static char folder[64], file[160];
static int warnings;

static void on_log(void *user, pave_log_level level, const char *message) {
    (void)user;
    (void)message;
    warnings += level == PAVE_LOG_WARN;
}

static int setup(void **state) {
    (void)state;
    strcpy(folder, "pave-cache-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(file, sizeof file, "%s/fedcba98765432100123456789abcdef.bin", folder);
    for (size_t i = 0; i < PAYLOAD_BYTES; i++) payload[i] = (unsigned char)(i * 131 >> 3);
    unsetenv("PAVE_CACHE");
    pave_log_set(PAVE_LOG_INFO, on_log, NULL);
    warnings = 0;
    return setenv("PAVE_CACHE_DIR", folder, 1);
}

/* Removes the folder and returns how many entries it had. */
static int clear(void) {
    int entries = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        remove(path);
        entries++;
    }
    if (dir) closedir(dir);
    rmdir(folder);
    return entries;
}

static int teardown(void **state) {
    (void)state;
    clear();
    return 0;
}

static void expect_hit(void) {
    size_t bytes = 0;
    unsigned char *data = cl_cache_read(key, &bytes);
    assert_non_null(data);
    assert_int_equal(bytes, PAYLOAD_BYTES);
    assert_memory_equal(data, payload, PAYLOAD_BYTES);
    free(data);
}

static void expect_miss(void) {
    size_t bytes = 0;
    assert_null(cl_cache_read(key, &bytes));
}

static void flip(long at) {
    FILE *f = fopen(file, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    fputc(c ^ 0x10, f);
    assert_int_equal(fclose(f), 0);
}

static void write_then_read(void **state) {
    (void)state;
    expect_miss();
    cl_cache_write(key, payload, PAYLOAD_BYTES);
    expect_hit();
    struct stat s;
    assert_int_equal(stat(file, &s), 0);
    assert_int_equal(s.st_size, FILE_BYTES);
}

/* Every byte of the header, and bytes over the payload. */
static void one_bit_flipped(void **state) {
    (void)state;
    for (long at = 0; at < FILE_BYTES; at += at < HEADER_BYTES ? 1 : 97) {
        cl_cache_write(key, payload, PAYLOAD_BYTES);
        expect_hit();
        flip(at);
        expect_miss();
    }
    cl_cache_write(key, payload, PAYLOAD_BYTES);
    flip(FILE_BYTES - 1);
    expect_miss();
    cl_cache_write(key, payload, PAYLOAD_BYTES);
    expect_hit();
}

static void wrong_length(void **state) {
    (void)state;
    const off_t lengths[] = {
        0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 1, FILE_BYTES - 1, FILE_BYTES + 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        cl_cache_write(key, payload, PAYLOAD_BYTES);
        assert_int_equal(truncate(file, lengths[i]), 0);
        expect_miss();
    }
    cl_cache_write(key, payload, PAYLOAD_BYTES);
    expect_hit();
}

/* A sound file under another key's name. */
static void another_key(void **state) {
    (void)state;
    const cl_cache_key other = {key.low + 1, key.high};
    char path[160];
    snprintf(path, sizeof path, "%s/fedcba98765432100123456789abcdf0.bin", folder);
    cl_cache_write(other, payload, PAYLOAD_BYTES);
    assert_int_equal(rename(path, file), 0);
    expect_miss();
}

static void folder_in_its_place(void **state) {
    (void)state;
    assert_int_equal(mkdir(file, 0700), 0);
    expect_miss();
    cl_cache_write(key, payload, PAYLOAD_BYTES);
    expect_miss();
    assert_int_equal(clear(), 1); /* no temporary file stays behind */
}

/* A reader must not wait for a writer that never comes. */
static void pipe_in_its_place(void **state) {
    (void)state;
    assert_int_equal(mkfifo(file, 0600), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(5);
        size_t bytes;
        _exit(cl_cache_read(key, &bytes) != NULL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void switched_off(void **state) {
    (void)state;
    cl_cache_write(key, payload, PAYLOAD_BYTES);
    setenv("PAVE_CACHE", "off", 1);
    expect_miss();
    const cl_cache_key other = {1, 2};
    cl_cache_write(other, payload, PAYLOAD_BYTES);
    unsetenv("PAVE_CACHE");
    assert_int_equal(clear(), 1);
}

/* In a child, since the warning is given once a process, and before any test that earns it here; its exit status says how often, or 100 for a hit. */
static int warnings_of_writing(void (*before)(void)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        before();
        size_t bytes;
        warnings = 0;
        cl_cache_write(key, payload, PAYLOAD_BYTES);
        cl_cache_write(key, payload, PAYLOAD_BYTES);
        _exit(cl_cache_read(key, &bytes) ? 100 : warnings);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static char below[256];

static void use_below(void) {
    setenv("PAVE_CACHE_DIR", below, 1);
}

/* A folder below a file cannot be made by any user. */
static void no_folder_to_write(void **state) {
    (void)state;
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    snprintf(below, sizeof below, "%s/below", file);
    assert_int_equal(warnings_of_writing(use_below), 1);
}

/* As a disk that is full in the middle of the payload. */
static void limit_files(void) {
    const struct rlimit limit = {HEADER_BYTES + PAYLOAD_BYTES / 2, HEADER_BYTES + PAYLOAD_BYTES / 2};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit)) _exit(101);
}

static void full_disk(void **state) {
    (void)state;
    assert_int_equal(warnings_of_writing(limit_files), 1);
    expect_miss();
    assert_int_equal(clear(), 0); /* no temporary file stays behind */
}

/* Permissions do not bind root. */
static void be_nobody(void) {
    if (geteuid() == 0 && seteuid(65534)) _exit(101);
}

static void folder_to_read_only(void **state) {
    (void)state;
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(warnings_of_writing(be_nobody), 1);
    assert_int_equal(chmod(folder, 0755), 0);
    cl_cache_write(key, payload, PAYLOAD_BYTES);
    assert_int_equal(chmod(file, 0644), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(warnings_of_writing(be_nobody), 100); /* what is there is read */
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(clear(), 1);
}

/* Writers of one key at once, and a reader that sees all of a file or none. */
static void many_processes(void **state) {
    (void)state;
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i]) continue;
        int bad = 0;
        for (int n = 0; n < 200; n++) {
            cl_cache_write(key, payload, PAYLOAD_BYTES);
            size_t bytes;
            unsigned char *data = cl_cache_read(key, &bytes);
            bad |= !data || bytes != PAYLOAD_BYTES || memcmp(data, payload, PAYLOAD_BYTES) != 0;
            free(data);
        }
        _exit(bad);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    expect_hit();
    assert_int_equal(clear(), 1);
}

/* A killed writer leaves a temporary file at most: what is read is whole. */
static void killed_writer(void **state) {
    (void)state;
    size_t big = 8u << 20;
    unsigned char *data = calloc(1, big);
    assert_non_null(data);
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            for (;;) cl_cache_write(key, data, big);
        usleep(1000u + 1500u * (unsigned)round);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        size_t bytes;
        unsigned char *got = cl_cache_read(key, &bytes);
        if (got) {
            assert_int_equal(bytes, big);
            assert_memory_equal(got, data, big);
        } else {
            assert_int_equal(access(file, F_OK), -1);
        }
        free(got);
    }
    free(data);
}

static void loader_missing(void **state) {
    (void)state;
    char why[256] = "";
    assert_false(cl_driver_load("libNoSuchOpenCL.so.1", why, sizeof why));
    assert_non_null(strstr(why, "libNoSuchOpenCL.so.1"));
}

/* A library that is there and is no ICD loader: the first function that it lacks is named. */
static void loader_of_another_kind(void **state) {
    (void)state;
    char why[256] = "";
    assert_false(cl_driver_load("libm.so.6", why, sizeof why));
    assert_non_null(strstr(why, "clGetPlatformIDs"));
}

#define CACHE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {CACHE(no_folder_to_write),
                                       CACHE(full_disk),
                                       CACHE(folder_to_read_only),
                                       CACHE(write_then_read),
                                       CACHE(one_bit_flipped),
                                       CACHE(wrong_length),
                                       CACHE(another_key),
                                       CACHE(folder_in_its_place),
                                       CACHE(pipe_in_its_place),
                                       CACHE(switched_off),
                                       CACHE(many_processes),
                                       CACHE(killed_writer),
                                       cmocka_unit_test(loader_missing),
                                       cmocka_unit_test(loader_of_another_kind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
