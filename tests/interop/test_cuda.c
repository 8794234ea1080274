/* SPDX-License-Identifier: Apache-2.0
 * Device pointers and streams in and out of every CUDA device's context. The driver's functions are loaded
 * and declared here, so that this builds with no toolkit. What the fake driver has none of
 * (pinned memory, contexts of one's own, the default stream) runs on a real one only. */
#include "tests/interop/check.h"

#include <dlfcn.h>
#include <pave/cuda.h>
#include <pave/opencl.h>

typedef unsigned long long address;
typedef struct CUstream_st *stream_handle;
typedef struct CUctx_st *context_handle;

static test_device devices[TEST_DEVICES_MAX];
static size_t device_count;
static bool real;

static struct driver {
    int (*push)(context_handle);
    int (*pop)(context_handle *);
    int (*alloc)(address *, size_t);
    int (*free)(address);
    int (*host_alloc)(void **, size_t);
    int (*host_free)(void *);
    int (*read)(void *, address, size_t, stream_handle);
    int (*synchronize)(stream_handle);
    int (*stream_create)(stream_handle *, unsigned);
    int (*stream_destroy)(stream_handle);
    int (*context_create)(context_handle *, unsigned, int);
    int (*context_destroy)(context_handle);
} cu;

static void load(void *library, void *slot, const char *name) {
    void *found = dlsym(library, name);
    assert_non_null(found);
    memcpy(slot, &found, sizeof found);
}

static void load_driver(void) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    assert_non_null(library);
    load(library, &cu.push, "cuCtxPushCurrent_v2");
    load(library, &cu.pop, "cuCtxPopCurrent_v2");
    load(library, &cu.alloc, "cuMemAlloc_v2");
    load(library, &cu.free, "cuMemFree_v2");
    load(library, &cu.read, "cuMemcpyDtoHAsync_v2");
    load(library, &cu.synchronize, "cuStreamSynchronize");
    load(library, &cu.stream_create, "cuStreamCreate");
    load(library, &cu.stream_destroy, "cuStreamDestroy_v2");
    real = dlsym(library, "fake_cuda_live") == NULL;
    if (!real) return;
    load(library, &cu.host_alloc, "cuMemAllocHost_v2");
    load(library, &cu.host_free, "cuMemFreeHost");
    load(library, &cu.context_create, "cuCtxCreate_v2");
    load(library, &cu.context_destroy, "cuCtxDestroy_v2");
}

static bool is_cuda(const test_device *d) {
    return strncmp(d->info.selector, "cuda", 4) == 0;
}

static void enter(const test_device *d) {
    context_handle context = NULL;
    TEST_OK(pave_cuda_context_handle(d->context, &context));
    assert_int_equal(cu.push(context), 0);
}

static void leave(void) {
    context_handle popped;
    assert_int_equal(cu.pop(&popped), 0);
}

/* All three operands lie `shift` bytes into allocations of the test's own, on a stream of its own or the
 * default. */
static void shared_at(const test_device *d, stream_handle stream, uint64_t shift) {
    size_t sizes[3] = {M * K * 4, N * K * 4, M * N * 4};
    address blocks[3], out;
    pave_buffer *buffers[3];
    pave_queue *queue;
    pave_queue_params timed = {.size = sizeof timed, .profiling = 1};
    stream_handle same;
    float y[M * N];
    TEST_OK(pave_cuda_queue_wrap(d->context, stream, &timed, &queue));
    TEST_OK(pave_cuda_queue_stream(queue, &same));
    assert_ptr_equal(same, stream);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cu.alloc(&blocks[i], sizes[i] + shift), 0);
        TEST_OK(pave_cuda_buffer_wrap(d->context, blocks[i] + shift, sizes[i], &buffers[i]));
        TEST_OK(pave_cuda_buffer_pointer(buffers[i], &out));
        assert_true(out == blocks[i] + shift);
    }
    run_linear(queue, buffers[0], buffers[1], buffers[2], y);
    check_linear(y);
    for (int i = 0; i < 3; i++) pave_buffer_destroy(&buffers[i]);
    pave_queue_destroy(&queue);
    memset(y, 0, sizeof y);
    assert_int_equal(cu.read(y, blocks[2] + shift, sizeof y, stream), 0);
    assert_int_equal(cu.synchronize(stream), 0);
    check_linear(y);
    for (int i = 0; i < 3; i++) assert_int_equal(cu.free(blocks[i]), 0);
}

static void shared_on(const test_device *d) {
    stream_handle stream;
    enter(d);
    assert_int_equal(cu.stream_create(&stream, 1), 0);
    shared_at(d, stream, 0);
    shared_at(d, stream, 4);
    shared_at(d, stream, 16);
    if (real) shared_at(d, NULL, 4);
    assert_int_equal(cu.stream_destroy(stream), 0);
    leave();
}

