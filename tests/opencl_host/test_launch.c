/* SPDX-License-Identifier: Apache-2.0
 * What the OpenCL backend tells a driver of a launch: all arguments are right at each enqueue, and those of a launch that
 * comes again are not set again unless they may have changed. The driver is a fake one that remembers; it needs no OpenCL
 * device. */
#include "backends/opencl/objects.h"
#include "tests/support/cm.h"

#include <stdlib.h>
#include <string.h>

enum { BUFFERS = 12, LAUNCHES = 2, OBJECTS = 8 };

extern const pave__backend cl_backend;

/* A kernel object as a driver has it. */
typedef struct object {
    pave_abi_rows args;
    cl_mem mems[BUFFERS];
} object;

static object objects[OBJECTS], given[OBJECTS]; /* given: as they were when they were enqueued, in turn */
static int made, live, sets, enqueued;
static int fail_at, fail_making; /* index of the argument that cannot be set; of the kernel object; or -1 */

static cl_kernel CL_API_CALL create(cl_program program, const char *name, cl_int *code) {
    (void)program;
    assert_string_equal(name, "a_row");
    *code = made == fail_making ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
    if (*code) return NULL;
    live++;
    return (cl_kernel)&objects[made++];
}

static cl_int CL_API_CALL release_kernel(cl_kernel kernel) {
    (void)kernel;
    live--;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL set_arg(cl_kernel kernel, cl_uint index, size_t bytes, const void *value) {
    object *o = (object *)kernel;
    if ((int)index == fail_at) return CL_OUT_OF_RESOURCES;
    sets++;
    if (index == 0)
        memcpy(&o->args, value, bytes);
    else
        memcpy(&o->mems[index - 1], value, bytes);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL enqueue(cl_command_queue queue, cl_kernel kernel, cl_uint rank,
                                  const size_t *offset, const size_t *global, const size_t *local,
                                  cl_uint count, const cl_event *list, cl_event *event) {
    (void)queue, (void)offset, (void)list, (void)event;
    assert_int_equal(rank, 3);
    assert_int_equal(count, 0);
    for (int i = 0; i < 3; i++) assert_int_equal(global[i] % local[i], 0);
    given[enqueued++] = *(object *)kernel;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release(cl_mem mem) {
    (void)mem;
    return CL_SUCCESS;
}

static cl_ctx context;
static cl_queue queue;
static cl_kernel_entry entry;
static cl_memory memories[BUFFERS];
static pave_abi_rows args[LAUNCHES];
static void *buffers[LAUNCHES][BUFFERS], *kernels[LAUNCHES] = {&entry, &entry};
static pave__launch list[LAUNCHES];

static int setup(void **state) {
    static const pave__row row = {.name = "a_row"};
    (void)state;
    cl_driver.clCreateKernel = create;
    cl_driver.clReleaseKernel = release_kernel;
    cl_driver.clSetKernelArg = set_arg;
    cl_driver.clEnqueueNDRangeKernel = enqueue;
    cl_driver.clReleaseMemObject = release;
    memset(&entry, 0, sizeof entry);
    memset(&context, 0, sizeof context);
    memset(args, 0, sizeof args);
    memset(objects, 0, sizeof objects);
    memset(buffers, 0, sizeof buffers);
    entry.kernel = (cl_kernel)&objects[OBJECTS - 1];
    pthread_mutex_init(&entry.lock, NULL);
    pthread_mutex_init(&context.lock, NULL);
    queue = (cl_queue){.context = &context};
    for (int i = 0; i < BUFFERS; i++) memories[i].mem = (cl_mem)&memories[i];
    for (int l = 0; l < LAUNCHES; l++) {
        for (int i = 0; i < 3; i++) buffers[l][i] = &memories[l + i];
        args[l].rows = 7 + l;
        list[l] = (pave__launch){.row = &row,
                                 .args = &args[l],
                                 .args_bytes = sizeof args[l],
                                 .buffers = buffers[l],
                                 .buffer_count = BUFFERS,
                                 .grid = {2, 1, 1},
                                 .block = {1, 1, 1}};
    }
    made = live = sets = enqueued = 0;
    fail_at = fail_making = -1;
    return 0;
}

/* The kernels that were enqueued since had what the launches say. */
static void expect_given(void) {
    assert_int_equal(enqueued, LAUNCHES);
    enqueued = sets = 0;
    for (int l = 0; l < LAUNCHES; l++) {
        assert_memory_equal(&given[l].args, &args[l], sizeof args[l]);
        for (int i = 0; i < BUFFERS; i++)
            assert_ptr_equal(given[l].mems[i], buffers[l][i] ? ((cl_memory *)buffers[l][i])->mem : NULL);
    }
}

static void launch_and_expect(void) {
    assert_int_equal(cl_backend.launch(&queue, kernels, list, LAUNCHES), PAVE_OK);
    expect_given();
}

static void *recorded(void) {
    void *record = NULL;
    assert_int_equal(cl_backend.record(&queue, kernels, list, LAUNCHES, &record), PAVE_OK);
    assert_int_equal(enqueued, 0);
    sets = 0;
    return record;
}

static void all_of_a_launch(void **state) {
    (void)state;
    launch_and_expect();
    args[1].rows = 3;
    buffers[0][1] = &memories[5];
    buffers[1][2] = NULL;
    launch_and_expect();
}

/* Other launches of the same kernel in between change nothing. */
static void none_of_one_that_comes_again(void **state) {
    (void)state;
    void *record = recorded();
    assert_int_equal(live, LAUNCHES);
    for (int n = 0; n < 3; n++) {
        assert_int_equal(cl_backend.replay(&queue, record), PAVE_OK);
        assert_int_equal(sets, 0);
        expect_given();
        args[0].rows++;
        launch_and_expect();
        args[0].rows--;
    }
    cl_backend.record_free(&queue, record);
    assert_int_equal(live, 0);
}

/* A handle may come again for other memory. */
static void buffers_after_a_release(void **state) {
    (void)state;
    void *record = recorded();
    cl_backend.memory_free(&context, calloc(1, sizeof(cl_memory)));
    memories[1].mem = (cl_mem)&memories[BUFFERS - 1];
    fail_at = 3;
    assert_int_not_equal(cl_backend.replay(&queue, record), PAVE_OK);
    assert_int_equal(enqueued, 0);
    fail_at = -1;
    assert_int_equal(cl_backend.replay(&queue, record), PAVE_OK);
    expect_given();
    assert_int_equal(cl_backend.replay(&queue, record), PAVE_OK);
    assert_int_equal(sets, 0);
    expect_given();
    cl_backend.record_free(&queue, record);
}

/* Nothing is recorded, and nothing left behind, where a kernel object cannot be made or an argument not be set. */
static void no_record(void **state) {
    (void)state;
    for (fail_making = 0; fail_making < LAUNCHES; fail_making++) {
        made = 0;
        assert_null(recorded());
        assert_int_equal(live, 0);
    }
    fail_making = -1;
    for (fail_at = 0; fail_at <= BUFFERS; fail_at++) {
        made = 0;
        assert_null(recorded());
        assert_int_equal(live, 0);
    }
}

static void a_launch_that_fails(void **state) {
    (void)state;
    fail_at = 3;
    assert_int_not_equal(cl_backend.launch(&queue, kernels, list, LAUNCHES), PAVE_OK);
    assert_int_equal(enqueued, 0);
    fail_at = -1;
    launch_and_expect();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(all_of_a_launch, setup),
                                       cmocka_unit_test_setup(none_of_one_that_comes_again, setup),
                                       cmocka_unit_test_setup(buffers_after_a_release, setup),
                                       cmocka_unit_test_setup(no_record, setup),
                                       cmocka_unit_test_setup(a_launch_that_fails, setup)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
