/* SPDX-License-Identifier: Apache-2.0
 * What the device tests share: numbers from a printed seed, element types decoded here and not by the
 * library, arrays between guard zones, a float64 reference with the error bound of each value, and the
 * devices to test. */
#ifndef PAVE_TESTS_SUPPORT_H
#define PAVE_TESTS_SUPPORT_H

#include <pave/pave.h>
#include <stdbool.h>

/* ---- numbers (types.c) ---- */
typedef struct test_rng {
    uint64_t state;
} test_rng;
/* PAVE_TEST_SEED, else a fixed one; failures print it. */
uint64_t test_seed(void);
/* A stream of its own for each `salt`. */
test_rng test_rng_make(uint64_t salt);
double test_uniform(test_rng *rng, double low, double high);
int64_t test_integer(test_rng *rng, int64_t low, int64_t high); /* both included */

double test_load(const void *base, pave_dtype type, int64_t index);
/* Rounds to nearest, ties to even. */
void test_store(void *base, pave_dtype type, int64_t index, double value);
/* Half the distance between neighbours, relative and at the bottom of the range. */
double test_unit(pave_dtype type);
double test_eta(pave_dtype type);
/* The type, or float16 in place of float8, which not every kernel reads in a link. */
pave_dtype test_link_type(pave_dtype type);

/* ---- devices (devices.c) ---- */
typedef struct test_device {
    pave_device *device;
    pave_device_info info;
    pave_context *context;
    pave_queue *queue; /* profiling */
} test_device;
#define TEST_DEVICES_MAX 32
/* Opens every device, or those whose backend or selector is in PAVE_TEST_BACKENDS (comma separated). Prints which
 * backends have none here; those that PAVE_TEST_REQUIRE names are failures. */
size_t test_devices_open(test_device *devices);
/* Whether a comma separated list in the environment has the word, or is not there. */
bool test_wanted(const char *variable, const char *word);
void test_devices_close(test_device *devices, size_t count);
/* Asserts success with the library's message. */
#define TEST_OK(call) test_ok((call), #call, __FILE__, __LINE__)
void test_ok(pave_status status, const char *call, const char *file, int line);

/* ---- arrays (array.c) ---- */
/* rows × cols, row stride ld, `offset` bytes into the space between two guards of all-ones bytes, which read
 * as NaN in every type; so do the columns from cols to ld. `bytes` is the host's copy of the whole buffer. */
typedef struct test_array {
    pave_buffer *buffer;
    pave_tensor tensor;
    pave_dtype type;
    int64_t rows, cols, ld;
    unsigned char *bytes, *elems;
    double *values; /* decoded when last uploaded, contiguous */
    uint64_t total;
} test_array;

typedef struct test_layout {
    int64_t pad;     /* ld = cols + pad */
    uint64_t offset; /* elements past the guard */
} test_layout;

typedef enum test_fill {
    TEST_POISON,   /* all ones: an output */
    TEST_RANDOM,   /* uniform in [-1, 1) */
    TEST_INTEGERS, /* -3 … 3 */
    TEST_POSITIVE  /* uniform in [0.5, 1.5) */
} test_fill;

/* Fails the running test where the device refuses memory. */
void test_array_make(test_array *a, const test_device *on, pave_dtype type, int64_t rows, int64_t cols,
                     test_layout layout, test_fill fill, test_rng *rng);
double test_array_get(const test_array *a, int64_t row, int64_t col);
void test_array_set(test_array *a, int64_t row, int64_t col, double value);
void test_array_upload(test_array *a, pave_queue *queue);
/* Reads the buffer back and fails where a byte changed that is no element of an output. */
void test_array_check(test_array *a, pave_queue *queue, bool output, const char *what);
void test_array_free(test_array *a);
/* The array's only row, or its only column, as a tensor of rank 1. */
pave_tensor test_vector(const test_array *a);

/* ---- strided tensors (nd.c) ---- */
/* A tensor of any rank and strides between two guards, all of its buffer but its elements being all-ones bytes. */
typedef struct test_nd {
    pave_buffer *buffer;
    pave_tensor tensor;
    unsigned char *bytes, *owned; /* owned: 1 for each byte of an element */
    uint64_t total;
} test_nd;

