/* SPDX-License-Identifier: Apache-2.0
 * What the CUDA backend finds and what it refuses, and why. Each case is a process of its own: a backend is
 * probed once. */
#include "tests/cuda_host/driver.h"

#include <stdio.h>
#include <string.h>

static bool reported(const char *words) {
    char report[8192];
    if (pave_device_report(report, sizeof report, NULL) != PAVE_OK || !strstr(report, words)) {
        fprintf(stderr, "\"%s\" is not in: %s\n", words, report);
        return false;
    }
    return true;
}

static size_t device_count(void) {
    size_t count = 99;
    return pave_device_list("cuda", 0, NULL, &count) == PAVE_OK ? count : 99;
}

/* No device: the report, and the message of opening one, say why. */
static int refused_for(const char *words) {
    pave_device *device;
    EXPECT(device_count() == 0);
    EXPECT(reported(words));
    EXPECT(pave_device_open(NULL, &device) == PAVE_E_NOT_FOUND && device == NULL);
    EXPECT(strstr(pave_last_message(), words));
    EXPECT(driver_is_clean(false));
    return 0;
}

static int described(void) {
    pave_device *device;
    pave_device_info info = {.size = sizeof info};
    EXPECT(device_count() == 1);
    EXPECT(pave_device_open(NULL, &device) == PAVE_OK);
    EXPECT(pave_device_describe(device, &info) == PAVE_OK);
    EXPECT(strcmp(info.name, "Fake GeForce RTX 89") == 0 && strcmp(info.backend, "cuda") == 0);
    EXPECT(strcmp(info.selector, "cuda:0") == 0 && strcmp(info.driver, "CUDA 99.3") == 0);
    EXPECT(info.kind == PAVE_DEVICE_GPU && info.compute_capability == 89 && info.compute_units == 128);
    EXPECT(info.threads_per_unit == 1536 && info.threads_per_block == 1024 && info.blocks_per_unit == 24);
    EXPECT(info.registers_per_unit == 65536 && info.vector_width == 32);
    EXPECT(info.shared_bytes_per_unit == 102400 && info.shared_bytes_per_block == 101376);
    EXPECT(info.l2_bytes == 75497472 && info.memory_bytes == 24ull << 30);
    EXPECT(info.alloc_bytes_max == info.memory_bytes);
    EXPECT(info.memory_bytes_per_s > 1.008e12 && info.memory_bytes_per_s < 1.0082e12);
    EXPECT(info.flops[PAVE_PATH_FMA] > 82.5e12 && info.flops[PAVE_PATH_FMA] < 82.6e12);
    EXPECT(info.flops[PAVE_PATH_F16] > 165e12 && info.flops[PAVE_PATH_F16] < 165.2e12);
    return 0;
}

/* What no attribute tells: only GeForce halves the matrix units' rate. */
static int matrix_units_whole(void) {
    pave_device *device;
    pave_device_info info = {.size = sizeof info};
    EXPECT(pave_device_open(NULL, &device) == PAVE_OK);
    EXPECT(pave_device_describe(device, &info) == PAVE_OK);
    EXPECT(info.flops[PAVE_PATH_FMA] > 82.5e12 && info.flops[PAVE_PATH_FMA] < 82.6e12);
    EXPECT(info.flops[PAVE_PATH_TF32] > 165e12 && info.flops[PAVE_PATH_TF32] < 165.2e12);
    EXPECT(info.flops[PAVE_PATH_F16] > 330e12 && info.flops[PAVE_PATH_F16] < 330.4e12);
    return 0;
}

/* A rate that the driver does not tell is guessed; what it does tell stays. */
static int clock_untold(void) {
    pave_device *device;
    pave_device_info info = {.size = sizeof info};
    EXPECT(pave_device_open(NULL, &device) == PAVE_OK);
    EXPECT(driver_counts().faults == 1);
    EXPECT(pave_device_describe(device, &info) == PAVE_OK && info.compute_units == 128);
    EXPECT(info.flops[PAVE_PATH_FMA] > 82.5e12 && info.flops[PAVE_PATH_FMA] < 82.6e12);
    return 0;
}

static int memory_clock_untold(void) {
    pave_device *device;
    pave_device_info info = {.size = sizeof info};
    EXPECT(pave_device_open(NULL, &device) == PAVE_OK);
    EXPECT(driver_counts().faults == 1);
    EXPECT(pave_device_describe(device, &info) == PAVE_OK);
    EXPECT(info.memory_bytes_per_s > 0.86e12 && info.memory_bytes_per_s < 0.87e12);
    return 0;
}

