/* SPDX-License-Identifier: Apache-2.0
 * Rows with inline assembly on a driver that refuses them or gets them wrong: plans go on without them and say why, and no
 * binary of theirs is kept. The driver is a fake one whose kernels are this file's arithmetic; it needs no OpenCL device. */
#include "backends/opencl/objects.h"
#include "src/objects.h"
#include "tests/support/cm.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const pave__backend cl_backend;

/* A program's text and options are all that there is of it, and of its kernel. */
typedef struct fake_program {
    char row[64], options[1024];
    bool from_binary;
} fake_program;

typedef struct fake_kernel {
    fake_program *program;
    pave_abi_gemm args;
    cl_mem mems[PAVE_GEMM_BUFFERS];
} fake_kernel;

static const char *refused, *wrong; /* parts of rows' names */
static int builds, products;

static cl_int CL_API_CALL platform_info(cl_platform_id p, cl_platform_info what, size_t n, void *to,
                                        size_t *got) {
    (void)p, (void)what, (void)got;
    return n ? *(char *)to = 0, CL_SUCCESS : CL_SUCCESS;
}

static cl_int CL_API_CALL device_info(cl_device_id d, cl_device_info what, size_t n, void *to, size_t *got) {
    (void)d;
    return platform_info(NULL, what, n, to, got);
}

static cl_context CL_API_CALL context_make(const cl_context_properties *p, cl_uint n, const cl_device_id *d,
                                           void(CL_CALLBACK *f)(const char *, const void *, size_t, void *),
                                           void *user, cl_int *code) {
    (void)p, (void)n, (void)d, (void)f, (void)user;
    *code = CL_SUCCESS;
    return (cl_context)&builds;
}

static cl_int CL_API_CALL context_release(cl_context c) {
    (void)c;
    return CL_SUCCESS;
}

static cl_command_queue CL_API_CALL queue_make(cl_context c, cl_device_id d, cl_command_queue_properties p,
                                               cl_int *code) {
    (void)c, (void)d, (void)p;
    *code = CL_SUCCESS;
    return (cl_command_queue)&builds;
}

static cl_int CL_API_CALL queue_ok(cl_command_queue q) {
    (void)q;
    return CL_SUCCESS;
}

static cl_mem CL_API_CALL buffer_make(cl_context c, cl_mem_flags f, size_t bytes, void *host, cl_int *code) {
    (void)c, (void)f, (void)host;
    *code = CL_SUCCESS;
    return (cl_mem)calloc(1, bytes);
}

