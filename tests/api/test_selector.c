/* SPDX-License-Identifier: Apache-2.0
 * The grammar of selectors and of the environment's variables, and that nothing falls back in silence. */
#include "tests/support/cm.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

static pave_status open_with(const char *environment, const char *selector, pave_device **device) {
    if (environment)
        setenv("PAVE_BACKEND", environment, 1);
    else
        unsetenv("PAVE_BACKEND");
    pave_status status = pave_device_open(selector, device);
    unsetenv("PAVE_BACKEND");
    return status;
}

static void test_unknown_forms(void **state) {
    (void)state;
    static const char *const bad[] = {"hos",     "host:0",  "HOST",   "cuda:",  "cuda:x", "cuda:-1",
                                      "cuda:0x", "opencl:", "vulkan", "auto:1", " host",  "cuda:1 "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pave_device *device = (pave_device *)&device;
        assert_int_equal(open_with(NULL, bad[i], &device), PAVE_E_INVALID);
        assert_null(device);
        assert_non_null(strstr(pave_last_message(), bad[i]));
        device = (pave_device *)&device;
        assert_int_equal(open_with(bad[i], NULL, &device), PAVE_E_INVALID);
        assert_null(device);
        assert_non_null(strstr(pave_last_message(), "PAVE_BACKEND"));
        assert_non_null(strstr(pave_last_message(), bad[i]));
    }
    assert_int_equal(pave_device_open("host", NULL), PAVE_E_INVALID);
}

static void test_unmet(void **state) {
    (void)state;
    static const char *const absent[] = {"cuda:77", "opencl:77.0", "opencl:no such name"};
    for (size_t i = 0; i < 3; i++) {
        pave_device *device = (pave_device *)&device;
        assert_int_equal(open_with(NULL, absent[i], &device), PAVE_E_NOT_FOUND);
        assert_null(device);
        const char *said = pave_last_message();
        assert_non_null(strstr(said, absent[i]));
        assert_non_null(strstr(said, "\n  cuda"));
        assert_non_null(strstr(said, "\n  opencl"));
        assert_non_null(strstr(said, "\n  host"));
    }
}

static void test_auto(void **state) {
    (void)state;
    static const char *const selectors[] = {NULL, "", "auto"};
    size_t cuda, opencl;
    TEST_OK(pave_device_list("cuda", 0, NULL, &cuda));
    TEST_OK(pave_device_list("opencl", 0, NULL, &opencl));
    for (size_t i = 0; i < 3; i++) {
        pave_device *device;
        pave_status status = open_with(NULL, selectors[i], &device);
        if (!cuda && !opencl) {
            assert_int_equal(status, PAVE_E_NOT_FOUND);
            assert_non_null(strstr(pave_last_message(), "host"));
            continue;
        }
        pave_device_info info = {.size = sizeof info};
        TEST_OK(status);
        TEST_OK(pave_device_describe(device, &info));
        assert_string_equal(info.backend, cuda ? "cuda" : "opencl");
    }
}

/* What a device says of itself opens it, and the argument goes before the environment. */
static void test_found(void **state) {
    (void)state;
    pave_device *devices[TEST_DEVICES_MAX], *device;
    size_t count;
    TEST_OK(pave_device_list(NULL, TEST_DEVICES_MAX, devices, &count));
    assert_true(count >= 1);
    for (size_t i = 0; i < count; i++) {
        pave_device_info info = {.size = sizeof info};
        TEST_OK(pave_device_describe(devices[i], &info));
        TEST_OK(open_with(info.selector, NULL, &device));
        assert_ptr_equal(device, devices[i]);
        TEST_OK(open_with("nonsense", info.selector, &device));
        assert_ptr_equal(device, devices[i]);
    }
    TEST_OK(open_with("host", "", &device));
    pave_device_info info = {.size = sizeof info};
    TEST_OK(pave_device_describe(device, &info));
    assert_string_equal(info.backend, "host");
}

static void test_lists(void **state) {
    (void)state;
    size_t count = 9;
    assert_int_equal(pave_device_list("vulkan", 0, NULL, &count), PAVE_E_INVALID);
    assert_non_null(strstr(pave_last_message(), "vulkan"));
    assert_int_equal(pave_device_list(NULL, 0, NULL, NULL), PAVE_E_INVALID);
    assert_int_equal(pave_device_list(NULL, 3, NULL, &count), PAVE_E_INVALID);
    char small[8], whole[4096];
    size_t needed, again;
    TEST_OK(pave_device_report(whole, sizeof whole, &needed));
    assert_int_equal(strlen(whole), needed);
    TEST_OK(pave_device_report(small, sizeof small, &again));
    assert_int_equal(again, needed);
    assert_int_equal(strlen(small), sizeof small - 1);
}

static void test_log_value(void **state) {
    (void)state;
    pave_device *device;
    setenv("PAVE_LOG", "loud", 1);
    pave_status status = pave_device_open("host", &device);
    unsetenv("PAVE_LOG");
    assert_int_equal(status, PAVE_E_INVALID);
    assert_non_null(strstr(pave_last_message(), "PAVE_LOG"));
    assert_non_null(strstr(pave_last_message(), "loud"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_forms), cmocka_unit_test(test_unmet), cmocka_unit_test(test_auto),
        cmocka_unit_test(test_found),         cmocka_unit_test(test_lists), cmocka_unit_test(test_log_value),
    };
    return cmocka_run_group_tests_name("selector", tests, NULL, NULL);
}
