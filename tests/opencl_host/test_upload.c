/* SPDX-License-Identifier: Apache-2.0
 * The OpenCL backend's uploads on a driver that does each write when the test says so: their source is the caller's again
 * on return, the copy goes once, when the write has ended, and nothing stays behind when a call fails. The linker hands
 * malloc and free over to this file; it needs no OpenCL device. */
#include "backends/opencl/objects.h"
#include "tests/support/cm.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES = 4096 };

extern const pave__backend cl_backend;

void *__real_malloc(size_t bytes);
void __real_free(void *memory);
void *__wrap_malloc(size_t bytes);
void __wrap_free(void *memory);

static bool watching, no_memory;
static void *copy; /* the last allocation while watching, until it is freed */
static int copies, frees;

void *__wrap_malloc(size_t bytes) {
    if (!watching) return __real_malloc(bytes);
    if (no_memory) return NULL;
    copies++;
    return copy = __real_malloc(bytes);
}

void __wrap_free(void *memory) {
    if (memory && memory == copy) {
        copy = NULL;
        frees++;
    }
    __real_free(memory);
}

/* The write that is under way. */
static struct {
    const void *source;
    size_t bytes, offset;
    void(CL_CALLBACK *callback)(cl_event, cl_int, void *);
    void *user;
} pending;
static unsigned char memory[BYTES + 64];
static int events, waits, event_token;
static cl_int write_code, callback_code, wait_code;

