/* SPDX-License-Identifier: Apache-2.0
 * cl_mem and cl_command_queue in and out of every OpenCL device's context: shared for real, counted as
 * promised, and refused where they do not fit. */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include "tests/interop/check.h"

#include <CL/cl.h>
#include <dlfcn.h>
#include <pave/cuda.h>
#include <pave/opencl.h>
#include <stdlib.h>

static test_device devices[TEST_DEVICES_MAX];
static size_t device_count;
static void *loader;

#define CL(name) ((__typeof__(&name))dlsym(loader, #name))
#define CL_OK(call) assert_int_equal((call), CL_SUCCESS)

static bool is_opencl(const test_device *d) {
    return strncmp(d->info.selector, "opencl", 6) == 0;
}

static cl_context context_of(const test_device *d) {
    cl_context context = NULL;
    TEST_OK(pave_opencl_context_handle(d->context, &context));
    assert_non_null(context);
    return context;
}

static cl_device_id device_of(cl_context context) {
    cl_device_id device;
    CL_OK(CL(clGetContextInfo)(context, CL_CONTEXT_DEVICES, sizeof device, &device, NULL));
    return device;
}

static cl_mem mem_make(cl_context context, cl_mem_flags flags, size_t bytes, void *host) {
    cl_int code;
    cl_mem mem = CL(clCreateBuffer)(context, flags, bytes, host, &code);
    CL_OK(code);
    return mem;
}

static cl_command_queue queue_make(cl_context context, cl_command_queue_properties properties) {
    cl_int code;
    cl_command_queue queue = CL(clCreateCommandQueue)(context, device_of(context), properties, &code);
    return code == CL_SUCCESS ? queue : NULL;
}

static cl_uint mem_refs(cl_mem mem) {
    cl_uint refs = 0;
    CL_OK(CL(clGetMemObjectInfo)(mem, CL_MEM_REFERENCE_COUNT, sizeof refs, &refs, NULL));
    return refs;
}

static cl_uint queue_refs(cl_command_queue queue) {
    cl_uint refs = 0;
    CL_OK(CL(clGetCommandQueueInfo)(queue, CL_QUEUE_REFERENCE_COUNT, sizeof refs, &refs, NULL));
    return refs;
}

/* Memory and queue are the test's own: what Pave wrote is read by the driver itself, and all is still there
 * after. */
static void shared_on(const test_device *d) {
    cl_context context = context_of(d);
    size_t sizes[3] = {M * K * 4, N * K * 4, M * N * 4};
    cl_mem mems[3];
    pave_buffer *buffers[3];
    pave_queue *queue;
    float y[M * N];
    cl_command_queue native = queue_make(context, 0);
    TEST_OK(pave_opencl_queue_wrap(d->context, native, NULL, &queue));
    assert_int_equal(queue_refs(native), 2);
    pave_queue_destroy(&queue);
    assert_int_equal(queue_refs(native), 1); /* once it has run something, drivers hold some of their own */
    TEST_OK(pave_opencl_queue_wrap(d->context, native, NULL, &queue));
    for (int i = 0; i < 3; i++) {
        struct _cl_mem *out;
        mems[i] = mem_make(context, CL_MEM_READ_WRITE, sizes[i] + 64, NULL);
        TEST_OK(pave_opencl_buffer_wrap(d->context, mems[i], sizes[i], &buffers[i]));
        assert_int_equal(pave_buffer_bytes(buffers[i]), sizes[i]);
        TEST_OK(pave_opencl_buffer_mem(buffers[i], &out));
        assert_ptr_equal(out, mems[i]);
        assert_int_equal(mem_refs(mems[i]), 2);
    }
    struct _cl_command_queue *out;
    TEST_OK(pave_opencl_queue_handle(queue, &out));
    assert_ptr_equal(out, native);
    run_linear(queue, buffers[0], buffers[1], buffers[2], y);
    check_linear(y);
    memset(y, 0, sizeof y);
    CL_OK(CL(clEnqueueReadBuffer)(native, mems[2], CL_TRUE, 0, sizeof y, y, 0, NULL, NULL));
    check_linear(y);
    for (int i = 0; i < 3; i++) {
        pave_buffer_destroy(&buffers[i]);
        assert_int_equal(mem_refs(mems[i]), 1);
    }
    pave_queue_destroy(&queue);
    CL_OK(CL(clEnqueueReadBuffer)(native, mems[2], CL_TRUE, 0, sizeof y, y, 0, NULL, NULL));
    check_linear(y);
    for (int i = 0; i < 3; i++) CL_OK(CL(clReleaseMemObject)(mems[i]));
    CL_OK(CL(clReleaseCommandQueue)(native));
}

