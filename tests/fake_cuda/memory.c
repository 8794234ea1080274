/* SPDX-License-Identifier: Apache-2.0
 * Device memory that is the host's, shared by processes that blocks may run in, between red zones that are
 * checked when it is freed; fresh memory holds all ones, a NaN in every type. A copy reads its source when its turn comes, whatever memory it is from: of pageable
 * memory the driver may have a copy by then, and need not. */
#include "tests/fake_cuda/inside.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ZONE_BYTES 512
#define ZONE_VALUE 0xa5
#define ALIGNMENT 256
/* Larger ones are not touched: a test may ask for more than the machine has. */
#define FILL_MAX (64u << 20)

static fake_memory *memories;

/* Page-locked memory of the host, which follows this record. */
typedef struct pinned {
    struct pinned *next;
    CUcontext context;
    size_t bytes;
    _Alignas(ALIGNMENT) unsigned char base[];
} pinned;

static pinned *pinned_memories;

fake_memory *fake_find(CUdeviceptr at, uint64_t bytes) {
    for (fake_memory *m = memories; m; m = m->next) {
        uint64_t base = (uintptr_t)m->base;
        if (at >= base && at - base <= m->bytes && bytes <= m->bytes - (at - base)) return m;
    }
    return NULL;
}

static int obtain(fake_memory *m) {
    m->block_bytes = m->bytes + 2 * ZONE_BYTES + ALIGNMENT;
    void *block =
        mmap(NULL, m->block_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) return 0;
    m->block = block;
    m->base = m->block + ZONE_BYTES;
    m->base += (ALIGNMENT - (uintptr_t)m->base % ALIGNMENT) % ALIGNMENT;
    memset(m->base - ZONE_BYTES, ZONE_VALUE, ZONE_BYTES);
    memset(m->base + m->bytes, ZONE_VALUE, ZONE_BYTES);
    if (m->bytes <= FILL_MAX) memset(m->base, 0xff, m->bytes);
    return 1;
}

/* The bytes between the memory and the next multiple of its alignment belong to nobody either. */
static void check_zones(const fake_memory *m) {
    for (int i = 0; i < ZONE_BYTES; i++) {
        if (m->base[i - ZONE_BYTES] != ZONE_VALUE)
            fake_misuse(CUDA_SUCCESS, "byte %d before %llu bytes of memory was written", ZONE_BYTES - i,
                        (unsigned long long)m->bytes);
        if (m->base[m->bytes + (uint64_t)i] != ZONE_VALUE)
            fake_misuse(CUDA_SUCCESS, "byte %d after %llu bytes of memory was written", i,
                        (unsigned long long)m->bytes);
    }
}

static void release(fake_memory **link) {
    fake_memory *m = *link;
    *link = m->next;
    check_zones(m);
    m->context->bytes -= m->bytes;
    munmap(m->block, m->block_bytes);
    free(m);
    fake_counts.memory--;
}