typedef struct test_order {
    const char *dims; /* its dimensions' digits as they lie in memory, outermost first; NULL: "012…" */
    int64_t step;     /* stride of the innermost; 0: 1 */
    int64_t pad;      /* elements left free after each run of the innermost */
    uint64_t offset;  /* elements past the guard */
    unsigned repeat;  /* bit d: dimension d has stride 0 */
} test_order;

void test_nd_make(test_nd *t, const test_device *on, pave_dtype type, int rank, const int64_t *shape,
                  const test_order *order, test_fill fill, test_rng *rng);
/* The element at `index` of `rank` dimensions, to which t's are aligned from the last and broadcast. */
double test_nd_get(const test_nd *t, int rank, const int64_t *index);
void test_nd_set(test_nd *t, const int64_t *index, double value);
void test_nd_upload(test_nd *t, pave_queue *queue);
/* Reads the buffer back and fails where a byte changed that is no element of an output. */
void test_nd_check(test_nd *t, pave_queue *queue, bool output, const char *what);
void test_nd_free(test_nd *t);
/* The next index of a shape, the last fastest; false past the end. Starts from all zeros. */
bool test_next(int rank, const int64_t *shape, int64_t *index);

/* ---- reference (reference.c) ---- */
/* How a kernel row computes: what it rounds its operands to, and its accumulator. */
typedef struct test_class {
    double rho_tf32; /* relative rounding of a float32 operand; 0: none */
    double rho_f16;  /* of a float16 operand (a bfloat16 path) */
    double rho_f8;   /* of a float8 operand, which no kernel rounds, but a promise may */
    double
        floor;   /* of a float32 operand, beside that: absolute, in units of its row's largest finite value */
    double unit; /* v: 2^-24, or 2^-23 where matrix units truncate as they accumulate */
    double inner; /* roundings of unit v that a sum has beside one a product */
    bool truncates;
    int splits; /* slices of k that are added up; 0: what a plan may choose */
} test_class;
test_class test_class_of(const pave_kernel_info *row);
/* Of whatever row may keep the promise for float32. */
test_class test_class_of_promise(pave_precision precision);

/* A value known to lie within `bound` of the exact one; `alarm` is the sqrt(K) bar, 0 < alarm <= bound. */
typedef struct test_value {
    double value, bound, alarm;
} test_value;

typedef struct test_link {
    pave_link link;
    const test_array *tensor; /* NULL: a scalar */
} test_link;

typedef struct test_layer {
    const test_array *w, *bias; /* bias may be NULL */
    const test_link *links;
    size_t link_count;
} test_layer;

/* Exact activation in float64, written from the definitions. */
double test_activate(pave_link_op op, double v, double a, double b);
/* One row of a chain of layers before its reduction: `out` has the last layer's width of values. */
void test_chain_row(const test_array *x, const test_layer *layers, size_t layer_count, int64_t row,
                    const test_class *how, test_value *out);
/* A dot product of exact operands of the given types, and a value through one link, t its operand. */
test_value test_dot(const double *x, pave_dtype x_type, const double *w, pave_dtype w_type, int64_t k,
                    const test_class *how);
test_value test_apply(test_value v, const pave_link *link, double t);
/* Reduces a row of values with their bounds to one value; not for argmax. */
test_value test_reduce_row(const test_value *row, int64_t n, pave_reduction reduction);
/* softmax, log_softmax and normalize of a row (normalize.c). */
void test_normalize_row(const test_value *row, int64_t n, pave_reduction reduction, double epsilon,
                        test_value *out);
/* Whether the largest of the row may be at `got`: with bounds of 0, the first of them and nothing else. */
bool test_argmax_right(const test_value *row, int64_t n, int64_t got);
/* Adds the rounding to the type it is stored in. */
test_value test_stored(test_value v, pave_dtype type);
/* Whether `got` is the value or within its bound; NaN and infinities must agree in class first. */
bool test_within(double got, double value, double bound);

#endif