/* Host memory in use by the device, four bytes past where a driver's own would start. */
static void unaligned_on(const test_device *d) {
    cl_context context = context_of(d);
    size_t sizes[3] = {M * K * 4, N * K * 4, M * N * 4};
    unsigned char *blocks[3];
    cl_mem mems[3];
    pave_buffer *buffers[3];
    float y[M * N];
    for (int i = 0; i < 3; i++) {
        void *block;
        assert_int_equal(posix_memalign(&block, 256, sizes[i] + 256), 0);
        blocks[i] = block;
        mems[i] = mem_make(context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, sizes[i], blocks[i] + 4);
        TEST_OK(pave_opencl_buffer_wrap(d->context, mems[i], sizes[i], &buffers[i]));
    }
    run_linear(d->queue, buffers[0], buffers[1], buffers[2], y);
    check_linear(y);
    for (int i = 0; i < 3; i++) {
        pave_buffer_destroy(&buffers[i]);
        CL_OK(CL(clReleaseMemObject)(mems[i]));
        free(blocks[i]);
    }
    /* Two bytes past: no place for float32. */
    static unsigned char raw[512];
    unsigned char *odd = raw + (256 - (uintptr_t)raw % 256) % 256 + 2;
    cl_mem mem = mem_make(context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, 64, odd);
    pave_buffer *buffer;
    TEST_OK(pave_opencl_buffer_wrap(d->context, mem, 64, &buffer));
    pave_reduce_params params = {.size = sizeof params,
                                 .x = pave_tensor_2d(buffer, PAVE_F32, 1, 4),
                                 .y = pave_tensor_1d(buffer, PAVE_F32, 1),
                                 .reduction = PAVE_REDUCE_SUM};
    REFUSED(pave_reduce(d->queue, &params, NULL), PAVE_E_INVALID, "x");
    REFUSED(pave_buffer_fill(d->queue, buffer, 0, 4, "abcd", 4, NULL), PAVE_E_INVALID, "pattern_bytes");
    TEST_OK(pave_buffer_fill(d->queue, buffer, 0, 4, "ab", 2, NULL));
    pave_buffer_destroy(&buffer);
    CL_OK(CL(clReleaseMemObject)(mem));
}

/* What Pave made goes out: the driver sees the same memory. */
static void lent_on(const test_device *d) {
    pave_buffer *buffer, *empty;
    struct _cl_mem *mem = NULL;
    struct _cl_command_queue *queue = NULL;
    uint32_t value = 0;
    TEST_OK(pave_buffer_create(d->context, 64, &buffer));
    TEST_OK(pave_opencl_buffer_mem(buffer, &mem));
    TEST_OK(pave_opencl_queue_handle(d->queue, &queue));
    TEST_OK(pave_buffer_fill(d->queue, buffer, 0, 64, "abcd", 4, NULL));
    CL_OK(CL(clEnqueueReadBuffer)(queue, mem, CL_TRUE, 60, 4, &value, 0, NULL, NULL));
    assert_memory_equal(&value, "abcd", 4);
    assert_int_equal(mem_refs(mem), 1);
    pave_buffer_destroy(&buffer);
    TEST_OK(pave_opencl_buffer_wrap(d->context, NULL, 0, &empty));
    mem = (struct _cl_mem *)&value;
    TEST_OK(pave_opencl_buffer_mem(empty, &mem));
    assert_null(mem);
    pave_buffer_destroy(&empty);
}

