/* SPDX-License-Identifier: Apache-2.0
 * The OpenCL backend on the first OpenCL device there is: events that outlive their queue, uploads, the account of memory,
 * and kernels from a cache that was damaged. Skipped where there is none. */
#include "src/objects.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static pave_device *device;
static char folder[64];
static int rebuilt;

static void on_log(void *user, pave_log_level level, const char *message) {
    (void)user;
    rebuilt += level == PAVE_LOG_INFO && strstr(message, "built again") != NULL;
}

static pave_context *context_or_skip(void) {
    if (!device) skip();
    pave_context *context = NULL;
    assert_int_equal(pave_context_create(device, &context), PAVE_OK);
    return context;
}

/* Memory and handles of a closed queue are reused by the next one: what an event asks of it would show. */
static void event_outlives_its_queue(void **state) {
    (void)state;
    pave_context *context = context_or_skip();
    pave_queue_params params = {.size = sizeof params, .profiling = 1};
    pave_queue *queue = NULL, *other = NULL;
    pave_buffer *buffer = NULL;
    pave_event *event = NULL;
    unsigned zero = 0;
    uint64_t ns;
    assert_int_equal(pave_queue_create(context, &params, &queue), PAVE_OK);
    assert_int_equal(pave_buffer_create(context, 4096, &buffer), PAVE_OK);
    pave_sync tell = {.event = &event};
    assert_int_equal(pave_buffer_fill(queue, buffer, 0, 4096, &zero, 4, &tell), PAVE_OK);
    pave_queue_destroy(&queue);
    assert_int_equal(pave_queue_create(context, NULL, &other), PAVE_OK);
    pave_sync wait = {.wait = &event, .wait_count = 1};
    assert_int_equal(pave_buffer_fill(other, buffer, 0, 4096, &zero, 4, &wait), PAVE_OK);
    assert_int_equal(pave_event_query(event), PAVE_OK);
    assert_int_equal(pave_event_wait(event), PAVE_OK);
    assert_int_equal(pave_event_duration(event, &ns), PAVE_OK);
    assert_int_equal(pave_queue_finish(other), PAVE_OK);
    pave_event_destroy(&event);
    pave_buffer_destroy(&buffer);
    pave_queue_destroy(&other);
    pave_context_destroy(&context);
}

/* The source is overwritten as soon as each call is back, with the queue's earlier work still to do. */
static void upload_lets_its_source_go(void **state) {
    (void)state;
    enum { COUNT = 200, BYTES = 4096 };
    static unsigned char source[BYTES], got[COUNT * BYTES];
    pave_context *context = context_or_skip();
    pave_queue *queue = NULL;
    pave_buffer *buffer = NULL;
    const unsigned char one = 1;
    assert_int_equal(pave_queue_create(context, NULL, &queue), PAVE_OK);
    assert_int_equal(pave_buffer_create(context, sizeof got, &buffer), PAVE_OK);
    assert_int_equal(pave_buffer_fill(queue, buffer, 0, sizeof got, &one, 1, NULL), PAVE_OK);
    for (int i = 0; i < COUNT; i++) {
        memset(source, i, BYTES);
        assert_int_equal(
            device->backend->upload(queue->native, buffer->memory, (uint64_t)i * BYTES, source, BYTES),
            PAVE_OK);
        memset(source, 0xff, BYTES);
    }
    assert_int_equal(pave_buffer_read(queue, buffer, 0, got, sizeof got, PAVE_BLOCK, NULL), PAVE_OK);
    for (int i = 0; i < COUNT * BYTES; i++) assert_int_equal(got[i], i / BYTES);
    pave_buffer_destroy(&buffer);
    pave_queue_destroy(&queue);
    pave_context_destroy(&context);
}

/* Drivers overcommit: what is more than the device has is refused all the same, and what is freed is there.
 */
