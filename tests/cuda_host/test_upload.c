/* SPDX-License-Identifier: Apache-2.0
 * The CUDA backend's uploads: their source is the caller's again on return, whether copies are done at once or later;
 * nothing is waited for while there are stages; and what fails leaves the queue as good as it was. Each case is a process
 * with a driver of its own. */
#include "tests/cuda_host/driver.h"

#include "src/objects.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than all stages hold at once. */
enum { BYTES = (5 << 20) + 3, TABLE = 1000, MANY = 300, IN_FLIGHT = 60, STAGES = 64 };

typedef struct rig {
    const pave__backend *backend;
    void *context, *queue, *memory;
    unsigned char *source, *got;
} rig;

static bool deferred(void) {
    const char *defer = getenv("FAKE_CUDA_DEFER");
    return defer && strcmp(defer, "1") == 0;
}

static unsigned char byte_of(size_t i, unsigned salt) {
    return (unsigned char)(i * 131 >> 5 ^ i ^ salt * 29);
}

static int rig_open(rig *r) {
    pave_device *device;
    EXPECT(pave_device_open("cuda", &device) == PAVE_OK);
    r->backend = device->backend;
    r->source = malloc(BYTES);
    r->got = malloc(BYTES);
    EXPECT(r->source && r->got);
    EXPECT(r->backend->context_open(device->native, &device->info, &r->context) == PAVE_OK);
    EXPECT(r->backend->queue_open(r->context, 0, &r->queue) == PAVE_OK);
    EXPECT(r->backend->memory_alloc(r->context, BYTES, &r->memory) == PAVE_OK);
    return 0;
}

static int rig_close(rig *r) {
    r->backend->queue_close(r->queue);
    r->backend->memory_free(r->context, r->memory);
    r->backend->context_close(r->context);
    free(r->source);
    free(r->got);
    EXPECT(driver_is_clean(false));
    return 0;
}

/* The source is another's as soon as the call is back. */
static pave_status upload(rig *r, uint64_t offset, size_t bytes, unsigned salt) {
    for (size_t i = 0; i < bytes; i++) r->source[i] = byte_of(i, salt);
    pave_status status = r->backend->upload(r->queue, r->memory, offset, r->source, bytes);
    memset(r->source, 0x5a, bytes);
    return status;
}

static bool arrived(rig *r, uint64_t offset, size_t bytes, unsigned salt) {
    memset(r->got, 0, bytes);
    if (r->backend->read(r->queue, r->memory, offset, r->got, bytes, 1)) return false;
    for (size_t i = 0; i < bytes; i++)
        if (r->got[i] != byte_of(i, salt)) return false;
    return true;
}

static int sizes(void) {
    static const size_t table[] = {1, 104, 65535, 65536, 65537, 3 * 65536, BYTES};
    rig r;
    if (rig_open(&r)) return 2;
    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint64_t offset = BYTES - table[i] < 7 ? 0 : 7;
        EXPECT(upload(&r, offset, table[i], i) == PAVE_OK);
        EXPECT(arrived(&r, offset, table[i], i));
    }
    return rig_close(&r);
}

static unsigned waits(void) {
    return driver_calls("cuStreamSynchronize") + driver_calls("cuEventSynchronize");
}

static int in_flight(void) {
    rig r;
    if (rig_open(&r)) return 2;
    for (unsigned i = 0; i < IN_FLIGHT; i++) EXPECT(upload(&r, i * TABLE, TABLE, i) == PAVE_OK);
    EXPECT(waits() == 0);
    EXPECT(driver_counts().pinned == driver_counts().events && driver_counts().pinned <= IN_FLIGHT);
    if (!deferred()) EXPECT(driver_counts().pinned == 1);
    for (unsigned i = 0; i < IN_FLIGHT; i++) EXPECT(arrived(&r, i * TABLE, TABLE, i));
    return rig_close(&r);
}

/* Past the most stages the oldest is waited for, and those that there are do for ever. */
static int many(void) {
    rig r;
    if (rig_open(&r)) return 2;
    for (unsigned i = 0; i < MANY; i++) EXPECT(upload(&r, i * TABLE, TABLE, i) == PAVE_OK);
    EXPECT(driver_counts().pinned <= STAGES);
    EXPECT(driver_calls("cuStreamSynchronize") == 0);
    for (unsigned i = 0; i < MANY; i++) EXPECT(arrived(&r, i * TABLE, TABLE, i));
    unsigned made = driver_calls("cuMemAllocHost_v2");
    for (unsigned i = 0; i < MANY; i++) {
        EXPECT(upload(&r, 0, TABLE, i) == PAVE_OK);
        EXPECT(arrived(&r, 0, TABLE, i));
    }
    EXPECT(driver_calls("cuMemAllocHost_v2") == made);
    return rig_close(&r);
}

/* The first or the second upload fails, and the next ones find all in order. */
static int fails_once(void) {
    rig r;
    if (rig_open(&r)) return 2;
    int failed = 0;
    for (unsigned i = 0; i < 4; i++) {
        pave_status status = upload(&r, 0, TABLE, i);
        failed += status != PAVE_OK;
        if (status) EXPECT(strstr(pave_last_message(), "CUDA_ERROR_ILLEGAL_ADDRESS (700)"));
        EXPECT(status || arrived(&r, 0, TABLE, i));
    }
    EXPECT(failed == 1 && driver_counts().faults == 1);
    return rig_close(&r);
}

#define CASE(name, variable, value, body)                     \
    static void name(void **state) {                          \
        (void)state;                                          \
        assert_int_equal(in_child(variable, value, body), 0); \
    }
CASE(source_is_free_on_return, NULL, NULL, sizes)
CASE(nothing_is_waited_for, NULL, NULL, in_flight)
CASE(stages_are_reused, NULL, NULL, many)
CASE(no_page_locked_memory, "FAKE_CUDA_FAIL", "cuMemAllocHost_v2:1:700", fails_once)
CASE(no_event, "FAKE_CUDA_FAIL", "cuEventCreate:1:700", fails_once)
CASE(the_copy_fails, "FAKE_CUDA_FAIL", "cuMemcpyHtoDAsync_v2:2:700", fails_once)
CASE(recording_fails, "FAKE_CUDA_FAIL", "cuEventRecord:1:700", fails_once)
CASE(asking_fails, "FAKE_CUDA_FAIL", "cuEventQuery:1:700", fails_once)

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(source_is_free_on_return),
                                       cmocka_unit_test(nothing_is_waited_for),
                                       cmocka_unit_test(stages_are_reused),
                                       cmocka_unit_test(no_page_locked_memory),
                                       cmocka_unit_test(no_event),
                                       cmocka_unit_test(the_copy_fails),
                                       cmocka_unit_test(recording_fails),
                                       cmocka_unit_test(asking_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
