/* SPDX-License-Identifier: Apache-2.0
 * When the OpenCL backend builds a kernel and when it takes a cached binary: never one that another driver, device, row or set
 * of links made, and never one that the driver does not want. The driver is a fake one that counts; it needs no OpenCL
 * device. */
#include "backends/opencl/driver.h"
#include "tests/support/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const pave__backend cl_backend;

static const char binary[] = "a binary";
static char version[64], platform_version[64];
static int built, loaded, refuse_binary;

static cl_int answer(const char *text, size_t bytes, void *value) {
    if (strlen(text) + 1 > bytes) return CL_INVALID_VALUE;
    memcpy(value, text, strlen(text) + 1);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL platform_info(cl_platform_id p, cl_platform_info what, size_t bytes, void *value,
                                        size_t *size) {
    (void)p, (void)what, (void)size;
    return answer(platform_version, bytes, value);
}

static cl_int CL_API_CALL device_info(cl_device_id d, cl_device_info what, size_t bytes, void *value,
                                      size_t *size) {
    (void)d, (void)what, (void)size;
    return answer(version, bytes, value);
}

static cl_program CL_API_CALL with_source(cl_context c, cl_uint count, const char **text,
                                          const size_t *lengths, cl_int *code) {
    (void)c, (void)count, (void)text, (void)lengths;
    built++;
    *code = CL_SUCCESS;
    return (cl_program)&built;
}

static cl_program CL_API_CALL with_binary(cl_context c, cl_uint count, const cl_device_id *devices,
                                          const size_t *lengths, const unsigned char **data, cl_int *status,
                                          cl_int *code) {
    (void)c, (void)count, (void)devices, (void)status;
    assert_int_equal(lengths[0], sizeof binary);
    assert_memory_equal(data[0], binary, sizeof binary);
    loaded++;
    *code = CL_SUCCESS;
    return (cl_program)&loaded;
}

static cl_int CL_API_CALL build(cl_program p, cl_uint count, const cl_device_id *devices, const char *options,
                                void(CL_CALLBACK *done)(cl_program, void *), void *user) {
    (void)count, (void)devices, (void)options, (void)done, (void)user;
    return p == (cl_program)&loaded && refuse_binary ? CL_INVALID_BINARY : CL_SUCCESS;
}

static cl_int CL_API_CALL program_info(cl_program p, cl_program_info what, size_t bytes, void *value,
                                       size_t *size) {
    (void)p, (void)bytes, (void)size;
    if (what == CL_PROGRAM_BINARY_SIZES)
        *(size_t *)value = sizeof binary;
    else
        memcpy(*(unsigned char **)value, binary, sizeof binary);
    return CL_SUCCESS;
}

static cl_kernel CL_API_CALL create(cl_program p, const char *name, cl_int *code) {
    (void)name;
    *code = CL_SUCCESS;
    return (cl_kernel)p;
}

static cl_int CL_API_CALL release_kernel(cl_kernel kernel) {
    (void)kernel;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release_program(cl_program p) {
    (void)p;
    return CL_SUCCESS;
}

static cl_ctx context;
static char folder[64];

static int setup(void **state) {
    (void)state;
    cl_driver.clGetPlatformInfo = platform_info;
    cl_driver.clGetDeviceInfo = device_info;
    cl_driver.clCreateProgramWithSource = with_source;
    cl_driver.clCreateProgramWithBinary = with_binary;
    cl_driver.clBuildProgram = build;
    cl_driver.clGetProgramInfo = program_info;
    cl_driver.clCreateKernel = create;
    cl_driver.clReleaseKernel = release_kernel;
    cl_driver.clReleaseProgram = release_program;
    strcpy(folder, "pave-build-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    memset(&context, 0, sizeof context);
    context.info.vector_width = 16;
    strcpy(context.info.name, "a device");
    strcpy(context.info.driver, "a driver 1.0");
    strcpy(version, "OpenCL 1.2");
    strcpy(platform_version, "OpenCL 1.2 a platform");
    refuse_binary = 0;
    unsetenv("PAVE_CACHE");
    return setenv("PAVE_CACHE_DIR", folder, 1);
}

static int teardown(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* Whether a kernel is taken from the cache; then it is let go, which may save it. */
static bool cached(const char *row, uint32_t link_mask) {
    void *kernel;
    built = loaded = 0;
    assert_int_equal(cl_backend.kernel_load(&context, pave__row_find(row), link_mask, &kernel), PAVE_OK);
    cl_backend.kernel_unload(&context, kernel);
    assert_int_equal(built + (loaded && !refuse_binary), 1);
    return !built;
}

#define ROW "pave_reduce_cpu_any"

static void what_decides_a_binary(void **state) {
    char *const texts[] = {context.info.name, context.info.driver, version, platform_version};
    (void)state;
    assert_false(cached(ROW, 0));
    assert_true(cached(ROW, 0));
    assert_false(cached(ROW, 4));
    assert_false(cached("pave_normalize_cpu_any", 0));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        strcat(texts[i], "1"); /* as an update of the driver or its compiler leaves it */
        assert_false(cached(ROW, 0));
        assert_true(cached(ROW, 0));
    }
    context.info.vector_width = 8;
    assert_false(cached(ROW, 0));
    assert_true(cached(ROW, 0));
}

/* A CPU's binary is saved when the kernel is let go, a GPU's at once: either is there the next time. */
static void either_kind(void **state) {
    (void)state;
    context.info.kind = PAVE_DEVICE_CPU;
    assert_false(cached(ROW, 0));
    assert_true(cached(ROW, 0));
    context.info.kind = PAVE_DEVICE_GPU;
    assert_false(cached(ROW, 2));
    assert_true(cached(ROW, 2));
}

static void refused_by_the_driver(void **state) {
    (void)state;
    assert_false(cached(ROW, 0));
    refuse_binary = 1;
    assert_false(cached(ROW, 0));
    assert_int_equal(loaded, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_decides_a_binary, setup, teardown),
        cmocka_unit_test_setup_teardown(either_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_by_the_driver, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
