/* SPDX-License-Identifier: Apache-2.0
 * Holds a gemm kernel, as the driver built it, to a product that comes out exactly: whole numbers of few bits, more than one
 * tile each way, whole and partial ones, k past the copies that are under way at first. Rows with instructions that OpenCL C
 * has no words for are proven so before their first use and before their binary is kept. */
#include "backends/opencl/driver.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define POISON 0xff /* a float32 of such bytes is no number */

extern const pave__backend cl_backend;

/* An operand, rows of `ld` elements of which k count. */
typedef struct operand {
    int rows, ld, bytes; /* bytes: of an element */
    void *memory;
} operand;

typedef struct proof {
    cl_ctx *context;
    const pave__row *row;
    int m, n, k, ld_y;
    void *queue, *y;
    operand a, b;
} proof;

/* Whole numbers from -3 to 3, with no pattern that a misplaced row or column would keep. */
static int value_of(int seed, int row, int col) {
    uint32_t h = (uint32_t)row * 2654435761u ^ (uint32_t)col * 2246822519u ^ (uint32_t)seed * 3266489917u;
    h = (h ^ h >> 15) * 2246822519u;
    return (int)((h >> 13) % 7) - 3;
}

static void encode(int value, int type, unsigned char *to) {
    static const uint16_t halves[] = {0, 0x3c00, 0x4000, 0x4200};
    float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint16_t high = (uint16_t)(bits >> 16), half = (uint16_t)(halves[abs(value)] | (value < 0 ? 0x8000 : 0));
    if (type == PAVE_T_F16)
        memcpy(to, &half, sizeof half);
    else if (type == PAVE_T_BF16)
        memcpy(to, &high, sizeof high);
    else
        memcpy(to, &bits, sizeof bits);
}

static pave_status fill_operand(const proof *p, operand *o, int seed, int type) {
    size_t bytes = (size_t)o->rows * (size_t)o->ld * (size_t)o->bytes;
    unsigned char *data = malloc(bytes);
    if (!data) return pave__fail(PAVE_E_HOST_MEMORY, "opencl: no memory to prove a kernel");
    for (int r = 0; r < o->rows; r++)
        for (int c = 0; c < o->ld; c++)
            encode(value_of(seed, r, c), type,
                   data + ((size_t)r * (size_t)o->ld + (size_t)c) * (size_t)o->bytes);
    pave_status status = cl_backend.memory_alloc(p->context, bytes, &o->memory);
    if (!status) status = cl_backend.write(p->queue, o->memory, 0, data, bytes, 1);
    free(data);
    return status;
}

static size_t y_bytes(const proof *p) {
    return (size_t)p->m * (size_t)p->ld_y * sizeof(float);
}

static pave_status make(proof *p) {
    const unsigned char poison = POISON;
    pave_status status = cl_backend.queue_open(p->context, 0, &p->queue);
    if (!status) status = fill_operand(p, &p->a, 1, p->row->a_type);
    if (!status) status = fill_operand(p, &p->b, 2, p->row->b_type);
    if (!status) status = cl_backend.memory_alloc(p->context, y_bytes(p), &p->y);
    if (!status) status = cl_backend.fill(p->queue, p->y, 0, y_bytes(p), &poison, 1);
    return status;
}

static void drop(proof *p) {
    void *const memories[] = {p->a.memory, p->b.memory, p->y};
    for (size_t i = 0; i < sizeof memories / sizeof memories[0]; i++)
        if (memories[i]) cl_backend.memory_free(p->context, memories[i]);
    if (p->queue) cl_backend.queue_close(p->queue);
}

static pave_status multiply(const proof *p, void *kernel) {
    const pave_abi_gemm args = {.m = p->m,
                                .n = p->n,
                                .k = p->k,
                                .batch = {1, 1, 1},
                                .a = {.row = p->a.ld, .col = 1},
                                .b = {.row = p->b.ld, .col = 1},
                                .y = {.row = p->ld_y, .col = 1},
                                .group_m = 1,
                                .scale = 1,
                                .y_type = PAVE_T_F32};
    void *buffers[PAVE_GEMM_BUFFERS] = {p->a.memory, p->b.memory, p->y};
    const pave__launch launch = {.row = p->row,
                                 .args = &args,
                                 .args_bytes = sizeof args,
                                 .buffers = buffers,
                                 .buffer_count = PAVE_GEMM_BUFFERS,
                                 .grid = {2, 2, 1},
                                 .block = {(uint32_t)p->row->threads, 1, 1}};
    return cl_backend.launch(p->queue, &kernel, &launch, 1);
}

static double right_at(const proof *p, int i, int j) {
    int sum = 0;
    for (int c = 0; c < p->k; c++) sum += value_of(1, i, c) * value_of(2, j, c);
    return sum;
}

/* Behind a row's n columns the poison is still there. */
static pave_status compare(const proof *p, const float *y) {
    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->ld_y; j++) {
            const double got = y[(size_t)i * (size_t)p->ld_y + (size_t)j];
            const double right = j < p->n ? right_at(p, i, j) : NAN;
            if (got == right || (isnan(got) && isnan(right))) continue;
            return pave__fail(
                PAVE_E_DEVICE,
                "opencl: kernel %s, as it is built for %s, gives y[%d,%d] = %g where %g is right",
                p->row->name, p->context->info.name, i, j, got, right);
        }
    return PAVE_OK;
}

pave_status cl_prove(cl_ctx *context, const pave__row *row, void *kernel) {
    const int bytes = row->a_type == PAVE_T_F16 || row->a_type == PAVE_T_BF16 ? 2 : 4, quad = 16 / bytes;
    proof p = {.context = context, .row = row};
    p.m = row->bm + 9;
    p.n = row->bn + 5;
    p.k = row->bk * (row->stages + 2) + 3;
    p.ld_y = p.n + 3;
    p.a = (operand){.rows = p.m, .ld = (p.k + quad - 1) / quad * quad, .bytes = bytes};
    p.b = (operand){.rows = p.n, .ld = p.a.ld + quad, .bytes = bytes};
    float *y = malloc(y_bytes(&p));
    pave_status status = y ? make(&p) : pave__fail(PAVE_E_HOST_MEMORY, "opencl: no memory to prove a kernel");
    if (!status) status = multiply(&p, kernel);
    if (!status) status = cl_backend.read(p.queue, p.y, 0, y, y_bytes(&p), 1);
    if (!status) status = compare(&p, y);
    drop(&p);
    free(y);
    return status;
}