static cl_int CL_API_CALL buffer_release(cl_mem mem) {
    free(mem);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL buffer_write(cl_command_queue q, cl_mem mem, cl_bool b, size_t at, size_t n,
                                       const void *from, cl_uint c, const cl_event *l, cl_event *e) {
    (void)q, (void)b, (void)c, (void)l, (void)e;
    memcpy((char *)mem + at, from, n);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL buffer_read(cl_command_queue q, cl_mem mem, cl_bool b, size_t at, size_t n,
                                      void *to, cl_uint c, const cl_event *l, cl_event *e) {
    (void)q, (void)b, (void)c, (void)l, (void)e;
    memcpy(to, (char *)mem + at, n);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL buffer_fill(cl_command_queue q, cl_mem mem, const void *pattern, size_t width,
                                      size_t at, size_t n, cl_uint c, const cl_event *l, cl_event *e) {
    (void)q, (void)c, (void)l, (void)e;
    for (size_t i = 0; i < n; i += width) memcpy((char *)mem + at + i, pattern, width);
    return CL_SUCCESS;
}

static cl_program CL_API_CALL program_make(cl_context c, cl_uint n, const char **text, const size_t *lengths,
                                           cl_int *code) {
    (void)c, (void)n, (void)text, (void)lengths;
    *code = CL_SUCCESS;
    return (cl_program)calloc(1, sizeof(fake_program));
}

static cl_program CL_API_CALL program_of_binary(cl_context c, cl_uint n, const cl_device_id *d,
                                                const size_t *bytes, const unsigned char **data,
                                                cl_int *loaded, cl_int *code) {
    (void)bytes, (void)data, (void)loaded;
    cl_program p = program_make(c, n, NULL, NULL, code);
    ((fake_program *)p)->from_binary = true;
    (void)d;
    return p;
}

static cl_int CL_API_CALL program_build(cl_program program, cl_uint n, const cl_device_id *d,
                                        const char *options, void(CL_CALLBACK *f)(cl_program, void *),
                                        void *user) {
    fake_program *p = (fake_program *)program;
    (void)n, (void)d, (void)f, (void)user;
    snprintf(p->options, sizeof p->options, "%s", options);
    assert_int_equal(sscanf(strstr(options, "PAVE_KERNEL="), "PAVE_KERNEL=%63s", p->row), 1);
    builds += !p->from_binary;
    return refused && strstr(p->row, refused) ? CL_BUILD_PROGRAM_FAILURE : CL_SUCCESS;
}

static cl_int CL_API_CALL program_log(cl_program p, cl_device_id d, cl_program_build_info what, size_t n,
                                      void *to, size_t *got) {
    (void)p, (void)d, (void)what, (void)n, (void)to;
    if (got) *got = 0;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL program_info(cl_program p, cl_program_info what, size_t n, void *to, size_t *got) {
    (void)p, (void)n, (void)got;
    if (what == CL_PROGRAM_BINARY_SIZES)
        *(size_t *)to = 4;
    else
        memcpy(*(unsigned char **)to, "cubin", 4);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL program_release(cl_program p) {
    free(p);
    return CL_SUCCESS;
}

static cl_kernel CL_API_CALL kernel_make(cl_program program, const char *name, cl_int *code) {
    fake_kernel *k = calloc(1, sizeof *k);
    k->program = (fake_program *)program;
    assert_string_equal(k->program->row, name);
    *code = CL_SUCCESS;
    return (cl_kernel)k;
}

static cl_int CL_API_CALL kernel_release(cl_kernel k) {
    free(k);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL kernel_arg(cl_kernel kernel, cl_uint i, size_t n, const void *from) {
    fake_kernel *k = (fake_kernel *)kernel;
    if (i == 0)
        memcpy(&k->args, from, n);
    else
        memcpy(&k->mems[i - 1], from, n);
    return CL_SUCCESS;
}

static float element(const char *data, int type, int64_t i) {
    uint32_t bits;
    uint16_t half;
    float f;
    if (type == PAVE_T_F16 || type == PAVE_T_BF16) {
        memcpy(&half, data + 2 * i, sizeof half);
        bits = (uint32_t)half << 16;
        if (type == PAVE_T_F16) /* whole numbers of two bits, as those of a proof are */
            bits = half & 0x7fff ? ((uint32_t)half & 0x8000) << 16 | (((half & 0x7fffu) << 13) + (112u << 23))
                                 : 0;
    } else {
        memcpy(&bits, data + 4 * i, sizeof bits);
    }
    memcpy(&f, &bits, sizeof f);
    return f;
}

static int option(const fake_program *p, const char *name) {
    const char *at = strstr(p->options, name);
    assert_non_null(at);
    return atoi(at + strlen(name));
}

/* A gemm's product without its chain; whatever else is launched does nothing. The fault is in the last value. */
static cl_int CL_API_CALL enqueue(cl_command_queue q, cl_kernel kernel, cl_uint rank, const size_t *offset,
                                  const size_t *global, const size_t *local, cl_uint c, const cl_event *l,
                                  cl_event *e) {
    const fake_kernel *k = (const fake_kernel *)kernel;
    const pave_abi_gemm *g = &k->args;
    (void)q, (void)rank, (void)offset, (void)global, (void)local, (void)c, (void)l, (void)e;
    if (!strstr(k->program->row, "gemm") || g->y_type != PAVE_T_F32) return CL_SUCCESS;
    const int a_type = option(k->program, "PAVE_A_TYPE="), b_type = option(k->program, "PAVE_B_TYPE=");
    float *y = (float *)k->mems[2];
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            float sum = 0;
            for (int64_t x = 0; x < g->k; x++)
                sum += element((const char *)k->mems[0], a_type, i * g->a.row + x) *
                       element((const char *)k->mems[1], b_type, j * g->b.row + x);
            y[i * g->y.row + j] = sum;
        }
    if (wrong && strstr(k->program->row, wrong)) y[(g->m - 1) * g->y.row + g->n - 1] += 1;
    products++;
    return CL_SUCCESS;
}

enum { SIDE = 64 };
static struct pave_device device;
static char folder[64];

static int open_driver(void **state) {
    static cl_native native;
    (void)state;
    cl_driver = (cl_table){.clGetPlatformInfo = platform_info,
                           .clGetDeviceInfo = device_info,
                           .clCreateContext = context_make,
                           .clReleaseContext = context_release,
                           .clCreateCommandQueue = queue_make,
                           .clReleaseCommandQueue = queue_ok,
                           .clFinish = queue_ok,
                           .clCreateBuffer = buffer_make,
                           .clReleaseMemObject = buffer_release,
                           .clEnqueueWriteBuffer = buffer_write,
                           .clEnqueueReadBuffer = buffer_read,
                           .clEnqueueFillBuffer = buffer_fill,
                           .clCreateProgramWithSource = program_make,
                           .clCreateProgramWithBinary = program_of_binary,
                           .clBuildProgram = program_build,
                           .clGetProgramBuildInfo = program_log,
                           .clGetProgramInfo = program_info,
                           .clReleaseProgram = program_release,
                           .clCreateKernel = kernel_make,
                           .clReleaseKernel = kernel_release,
                           .clSetKernelArg = kernel_arg,
                           .clEnqueueNDRangeKernel = enqueue};
    device = (struct pave_device){
        .backend = &cl_backend, .info = *pave__device_named("h100-sxm"), .native = &native};
    snprintf(device.info.backend, sizeof device.info.backend, "opencl");
    device.info.shared_bytes_per_block = 48 << 10;
    strcpy(folder, "pave-proof-XXXXXX");
    assert_non_null(mkdtemp(folder));
    setenv("PAVE_CACHE_DIR", folder, 1);
    refused = wrong = NULL;
    return 0;
}

static int close_driver(void **state) {
    (void)state;
    unsetenv("PAVE_KERNEL");
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.') unlink(path);
    }
    if (dir) closedir(dir);
    return rmdir(folder);
}

/* What one linear in a context of its own came to. */
typedef struct outcome {
    pave_status status;
    char message[4096], plan[8192], row[64];
    int builds, products; /* products: launches of gemms, its own and the proofs' */
} outcome;

static outcome linear(void) {
    static outcome o;
    pave_context *context = NULL;
    pave_queue *queue = NULL;
    pave_buffer *x = NULL, *y = NULL;
    pave_plan *plan = NULL;
    float values[SIDE * SIDE], got[SIDE * SIDE];
    memset(&o, 0, sizeof o);
    for (int i = 0; i < SIDE * SIDE; i++) values[i] = (float)(i % 3);
    builds = products = 0;
    assert_int_equal(pave_context_create(&device, &context), PAVE_OK);
    assert_int_equal(pave_queue_create(context, NULL, &queue), PAVE_OK);
    assert_int_equal(pave_buffer_create(context, sizeof values, &x), PAVE_OK);
    assert_int_equal(pave_buffer_create(context, sizeof got, &y), PAVE_OK);
    assert_int_equal(pave_buffer_write(queue, x, 0, values, sizeof values, PAVE_BLOCK, NULL), PAVE_OK);
    const pave_linear_params params = {.size = sizeof params,
                                       .x = pave_tensor_2d(x, PAVE_F32, SIDE, SIDE),
                                       .w = pave_tensor_2d(x, PAVE_F32, SIDE, SIDE),
                                       .y = pave_tensor_2d(y, PAVE_F32, SIDE, SIDE)};
    o.status = pave_linear(queue, &params, NULL);
    snprintf(o.message, sizeof o.message, "%s", pave_last_message());
    o.builds = builds;
    o.products = products;
    if (!o.status) {
        assert_int_equal(pave_buffer_read(queue, y, 0, got, sizeof got, PAVE_BLOCK, NULL), PAVE_OK);
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++) {
                float right = 0;
                for (int k = 0; k < SIDE; k++) right += values[i * SIDE + k] * values[j * SIDE + k];
                assert_true(got[i * SIDE + j] == right);
            }
        assert_int_equal(pave_plan_linear(context, &params, &plan), PAVE_OK);
        assert_int_equal(pave_plan_print(plan, PAVE_PLAN_TEXT, o.plan, sizeof o.plan, NULL), PAVE_OK);
        snprintf(o.row, sizeof o.row, "%s", pave_plan_step_kernel(plan, 0));
    }
    pave_plan_destroy(&plan);
    pave_buffer_destroy(&x);
    pave_buffer_destroy(&y);
    pave_queue_destroy(&queue);
    pave_context_destroy(&context);
    return o;
}

/* A row is proven when it is built; its binary needs no proof. */
static void proven_once(void **state) {
    (void)state;
    outcome o = linear();
    assert_int_equal(o.status, PAVE_OK);
    assert_non_null(strstr(o.row, "pave_gemm_ptx_"));
    assert_int_equal(o.builds, 1);
    assert_int_equal(o.products, 2);
    o = linear();
    assert_true(o.status == PAVE_OK && o.builds == 0 && o.products == 1);
}

/* Plans go on without rows that are wrong, which are built and tried again in another context: nothing of them is kept. */
static void wrong_rows(void **state) {
    (void)state;
    wrong = "gemm_ptx_64x64x32_f32";
    for (int time = 0; time < 2; time++) {
        outcome o = linear();
        assert_int_equal(o.status, PAVE_OK);
        assert_non_null(strstr(o.plan, "pave_gemm_ptx_64x64x32_f32 gives no right product"));
        assert_null(strstr(o.row, "gemm_ptx_64x64x32_f32"));
        assert_true(o.builds >= 1);
    }
}

static void refused_rows(void **state) {
    (void)state;
    refused = "gemm_ptx_";
    outcome o = linear();
    assert_int_equal(o.status, PAVE_OK);
    assert_non_null(strstr(o.row, "pave_gemm_fma_"));
    assert_non_null(strstr(o.plan, "does not build on this device"));
    refused = "gemm_";
    o = linear();
    assert_int_equal(o.status, PAVE_E_BUILD); /* a row of plain OpenCL C is not doubted */
    assert_non_null(strstr(o.message, "pave_gemm_tile_"));
}

static void forced_rows(void **state) {
    (void)state;
    setenv("PAVE_KERNEL", "pave_gemm_ptx_64x64x32_f32", 1);
    wrong = "gemm_ptx_";
    outcome o = linear();
    assert_int_equal(o.status, PAVE_E_UNSUPPORTED);
    assert_non_null(strstr(o.message, "gives no right product"));
}

/* Every row that is doubted, each with its own types and tile: right passes, one wrong value does not. */
static void every_row(void **state) {
    (void)state;
    size_t count;
    const pave__row *rows = pave__rows(&count);
    void *context;
    int proofs = 0;
    assert_int_equal(cl_backend.context_open(device.native, &device.info, &context), PAVE_OK);
    setenv("PAVE_CACHE", "off", 1);
    for (size_t i = 0; i < count; i++) {
        void *kernel;
        if (!pave__row_doubtful(&rows[i]) || rows[i].family != PAVE__GEMM) continue;
        wrong = NULL;
        assert_int_equal(cl_backend.kernel_load(context, &rows[i], 0, &kernel), PAVE_OK);
        cl_backend.kernel_unload(context, kernel);
        wrong = rows[i].name;
        assert_int_equal(cl_backend.kernel_load(context, &rows[i], 0, &kernel), PAVE_E_DEVICE);
        assert_non_null(strstr(pave_last_message(), rows[i].name));
        proofs++;
    }
    unsetenv("PAVE_CACHE");
    cl_backend.context_close(context);
    assert_true(proofs > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(proven_once, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(wrong_rows, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(refused_rows, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(forced_rows, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(every_row, open_driver, close_driver)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