static cl_int CL_API_CALL write_buffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset,
                                       size_t bytes, const void *source, cl_uint count, const cl_event *list,
                                       cl_event *event) {
    (void)queue, (void)mem, (void)list;
    assert_int_equal(blocking, CL_FALSE);
    assert_int_equal(count, 0);
    if (write_code) return write_code;
    pending.source = source;
    pending.bytes = bytes;
    pending.offset = offset;
    events++;
    *event = (cl_event)&event_token;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL set_callback(cl_event event, cl_int state,
                                       void(CL_CALLBACK *callback)(cl_event, cl_int, void *), void *user) {
    assert_ptr_equal(event, &event_token);
    assert_int_equal(state, CL_COMPLETE);
    if (callback_code) return callback_code;
    pending.callback = callback;
    pending.user = user;
    return CL_SUCCESS;
}

/* Ends the write: it has been done, or has failed with `state`. */
static void end_write(cl_int state) {
    assert_non_null(pending.source);
    if (state == CL_COMPLETE) memcpy(memory + pending.offset, pending.source, pending.bytes);
    if (pending.callback) pending.callback((cl_event)&event_token, state, pending.user);
    memset(&pending, 0, sizeof pending);
}

static cl_int CL_API_CALL wait_for(cl_uint count, const cl_event *list) {
    assert_int_equal(count, 1);
    assert_ptr_equal(list[0], &event_token);
    assert_non_null(copy); /* the write may still read it */
    waits++;
    end_write(wait_code ? CL_OUT_OF_RESOURCES : CL_COMPLETE);
    return wait_code;
}

static cl_int CL_API_CALL release_event(cl_event event) {
    assert_ptr_equal(event, &event_token);
    events--;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL keep_queue(cl_command_queue queue) {
    (void)queue;
    return CL_SUCCESS;
}

static int setup(void **state) {
    (void)state;
    cl_driver = (cl_table){.clEnqueueWriteBuffer = write_buffer,
                           .clSetEventCallback = set_callback,
                           .clWaitForEvents = wait_for,
                           .clReleaseEvent = release_event,
                           .clRetainCommandQueue = keep_queue,
                           .clReleaseCommandQueue = keep_queue};
    memset(&pending, 0, sizeof pending);
    memset(memory, 0, sizeof memory);
    copy = NULL;
    copies = frees = events = waits = 0;
    write_code = callback_code = wait_code = CL_SUCCESS;
    return 0;
}

/* Uploads bytes that are overwritten as soon as the call is back. */
static pave_status upload(cl_queue *queue) {
    unsigned char source[BYTES];
    cl_memory target = {NULL, sizeof memory};
    for (int i = 0; i < BYTES; i++) source[i] = (unsigned char)(i * 7);
    watching = true;
    pave_status status = cl_backend.upload(queue, &target, 64, source, BYTES);
    watching = false;
    memset(source, 0x5a, BYTES);
    return status;
}

static void expect_arrived(void) {
    for (int i = 0; i < 64; i++) assert_int_equal(memory[i], 0);
    for (int i = 0; i < BYTES; i++) assert_int_equal(memory[64 + i], (unsigned char)(i * 7));
}

static void expect_clean(void) {
    assert_null(copy);
    assert_int_equal(copies, frees);
    assert_int_equal(events, 0);
}

static void source_is_free_on_return(void **state) {
    (void)state;
    cl_queue queue = {0};
    assert_int_equal(upload(&queue), PAVE_OK);
    assert_int_equal(events, 0);
    assert_int_equal(waits, 0);
    assert_int_equal(frees, 0);
    end_write(CL_COMPLETE);
    expect_arrived();
    expect_clean();
}

static void the_write_ends_badly(void **state) {
    (void)state;
    cl_queue queue = {0};
    assert_int_equal(upload(&queue), PAVE_OK);
    end_write(CL_OUT_OF_RESOURCES);
    assert_int_equal(copies, 1);
    expect_clean();
}

/* Between an event's begin and end the write's event is the span's. */
static void in_a_span(void **state) {
    (void)state;
    cl_queue queue = {0};
    void *span = NULL;
    assert_int_equal(cl_event_begin(&queue, &span), PAVE_OK);
    assert_int_equal(upload(&queue), PAVE_OK);
    assert_int_equal(events, 1);
    assert_int_equal(cl_event_end(&queue, span), PAVE_OK);
    end_write(CL_COMPLETE);
    expect_arrived();
    cl_event_free(span);
    expect_clean();
}

static void no_memory_for_a_copy(void **state) {
    (void)state;
    cl_queue queue = {0};
    no_memory = true;
    assert_int_equal(upload(&queue), PAVE_E_HOST_MEMORY);
    no_memory = false;
    assert_null(pending.source);
    expect_clean();
}

static void writing_fails(void **state) {
    (void)state;
    cl_queue queue = {0};
    write_code = CL_OUT_OF_RESOURCES;
    assert_int_equal(upload(&queue), PAVE_E_DEVICE);
    assert_non_null(strstr(pave_last_message(), "uploading to a buffer: CL_OUT_OF_RESOURCES"));
    assert_int_equal(copies, 1);
    expect_clean();
}

/* Then the write is waited for. */
static void no_callback(void **state) {
    (void)state;
    cl_queue queue = {0};
    callback_code = CL_OUT_OF_HOST_MEMORY;
    assert_int_equal(upload(&queue), PAVE_OK);
    assert_int_equal(waits, 1);
    expect_arrived();
    expect_clean();
}

static void no_callback_and_waiting_fails(void **state) {
    (void)state;
    cl_queue queue = {0};
    void *span = NULL;
    callback_code = CL_OUT_OF_HOST_MEMORY;
    wait_code = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    assert_int_equal(upload(&queue), PAVE_E_DEVICE);
    expect_clean();
    assert_int_equal(cl_event_begin(&queue, &span), PAVE_OK);
    assert_int_equal(upload(&queue), PAVE_E_DEVICE);
    queue.span = NULL;
    cl_event_free(span);
    expect_clean();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(source_is_free_on_return, setup),
                                       cmocka_unit_test_setup(the_write_ends_badly, setup),
                                       cmocka_unit_test_setup(in_a_span, setup),
                                       cmocka_unit_test_setup(no_memory_for_a_copy, setup),
                                       cmocka_unit_test_setup(writing_fails, setup),
                                       cmocka_unit_test_setup(no_callback, setup),
                                       cmocka_unit_test_setup(no_callback_and_waiting_fails, setup)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
