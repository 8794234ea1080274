/* SPDX-License-Identifier: Apache-2.0
 * What the OpenCL backend tells a driver of a launch: all arguments are right at each enqueue, and only those are set again
 * that may have changed. The driver is a fake one that remembers; it needs no OpenCL device. */
#include "backends/opencl/objects.h"
#include "tests/support/cm.h"

#include <stdlib.h>
#include <string.h>

enum { BUFFERS = 12 };

extern const pave__backend cl_backend;

static unsigned char set_args[CL_ARGUMENT_BYTES];
static cl_mem set_mems[BUFFERS];
static int sets, launches, fail_at; /* fail_at: index of the argument that cannot be set, or -1 */

static cl_int CL_API_CALL set_arg(cl_kernel kernel, cl_uint index, size_t bytes, const void *value) {
    (void)kernel;
    if ((int)index == fail_at) return CL_OUT_OF_RESOURCES;
    sets++;
    if (index == 0)
        memcpy(set_args, value, bytes);
    else
        memcpy(&set_mems[index - 1], value, bytes);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL enqueue(cl_command_queue queue, cl_kernel kernel, cl_uint rank,
                                  const size_t *offset, const size_t *global, const size_t *local,
                                  cl_uint count, const cl_event *list, cl_event *event) {
    (void)queue, (void)kernel, (void)offset, (void)list, (void)event;
    assert_int_equal(rank, 3);
    assert_int_equal(count, 0);
    for (int i = 0; i < 3; i++) assert_int_equal(global[i] % local[i], 0);
    launches++;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release(cl_mem mem) {
    (void)mem;
    return CL_SUCCESS;
}

static cl_ctx context;
static cl_queue queue;
static cl_kernel_entry entry;
static void *kernels[1] = {&entry};
static cl_memory memories[BUFFERS];
static pave_abi_rows args;
static void *buffers[BUFFERS];
static pave__launch launch;

static int setup(void **state) {
    static const pave__row row = {.name = "a_row"};
    (void)state;
    cl_driver.clSetKernelArg = set_arg;
    cl_driver.clEnqueueNDRangeKernel = enqueue;
    cl_driver.clReleaseMemObject = release;
    memset(&entry, 0, sizeof entry);
    memset(&context, 0, sizeof context);
    memset(&args, 0, sizeof args);
    pthread_mutex_init(&entry.lock, NULL);
    pthread_mutex_init(&context.lock, NULL);
    queue = (cl_queue){.context = &context};
    for (int i = 0; i < BUFFERS; i++) {
        memories[i].mem = (cl_mem)&memories[i];
        buffers[i] = i < 3 ? &memories[i] : NULL;
    }
    launch = (pave__launch){.row = &row,
                            .args = &args,
                            .args_bytes = sizeof args,
                            .buffers = buffers,
                            .buffer_count = BUFFERS,
                            .grid = {2, 1, 1},
                            .block = {1, 1, 1}};
    launches = 0;
    fail_at = -1;
    return 0;
}

/* Launches, and returns how many arguments were set. The kernel has what the launch says all the same. */
static int launched(void) {
    sets = 0;
    assert_int_equal(cl_backend.launch(&queue, kernels, &launch, 1), PAVE_OK);
    assert_memory_equal(set_args, &args, sizeof args);
    for (int i = 0; i < BUFFERS; i++)
        assert_ptr_equal(set_mems[i], buffers[i] ? ((cl_memory *)buffers[i])->mem : NULL);
    return sets;
}

static void only_what_changed(void **state) {
    (void)state;
    assert_int_equal(launched(), 1 + BUFFERS);
    assert_int_equal(launched(), 0);
    args.rows = 3;
    assert_int_equal(launched(), 1);
    buffers[1] = &memories[5];
    buffers[7] = &memories[6];
    assert_int_equal(launched(), 2);
    buffers[7] = NULL;
    assert_int_equal(launched(), 1);
    assert_int_equal(launched(), 0);
    assert_int_equal(launches, 6);
}

/* A handle may come again for other memory. */
static void all_after_a_release(void **state) {
    (void)state;
    cl_memory *gone = calloc(1, sizeof *gone);
    assert_int_equal(launched(), 1 + BUFFERS);
    assert_int_equal(launched(), 0);
    cl_backend.memory_free(&context, gone);
    assert_int_equal(launched(), 1 + BUFFERS);
    assert_int_equal(launched(), 0);
}

static void all_after_a_failure(void **state) {
    (void)state;
    assert_int_equal(launched(), 1 + BUFFERS);
    args.rows = 4;
    buffers[2] = &memories[4];
    fail_at = 3;
    assert_int_not_equal(cl_backend.launch(&queue, kernels, &launch, 1), PAVE_OK);
    assert_int_equal(launches, 1);
    fail_at = -1;
    assert_int_equal(launched(), 1 + BUFFERS);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(only_what_changed, setup),
                                       cmocka_unit_test_setup(all_after_a_release, setup),
                                       cmocka_unit_test_setup(all_after_a_failure, setup)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