static void memory_misuse_on(const test_device *d) {
    cl_context context = context_of(d);
    pave_context *other;
    pave_buffer *buffer = (pave_buffer *)&other;
    cl_mem mem = mem_make(context, CL_MEM_READ_WRITE, 64, NULL), out = mem;
    TEST_OK(pave_context_create(d->device, &other));
    REFUSED(pave_opencl_buffer_wrap(NULL, mem, 64, &buffer), PAVE_E_INVALID, "context");
    assert_null(buffer);
    REFUSED(pave_opencl_buffer_wrap(d->context, mem, 64, NULL), PAVE_E_INVALID, "buffer");
    REFUSED(pave_opencl_buffer_wrap(d->context, NULL, 64, &buffer), PAVE_E_INVALID, "mem is NULL");
    REFUSED(pave_opencl_buffer_wrap(d->context, mem, 65, &buffer), PAVE_E_INVALID, "bytes");
    REFUSED(pave_opencl_buffer_wrap(other, mem, 64, &buffer), PAVE_E_INVALID, "mem");
    REFUSED(pave_cuda_buffer_wrap(d->context, 4096, 64, &buffer), PAVE_E_UNSUPPORTED, "context");
    REFUSED(pave_opencl_buffer_mem(NULL, &out), PAVE_E_INVALID, "buffer");
    assert_true(!buffer && !out);
    CL_OK(CL(clReleaseMemObject)(mem));
    pave_context_destroy(&other);
}

static void queue_misuse_on(const test_device *d) {
    cl_context context = context_of(d);
    pave_context *other;
    pave_queue *queue = (pave_queue *)&other;
    pave_queue_params timed = {.size = sizeof timed, .profiling = 1}, wrong = {.size = 1};
    cl_command_queue plain = queue_make(context, 0);
    cl_command_queue loose = queue_make(context, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    TEST_OK(pave_context_create(d->device, &other));
    REFUSED(pave_opencl_queue_wrap(NULL, plain, NULL, &queue), PAVE_E_INVALID, "context");
    assert_null(queue);
    REFUSED(pave_opencl_queue_wrap(d->context, plain, NULL, NULL), PAVE_E_INVALID, "queue");
    REFUSED(pave_opencl_queue_wrap(d->context, NULL, NULL, &queue), PAVE_E_INVALID, "command_queue");
    REFUSED(pave_opencl_queue_wrap(d->context, plain, &wrong, &queue), PAVE_E_INVALID, "params->size");
    REFUSED(pave_opencl_queue_wrap(d->context, plain, &timed, &queue), PAVE_E_INVALID, "params->profiling");
    REFUSED(pave_opencl_queue_wrap(other, plain, NULL, &queue), PAVE_E_INVALID, "command_queue");
    if (loose) {
        REFUSED(pave_opencl_queue_wrap(d->context, loose, NULL, &queue), PAVE_E_INVALID, "out of order");
        CL_OK(CL(clReleaseCommandQueue)(loose));
    }
    REFUSED(pave_cuda_queue_wrap(d->context, NULL, NULL, &queue), PAVE_E_UNSUPPORTED, "context");
    assert_null(queue);
    assert_int_equal(queue_refs(plain), 1);
    CL_OK(CL(clReleaseCommandQueue)(plain));
    pave_context_destroy(&other);
}

/* Another backend's objects have no such handles. */
static void other_backend_on(const test_device *d) {
    pave_buffer *buffer;
    struct _cl_mem *mem;
    struct _cl_command_queue *queue;
    struct _cl_context *context;
    TEST_OK(pave_buffer_create(d->context, 64, &buffer));
    REFUSED(pave_opencl_buffer_mem(buffer, &mem), PAVE_E_UNSUPPORTED, "buffer");
    REFUSED(pave_opencl_queue_handle(d->queue, &queue), PAVE_E_UNSUPPORTED, "queue");
    REFUSED(pave_opencl_context_handle(d->context, &context), PAVE_E_UNSUPPORTED, "context");
    assert_true(!mem && !queue && !context);
    pave_buffer_destroy(&buffer);
}

#define ON_EACH(name, wanted)                                               \
    static void test_##name(void **state) {                                 \
        (void)state;                                                        \
        for (size_t i = 0; i < device_count; i++)                           \
            if (is_opencl(&devices[i]) == (wanted)) name##_on(&devices[i]); \
    }
ON_EACH(shared, true)
ON_EACH(unaligned, true)
ON_EACH(lent, true)
ON_EACH(memory_misuse, true)
ON_EACH(queue_misuse, true)
ON_EACH(other_backend, false)

static int open_all(void **state) {
    (void)state;
    device_count = test_devices_open(devices);
    loader = dlopen("libOpenCL.so.1", RTLD_NOW);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    test_devices_close(devices, device_count);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared),       cmocka_unit_test(test_unaligned),
        cmocka_unit_test(test_lent),         cmocka_unit_test(test_memory_misuse),
        cmocka_unit_test(test_queue_misuse), cmocka_unit_test(test_other_backend)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