FAKE_API CUresult cuMemGetInfo_v2(size_t *left, size_t *total) {
    ENTER(cuMemGetInfo_v2);
    if (fault) return fault;
    CUcontext context = fake_current("cuMemGetInfo");
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    *total = fake_device_bytes();
    *left = *total - context->bytes;
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes) {
    ENTER(cuMemAlloc_v2);
    if (fault) return fault;
    CUcontext context = fake_current("cuMemAlloc");
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    if (!bytes) return fake_misuse(CUDA_ERROR_INVALID_VALUE, "cuMemAlloc: 0 bytes");
    if (bytes > fake_device_bytes() - context->bytes) return CUDA_ERROR_OUT_OF_MEMORY;
    fake_memory *m = calloc(1, sizeof *m);
    if (!m) return CUDA_ERROR_UNKNOWN;
    m->context = context;
    m->bytes = bytes;
    if (!obtain(m)) {
        free(m);
        return CUDA_ERROR_UNKNOWN;
    }
    m->next = memories;
    memories = m;
    context->bytes += bytes;
    fake_counts.memory++;
    *pointer = (uintptr_t)m->base;
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuMemFree_v2(CUdeviceptr pointer) {
    ENTER(cuMemFree_v2);
    CUcontext context = fake_current("cuMemFree");
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    fake_drain(context);
    for (fake_memory **link = &memories; *link; link = &(*link)->next)
        if ((uintptr_t)(*link)->base == pointer) {
            if ((*link)->context != context)
                fake_misuse(CUDA_SUCCESS, "cuMemFree: memory of another context");
            release(link);
            return fault;
        }
    return fake_misuse(CUDA_ERROR_INVALID_VALUE, "cuMemFree: no such memory");
}

FAKE_API CUresult cuMemAllocHost_v2(void **pointer, size_t bytes) {
    ENTER(cuMemAllocHost_v2);
    if (fault) return fault;
    CUcontext context = fake_current("cuMemAllocHost");
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    if (!bytes) return fake_misuse(CUDA_ERROR_INVALID_VALUE, "cuMemAllocHost: 0 bytes");
    pinned *p = aligned_alloc(ALIGNMENT, (sizeof *p + bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (!p) return CUDA_ERROR_OUT_OF_MEMORY;
    *p = (pinned){.next = pinned_memories, .context = context, .bytes = bytes};
    pinned_memories = p;
    fake_counts.pinned++;
    *pointer = p->base;
    return CUDA_SUCCESS;
}

static void unpin(pinned **link) {
    pinned *p = *link;
    *link = p->next;
    free(p);
    fake_counts.pinned--;
}

FAKE_API CUresult cuMemFreeHost(void *pointer) {
    ENTER(cuMemFreeHost);
    if (!fake_current("cuMemFreeHost")) return CUDA_ERROR_INVALID_CONTEXT;
    for (pinned **link = &pinned_memories; *link; link = &(*link)->next)
        if ((*link)->base == pointer) {
            if (fake_is_read(pointer, (*link)->bytes))
                fake_misuse(CUDA_SUCCESS, "cuMemFreeHost: a copy still has to read it");
            unpin(link);
            return fault;
        }
    return fake_misuse(CUDA_ERROR_INVALID_VALUE, "cuMemFreeHost: no such memory");
}

/* Zeros where the address is nobody's, as the driver has it. */
static CUresult write_attribute(CUpointer_attribute name, const fake_memory *m, void *value) {
    switch (name) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *(CUmemorytype *)value = m ? CU_MEMORYTYPE_DEVICE : 0; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)value = m ? m->context->device : -2; break;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *(CUdeviceptr *)value = m ? (uintptr_t)m->base : 0; break;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *(size_t *)value = m ? m->bytes : 0; break;
    default: return fake_misuse(CUDA_ERROR_INVALID_VALUE, "cuPointerGetAttributes: attribute %d", (int)name);
    }
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute *names, void **values,
                                         CUdeviceptr pointer) {
    ENTER(cuPointerGetAttributes);
    if (fault) return fault;
    const fake_memory *m = fake_find(pointer, 1);
    CUresult result = CUDA_SUCCESS;
    for (unsigned i = 0; i < count && result == CUDA_SUCCESS; i++)
        result = write_attribute(names[i], m, values[i]);
    return result;
}

void fake_memory_drop(CUcontext context) {
    for (pinned **link = &pinned_memories; *link;) {
        if ((*link)->context != context) {
            link = &(*link)->next;
            continue;
        }
        fake_counts.orphans++;
        unpin(link);
    }
    for (fake_memory **link = &memories; *link;) {
        if ((*link)->context != context) {
            link = &(*link)->next;
            continue;
        }
        fake_counts.orphans++;
        release(link);
    }
}

static CUresult submit_copy(CUstream stream, const char *who, void *target, const void *source, size_t bytes,
                            int from_device, int to_device) {
    if (!bytes) return fake_misuse(CUDA_SUCCESS, "%s: 0 bytes", who);
    if ((from_device && !fake_find((uintptr_t)source, bytes)) ||
        (to_device && !fake_find((uintptr_t)target, bytes)))
        return fake_misuse(CUDA_ERROR_INVALID_VALUE, "%s: %zu bytes leave their memory", who, bytes);
    fake_op op = {.kind = FAKE_COPY, .target = target, .source = source, .count = bytes};
    return fake_submit(stream, who, &op);
}

static void *pointer_of(CUdeviceptr at) {
    return (void *)(uintptr_t)at;
}

FAKE_API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void *source, size_t bytes,
                                       CUstream stream) {
    ENTER(cuMemcpyHtoDAsync_v2);
    return fault ? fault : submit_copy(stream, "cuMemcpyHtoDAsync", pointer_of(target), source, bytes, 0, 1);
}

FAKE_API CUresult cuMemcpyDtoHAsync_v2(void *target, CUdeviceptr source, size_t bytes, CUstream stream) {
    ENTER(cuMemcpyDtoHAsync_v2);
    return fault ? fault : submit_copy(stream, "cuMemcpyDtoHAsync", target, pointer_of(source), bytes, 1, 0);
}

FAKE_API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr target, CUdeviceptr source, size_t bytes,
                                       CUstream stream) {
    ENTER(cuMemcpyDtoDAsync_v2);
    return fault ? fault
                 : submit_copy(stream, "cuMemcpyDtoDAsync", pointer_of(target), pointer_of(source), bytes, 1,
                               1);
}

static CUresult submit_set(CUstream stream, const char *who, CUdeviceptr at, unsigned value, unsigned size,
                           size_t count) {
    if (at % size || !fake_find(at, (uint64_t)count * size))
        return fake_misuse(CUDA_ERROR_INVALID_VALUE, "%s: %zu elements leave their memory or are not aligned",
                           who, count);
    fake_op op = {.kind = FAKE_SET, .target = pointer_of(at), .count = count, .value = value, .size = size};
    return fake_submit(stream, who, &op);
}

FAKE_API CUresult cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t count, CUstream stream) {
    ENTER(cuMemsetD8Async);
    return fault ? fault : submit_set(stream, "cuMemsetD8Async", at, value, 1, count);
}

FAKE_API CUresult cuMemsetD16Async(CUdeviceptr at, unsigned short value, size_t count, CUstream stream) {
    ENTER(cuMemsetD16Async);
    return fault ? fault : submit_set(stream, "cuMemsetD16Async", at, value, 2, count);
}

FAKE_API CUresult cuMemsetD32Async(CUdeviceptr at, unsigned value, size_t count, CUstream stream) {
    ENTER(cuMemsetD32Async);
    return fault ? fault : submit_set(stream, "cuMemsetD32Async", at, value, 4, count);
}