static void memory_misuse_on(const test_device *d) {
    pave_buffer *buffer = (pave_buffer *)&devices;
    address block;
    void *host = NULL;
    struct _cl_mem *mem;
    enter(d);
    assert_int_equal(cu.alloc(&block, 4096), 0);
    REFUSED(pave_cuda_buffer_wrap(NULL, block, 64, &buffer), PAVE_E_INVALID, "context");
    assert_null(buffer);
    REFUSED(pave_cuda_buffer_wrap(d->context, block, 64, NULL), PAVE_E_INVALID, "buffer");
    REFUSED(pave_cuda_buffer_wrap(d->context, 0, 64, &buffer), PAVE_E_INVALID, "pointer is NULL");
    REFUSED(pave_cuda_buffer_wrap(d->context, (uintptr_t)&devices, 64, &buffer), PAVE_E_INVALID,
            "no device memory");
    if (real) {
        assert_int_equal(cu.host_alloc(&host, 4096), 0);
        REFUSED(pave_cuda_buffer_wrap(d->context, (uintptr_t)host, 64, &buffer), PAVE_E_INVALID,
                "no device memory");
        assert_int_equal(cu.host_free(host), 0);
    }
    REFUSED(pave_cuda_buffer_wrap(d->context, block + 4, 4096, &buffer), PAVE_E_INVALID, "bytes");
    REFUSED(pave_opencl_buffer_wrap(d->context, NULL, 64, &buffer), PAVE_E_UNSUPPORTED, "context");
    assert_null(buffer);
    TEST_OK(pave_cuda_buffer_wrap(d->context, block + 2, 64, &buffer));
    REFUSED(pave_buffer_fill(d->queue, buffer, 0, 4, "abcd", 4, NULL), PAVE_E_INVALID, "pattern_bytes");
    REFUSED(pave_opencl_buffer_mem(buffer, &mem), PAVE_E_UNSUPPORTED, "buffer");
    pave_buffer_destroy(&buffer);
    assert_int_equal(cu.free(block), 0);
    leave();
}

static void foreign_stream(const test_device *d) {
    pave_queue *queue = (pave_queue *)&devices;
    context_handle other, popped;
    stream_handle foreign;
    int ordinal = 0;
    sscanf(d->info.selector, "cuda:%d", &ordinal);
    assert_int_equal(cu.context_create(&other, 0, ordinal), 0);
    assert_int_equal(cu.stream_create(&foreign, 1), 0);
    assert_int_equal(cu.pop(&popped), 0);
    REFUSED(pave_cuda_queue_wrap(d->context, foreign, NULL, &queue), PAVE_E_INVALID, "stream");
    assert_null(queue);
    assert_int_equal(cu.context_destroy(other), 0);
}

/* A device's memory and streams are no other device's. */
static void other_device(const test_device *d, const test_device *other) {
    pave_queue *queue = (pave_queue *)&devices;
    pave_buffer *buffer = (pave_buffer *)&devices, *theirs;
    address pointer;
    stream_handle stream;
    TEST_OK(pave_buffer_create(other->context, 64, &theirs));
    TEST_OK(pave_cuda_buffer_pointer(theirs, &pointer));
    TEST_OK(pave_cuda_queue_stream(other->queue, &stream));
    REFUSED(pave_cuda_buffer_wrap(d->context, pointer, 64, &buffer), PAVE_E_INVALID, "pointer");
    REFUSED(pave_cuda_queue_wrap(d->context, stream, NULL, &queue), PAVE_E_INVALID, "stream");
    assert_true(!buffer && !queue);
    pave_buffer_destroy(&theirs);
}

static void queue_misuse_on(const test_device *d) {
    pave_queue *queue = (pave_queue *)&devices;
    REFUSED(pave_cuda_queue_wrap(NULL, NULL, NULL, &queue), PAVE_E_INVALID, "context");
    assert_null(queue);
    if (real) foreign_stream(d);
    for (size_t i = 0; i < device_count; i++)
        if (is_cuda(&devices[i]) && devices[i].device != d->device) other_device(d, &devices[i]);
}

/* Another backend's objects have no such handles. */
static void other_backend_on(const test_device *d) {
    pave_buffer *buffer;
    address pointer;
    stream_handle stream;
    context_handle context;
    TEST_OK(pave_buffer_create(d->context, 64, &buffer));
    REFUSED(pave_cuda_buffer_pointer(buffer, &pointer), PAVE_E_UNSUPPORTED, "buffer");
    REFUSED(pave_cuda_queue_stream(d->queue, &stream), PAVE_E_UNSUPPORTED, "queue");
    REFUSED(pave_cuda_context_handle(d->context, &context), PAVE_E_UNSUPPORTED, "context");
    assert_true(!pointer && !stream && !context);
    pave_buffer_destroy(&buffer);
}

#define ON_EACH(name, wanted)                                             \
    static void test_##name(void **state) {                               \
        (void)state;                                                      \
        for (size_t i = 0; i < device_count; i++)                         \
            if (is_cuda(&devices[i]) == (wanted)) name##_on(&devices[i]); \
    }
ON_EACH(shared, true)
ON_EACH(memory_misuse, true)
ON_EACH(queue_misuse, true)
ON_EACH(other_backend, false)

static int open_all(void **state) {
    (void)state;
    device_count = test_devices_open(devices);
    for (size_t i = 0; i < device_count; i++)
        if (is_cuda(&devices[i])) {
            load_driver();
            break;
        }
    return 0;
}

static int close_all(void **state) {
    (void)state;
    test_devices_close(devices, device_count);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shared), cmocka_unit_test(test_memory_misuse),
                                       cmocka_unit_test(test_queue_misuse),
                                       cmocka_unit_test(test_other_backend)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