static void memory_is_accounted(void **state) {
    (void)state;
    pave_context *context = context_or_skip();
    pave_device_info info = {.size = sizeof info};
    assert_int_equal(pave_device_describe(device, &info), PAVE_OK);
    pave_buffer *buffers[64] = {NULL};
    uint64_t each = info.alloc_bytes_max;
    if (info.compute_capability || !each || info.memory_bytes / each >= 64) {
        pave_context_destroy(&context);
        skip(); /* a driver that does commit would really take it all */
    }
    int fit = (int)(info.memory_bytes / each);
    for (int i = 0; i < fit; i++) assert_int_equal(pave_buffer_create(context, each, &buffers[i]), PAVE_OK);
    pave_buffer *more = NULL;
    assert_int_equal(pave_buffer_create(context, each, &more), PAVE_E_DEVICE_MEMORY);
    assert_null(more);
    assert_non_null(strstr(pave_last_message(), "in use"));
    pave_buffer_destroy(&buffers[0]);
    assert_int_equal(pave_buffer_create(context, each, &buffers[0]), PAVE_OK);
    for (int i = 0; i < fit; i++) pave_buffer_destroy(&buffers[i]);
    pave_context_destroy(&context);
}

/* A sum over [4, 100] in a context of its own, so that its kernel is loaded anew. */
static void sum_is_right(void) {
    pave_context *context = NULL;
    pave_queue *queue = NULL;
    pave_buffer *x = NULL, *y = NULL;
    float values[400], sums[4] = {0};
    for (int i = 0; i < 400; i++) values[i] = (float)(i / 100 + 1);
    assert_int_equal(pave_context_create(device, &context), PAVE_OK);
    assert_int_equal(pave_queue_create(context, NULL, &queue), PAVE_OK);
    assert_int_equal(pave_buffer_create(context, sizeof values, &x), PAVE_OK);
    assert_int_equal(pave_buffer_create(context, sizeof sums, &y), PAVE_OK);
    assert_int_equal(pave_buffer_write(queue, x, 0, values, sizeof values, PAVE_BLOCK, NULL), PAVE_OK);
    pave_reduce_params params = {.size = sizeof params,
                                 .x = pave_tensor_2d(x, PAVE_F32, 4, 100),
                                 .y = pave_tensor_1d(y, PAVE_F32, 4),
                                 .reduction = PAVE_REDUCE_SUM};
    assert_int_equal(pave_reduce(queue, &params, NULL), PAVE_OK);
    assert_int_equal(pave_buffer_read(queue, y, 0, sums, sizeof sums, PAVE_BLOCK, NULL), PAVE_OK);
    for (int i = 0; i < 4; i++) assert_true(sums[i] == 100.0f * (float)(i + 1));
    pave_buffer_destroy(&x);
    pave_buffer_destroy(&y);
    pave_queue_destroy(&queue);
    pave_context_destroy(&context);
}

typedef int (*visit)(const char *path);

static int each_file(visit what) {
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        assert_int_equal(what(path), 0);
        count++;
    }
    if (dir) closedir(dir);
    return count;
}

static int flip_middle(const char *path) {
    FILE *f = fopen(path, "r+b");
    if (!f || fseek(f, 0, SEEK_END)) return -1;
    long middle = ftell(f) / 2;
    fseek(f, middle, SEEK_SET);
    int c = fgetc(f);
    fseek(f, middle, SEEK_SET);
    fputc(c ^ 1, f);
    return fclose(f);
}

static void damaged_cache_is_rebuilt(void **state) {
    (void)state;
    if (!device) skip();
    strcpy(folder, "pave-device-XXXXXX");
    assert_non_null(mkdtemp(folder));
    setenv("PAVE_CACHE_DIR", folder, 1);
    pave_log_set(PAVE_LOG_INFO, on_log, NULL);
    rebuilt = 0;
    sum_is_right();
    sum_is_right();
    assert_int_equal(rebuilt, 0);
    int files = each_file(flip_middle);
    assert_true(files > 0);
    sum_is_right();
    assert_int_equal(rebuilt, files);
    sum_is_right();
    assert_int_equal(rebuilt, files);
    pave_log_set(PAVE_LOG_NONE, NULL, NULL);
    assert_int_equal(each_file(remove), files);
    assert_int_equal(rmdir(folder), 0);
}

int main(void) {
    size_t count = 0;
    if (pave_device_list("opencl", 1, &device, &count) != PAVE_OK) return 1;
    const char *required = getenv("PAVE_TEST_REQUIRE");
    if (!count && required && strstr(required, "opencl")) {
        fprintf(stderr, "PAVE_TEST_REQUIRE wants opencl, and there is no device\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_outlives_its_queue), cmocka_unit_test(upload_lets_its_source_go),
        cmocka_unit_test(memory_is_accounted), cmocka_unit_test(damaged_cache_is_rebuilt)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