/* The one that is refused keeps its number. */
static int one_of_three_refused(void) {
    pave_device *found[4], *device;
    pave_device_info info = {.size = sizeof info};
    size_t count;
    EXPECT(pave_device_list("cuda", 4, found, &count) == PAVE_OK && count == 2);
    EXPECT(pave_device_describe(found[1], &info) == PAVE_OK && strcmp(info.selector, "cuda:2") == 0);
    EXPECT(info.compute_capability == 90);
    EXPECT(pave_device_open("cuda:2", &device) == PAVE_OK && device == found[1]);
    EXPECT(pave_device_open("cuda:1", &device) == PAVE_E_NOT_FOUND);
    EXPECT(strstr(pave_last_message(),
                  "cuda:1 (Fake GeForce RTX 75): refused: compute capability 7.5; the kernels need 8.0"));
    EXPECT(pave_device_open("cuda:7", &device) == PAVE_E_NOT_FOUND);
    EXPECT(driver_is_clean(false));
    return 0;
}

static int too_old(void) {
    return refused_for("compute capability 7.5; the kernels need 8.0");
}
static int old_driver(void) {
    return refused_for("the driver is for CUDA 11.8; kernels built by CUDA ");
}
static int none(void) {
    return refused_for("CUDA_ERROR_NO_DEVICE (100)");
}
static int init_fails(void) {
    return refused_for("initialising the driver: CUDA_ERROR_UNKNOWN (999)");
}
static int count_fails(void) {
    return refused_for("counting devices: CUDA_ERROR_NOT_INITIALIZED (3)");
}
static int get_fails(void) {
    return refused_for("getting a device: CUDA_ERROR_INVALID_DEVICE (101)");
}
static int attribute_fails(void) {
    return refused_for("CUDA_ERROR_UNKNOWN (999)");
}
static int nameless_code(void) {
    return refused_for("unknown code (12345)");
}

#define CASE(name, variable, value, body)                     \
    static void name(void **state) {                          \
        (void)state;                                          \
        assert_int_equal(in_child(variable, value, body), 0); \
    }
CASE(describes_a_device, "FAKE_CUDA_VERSION", "99030", described)
CASE(refuses_an_old_driver, "FAKE_CUDA_VERSION", "11080", old_driver)
CASE(takes_other_brands_whole, "FAKE_CUDA_BRAND", "L", matrix_units_whole)
CASE(a_clock_is_not_told, "FAKE_CUDA_FAIL", "cuDeviceGetAttribute:12:1", clock_untold)
CASE(a_memory_clock_is_not_told, "FAKE_CUDA_FAIL", "cuDeviceGetAttribute:14:1", memory_clock_untold)
CASE(refuses_one_of_three, "FAKE_CUDA_DEVICES", "89,75,90", one_of_three_refused)
CASE(refuses_an_old_device, "FAKE_CUDA_DEVICES", "75", too_old)
CASE(finds_no_device, "FAKE_CUDA_DEVICES", "", none)
CASE(initialising_fails, "FAKE_CUDA_FAIL", "cuInit:1:999", init_fails)
CASE(counting_fails, "FAKE_CUDA_FAIL", "cuDeviceGetCount:1:3", count_fails)
CASE(getting_fails, "FAKE_CUDA_FAIL", "cuDeviceGet:1:101", get_fails)
CASE(an_attribute_fails, "FAKE_CUDA_FAIL", "cuDeviceGetAttribute:1:999", attribute_fails)
CASE(a_code_has_no_name, "FAKE_CUDA_FAIL", "cuInit:1:12345", nameless_code)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_a_device),    cmocka_unit_test(refuses_one_of_three),
        cmocka_unit_test(refuses_an_old_device), cmocka_unit_test(finds_no_device),
        cmocka_unit_test(initialising_fails),    cmocka_unit_test(counting_fails),
        cmocka_unit_test(getting_fails),         cmocka_unit_test(an_attribute_fails),
        cmocka_unit_test(a_code_has_no_name),    cmocka_unit_test(takes_other_brands_whole),
        cmocka_unit_test(a_clock_is_not_told),   cmocka_unit_test(a_memory_clock_is_not_told),
        cmocka_unit_test(refuses_an_old_driver)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
