/* SPDX-License-Identifier: Apache-2.0
 * Status codes, element types, tensor views and the words shared by all public headers. */
#ifndef PAVE_TYPES_H
#define PAVE_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PAVE_API __attribute__((visibility("default")))
#define PAVE_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define PAVE_API
#define PAVE_PRINTF(f, a)
#endif

#define PAVE_VERSION_MAJOR 0
#define PAVE_VERSION_MINOR 1
#define PAVE_VERSION_PATCH 0

/* Outcome of a call. Values never change meaning; new ones may be added. */
typedef enum pave_status {
    PAVE_OK = 0,
    PAVE_E_INVALID = -1,       /* an argument was wrong; nothing was done */
    PAVE_E_UNSUPPORTED = -2,   /* a valid request that no plan covers; the message gives the reason */
    PAVE_E_NOT_FOUND = -3,     /* no device answers the request; the message lists the candidates */
    PAVE_E_HOST_MEMORY = -4,   /* the host is out of memory */
    PAVE_E_DEVICE_MEMORY = -5, /* the device is out of memory */
    PAVE_E_BUILD = -6,         /* a kernel did not build or load; the message holds the build log */
    PAVE_E_DEVICE = -7,        /* the driver reported a failure; the message holds its code */
    PAVE_E_NOT_READY = -8      /* a query found the work unfinished */
} pave_status;

/* "PAVE_E_INVALID" and so on; "unknown status" for any other value. Never NULL. Any thread. */
PAVE_API const char *pave_status_name(pave_status status);

/* What the calling thread's last failing call had to say: one line or more, no trailing newline, ""
 * where no call failed yet. Valid until the thread's next failing call. Never NULL. */
PAVE_API const char *pave_last_message(void);

/* The library's version as "major.minor.patch". */
PAVE_API const char *pave_version(void);

typedef enum pave_log_level {
    PAVE_LOG_NONE = 0,
    PAVE_LOG_ERROR = 1,
    PAVE_LOG_WARN = 2,
    PAVE_LOG_INFO = 3,
    PAVE_LOG_DEBUG = 4
} pave_log_level;

typedef void (*pave_log_fn)(void *user, pave_log_level level, const char *message);

/* Sends messages up to `level` to `fn`, which any thread may call; fn NULL restores the default:
 * silence, or standard error where PAVE_LOG=error|warn|info|debug is set. Set it before other calls. */
PAVE_API void pave_log_set(pave_log_level level, pave_log_fn fn, void *user);

typedef enum pave_dtype {
    PAVE_F32 = 1, /* IEEE binary32 */
    PAVE_F16 = 2, /* IEEE binary16 */
    PAVE_BF16 = 3, /* bfloat16: the upper half of a binary32 */
    PAVE_I32 = 5,  /* two's complement; the index that an argmax gives, and nothing else */
    PAVE_E4M3 = 8, /* OCP FP8 E4M3: up to 448, NaN but no infinities */
    PAVE_E5M2 = 9  /* OCP FP8 E5M2: as IEEE would have it, up to 57344 */
} pave_dtype;

/* Bytes of one element; 0 for a value that is no type. */
PAVE_API size_t pave_dtype_bytes(pave_dtype type);
/* "f32", "f16", "bf16", "i32", "e4m3", "e5m2"; "?" for a value that is no type. */
PAVE_API const char *pave_dtype_name(pave_dtype type);

/* A promise about the error of a dot product, not an instruction: docs/architecture.md, "Precision".
 * With S = sum |x_k w_k|: HIGHEST keeps a float32 accumulation's bound, HIGH rounds each operand once to
 * 11 significant bits, MEDIUM to 8. The planner takes the fastest plan that keeps the promise. */
typedef enum pave_precision { PAVE_HIGH = 0, PAVE_HIGHEST = 1, PAVE_MEDIUM = 2 } pave_precision;

typedef struct pave_device pave_device;
typedef struct pave_context pave_context;
typedef struct pave_queue pave_queue;
typedef struct pave_event pave_event;
typedef struct pave_buffer pave_buffer;
typedef struct pave_plan pave_plan;
typedef struct pave_weights pave_weights;

#define PAVE_MAX_RANK 8

/* A view of a buffer, by value: element [i0, i1, …] lies at byte offset + sum(i_d * strides[d]) * element
 * size. Strides are in elements. A zeroed tensor means "none" where an operand is optional. */
typedef struct pave_tensor {
    pave_buffer *buffer;
    uint64_t offset; /* bytes; a multiple of the element's size */
    pave_dtype type;
    int32_t rank; /* 0 … PAVE_MAX_RANK */
    int64_t shape[PAVE_MAX_RANK];
    int64_t strides[PAVE_MAX_RANK];
} pave_tensor;

/* A contiguous row-major view from the start of `buffer`. A rank outside 0 … PAVE_MAX_RANK gives a zeroed
 * tensor, which every operation refuses. */
PAVE_API pave_tensor pave_tensor_make(pave_buffer *buffer, pave_dtype type, int rank, const int64_t *shape);
PAVE_API pave_tensor pave_tensor_1d(pave_buffer *buffer, pave_dtype type, int64_t length);
PAVE_API pave_tensor pave_tensor_2d(pave_buffer *buffer, pave_dtype type, int64_t rows, int64_t cols);

/* What an enqueued operation waits for and whom it tells. NULL in place of a pave_sync means neither. */
typedef struct pave_sync {
    pave_event *const *wait; /* wait_count events of queues of the same context */
    size_t wait_count;
    pave_event **event; /* where not NULL, receives an event to be destroyed by the caller */
} pave_sync;

#ifdef __cplusplus
}
#endif
#endif
