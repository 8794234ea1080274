/* SPDX-License-Identifier: Apache-2.0
 * The list of devices, each backend probed once a process when it is first asked for, and the grammar of
 * selectors. What a device can do is the
 * backends' to say; which one is taken is decided here. */
#include "src/objects.h"
#include "src/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEVICES_MAX 64
#define REFUSALS_MAX 32

typedef struct refusal {
    const pave__backend *backend;
    char what[128], why[512];
} refusal;

struct pave__probe {
    const pave__backend *backend;
};

static pthread_mutex_t lock =
    PTHREAD_MUTEX_INITIALIZER; /* guards what follows; devices stay where they are */
static uint32_t probed;        /* bit per index in pave__backends */
static pave_device devices[DEVICES_MAX];
static size_t device_count;
static refusal refusals[REFUSALS_MAX];
static size_t refusal_count;

void pave__probe_found(pave__probe *probe, const pave_device_info *info, void *native) {
    if (device_count == DEVICES_MAX) {
        pave__probe_refused(probe, info->name, "more than %d devices", DEVICES_MAX);
        return;
    }
    pave_device *device = &devices[device_count++];
    device->backend = probe->backend;
    device->info = *info;
    device->info.size = sizeof device->info;
    device->native = native;
}

void pave__probe_refused(pave__probe *probe, const char *what, const char *format, ...) {
    if (refusal_count == REFUSALS_MAX) return;
    refusal *r = &refusals[refusal_count++];
    r->backend = probe->backend;
    snprintf(r->what, sizeof r->what, "%s", what);
    va_list list;
    va_start(list, format);
    vsnprintf(r->why, sizeof r->why, format, list);
    va_end(list);
}

/* Loads the drivers of the backend of that name, or of all where it is NULL. */
static void probe(const char *name) {
    for (size_t i = 0; pave__backends[i]; i++) {
        if ((name && strcmp(pave__backends[i]->name, name) != 0) || probed >> i & 1) continue;
        probed |= 1u << i;
        pave__probe sink = {pave__backends[i]};
        pave__backends[i]->probe(&sink);
    }
}

static const char *const backend_names[] = {"cuda", "opencl", "host"};

pave__backend_id pave__backend_of(const pave_device_info *device) {
    for (int i = 0; i < 3; i++)
        if (strcmp(device->backend, backend_names[i]) == 0) return (pave__backend_id)i;
    return PAVE__HOST;
}

const char *pave__backend_name(pave__backend_id id) {
    return backend_names[id];
}

static bool known_backend(const char *name) {
    for (int i = 0; i < 3; i++)
        if (strcmp(name, backend_names[i]) == 0) return true;
    return false;
}

static bool built(const char *name) {
    for (size_t i = 0; pave__backends[i]; i++)
        if (strcmp(pave__backends[i]->name, name) == 0) return true;
    return false;
}

pave_status pave_device_list(const char *backend, size_t capacity, pave_device **out, size_t *count) {
    if (!count) return pave__fail(PAVE_E_INVALID, "count is NULL");
    *count = 0;
    pave_status status = pave__environment_check();
    if (status) return status;
    if (capacity && !out) return pave__fail(PAVE_E_INVALID, "devices is NULL with capacity %zu", capacity);
    if (backend && !known_backend(backend))
        return pave__fail(PAVE_E_INVALID, "backend \"%s\" is none of cuda, opencl, host", backend);
    pthread_mutex_lock(&lock);
    probe(backend);
    for (size_t b = 0; pave__backends[b]; b++)
        for (size_t i = 0; i < device_count; i++) {
            if (devices[i].backend != pave__backends[b]) continue;
            if (backend && strcmp(pave__backends[b]->name, backend) != 0) continue;
            if (*count < capacity) out[*count] = &devices[i];
            ++*count;
        }
    pthread_mutex_unlock(&lock);
    return PAVE_OK;
}

static void put_candidates(pave__writer *w) {
    for (int b = 0; b < 3; b++) {
        if (!built(backend_names[b])) pave__write(w, "\n  %s: left out of this build", backend_names[b]);
        for (size_t i = 0; i < device_count; i++)
            if (strcmp(devices[i].backend->name, backend_names[b]) == 0)
                pave__write(w, "\n  %s: %s", devices[i].info.selector, devices[i].info.name);
        for (size_t i = 0; i < refusal_count; i++)
            if (strcmp(refusals[i].backend->name, backend_names[b]) == 0)
                pave__write(w, "\n  %s: refused: %s", refusals[i].what, refusals[i].why);
    }
}

pave_status pave_device_report(char *text, size_t capacity, size_t *needed) {
    if (capacity && !text) return pave__fail(PAVE_E_INVALID, "text is NULL with capacity %zu", capacity);
    if (capacity) text[0] = '\0';
    pave__writer w = {text, capacity, 0};
    pthread_mutex_lock(&lock);
    probe(NULL);
    pave__write(&w, "devices and refusals:");
    put_candidates(&w);
    pthread_mutex_unlock(&lock);
    if (needed) *needed = w.length;
    return PAVE_OK;
}

static pave_status not_found(const char *selector, const char *why) {
    char list[4096] = "";
    pave__writer w = {list, sizeof list, 0};
    probe(NULL);
    put_candidates(&w);
    return pave__fail(PAVE_E_NOT_FOUND, "no device for \"%s\": %s; candidates:%s", selector, why, list);
}

static pave_device *first(const char *backend, int kind) {
    probe(backend);
    for (size_t i = 0; i < device_count; i++)
        if (strcmp(devices[i].backend->name, backend) == 0 && (!kind || (int)devices[i].info.kind == kind))
            return &devices[i];
    return NULL;
}

static bool contains(const char *text, const char *part) {
    size_t n = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, n) == 0) return true;
    return n == 0;
}

static pave_device *first_opencl(void) {
    pave_device *gpu = first("opencl", PAVE_DEVICE_GPU);
    return gpu ? gpu : first("opencl", 0);
}

/* WHAT of opencl:WHAT. An index never names a part of a name, so that a missing one is no surprise. */
static pave_device *find_opencl(const char *what) {
    probe("opencl");
    if (strcmp(what, "cpu") == 0) return first("opencl", PAVE_DEVICE_CPU);
    if (strcmp(what, "gpu") == 0) return first("opencl", PAVE_DEVICE_GPU);
    bool index = what[strspn(what, "0123456789.")] == '\0';
    for (size_t i = 0; i < device_count; i++) {
        const pave_device *d = &devices[i];
        if (strcmp(d->backend->name, "opencl") != 0) continue;
        if (index ? strcmp(d->info.selector + strlen("opencl:"), what) == 0
                  : contains(d->info.name, what) || contains(d->info.driver, what))
            return &devices[i];
    }
    return NULL;
}

static pave_device *find_cuda(const char *selector) {
    probe("cuda");
    for (size_t i = 0; i < device_count; i++)
        if (strcmp(devices[i].info.selector, selector) == 0) return &devices[i];
    return NULL;
}

static bool is_number(const char *text) {
    return *text && text[strspn(text, "0123456789")] == '\0';
}

/* Finds the device of a well-formed selector (*form true) or says that the form is unknown. */
static pave_device *resolve(const char *s, bool *form) {
    *form = true;
    if (strcmp(s, "auto") == 0) {
        pave_device *cuda = first("cuda", 0);
        return cuda ? cuda : first_opencl();
    }
    if (strcmp(s, "host") == 0) return first("host", 0);
    if (strcmp(s, "cuda") == 0) return first("cuda", 0);
    if (strncmp(s, "cuda:", 5) == 0 && is_number(s + 5)) return find_cuda(s);
    if (strcmp(s, "opencl") == 0) return first_opencl();
    if (strncmp(s, "opencl:", 7) == 0 && s[7]) return find_opencl(s + 7);
    *form = false;
    return NULL;
}

static pave_status open_locked(const char *selector, const char *origin, pave_device **device) {
    bool form;
    *device = resolve(selector, &form);
    if (!form)
        return pave__fail(PAVE_E_INVALID,
                          "%s: \"%s\" is none of auto, cuda, cuda:N, opencl, opencl:WHAT, host", origin,
                          selector);
    if (*device) return PAVE_OK;
    return not_found(selector, strcmp(selector, "auto") == 0
                                   ? "neither cuda nor opencl has one, and host is taken only by name"
                                   : "none matches");
}

pave_status pave_device_open(const char *selector, pave_device **device) {
    if (!device) return pave__fail(PAVE_E_INVALID, "device is NULL");
    *device = NULL;
    pave_status status = pave__environment_check();
    if (status) return status;
    const char *origin = "selector";
    if (!selector || !*selector) {
        selector = getenv("PAVE_BACKEND");
        origin = "PAVE_BACKEND";
    }
    if (!selector || !*selector) selector = "auto";
    pthread_mutex_lock(&lock);
    status = open_locked(selector, origin, device);
    pthread_mutex_unlock(&lock);
    return status;
}

pave_status pave__info_copy(const pave_device_info *info, pave_device_info *out) {
    if (!out) return pave__fail(PAVE_E_INVALID, "info is NULL");
    if (out->size != sizeof *out)
        return pave__fail(PAVE_E_INVALID, "info->size is %zu where this library has %zu", out->size,
                          sizeof *out);
    *out = *info;
    out->size = sizeof *out;
    return PAVE_OK;
}

pave_status pave_device_describe(const pave_device *device, pave_device_info *info) {
    if (!device) return pave__fail(PAVE_E_INVALID, "device is NULL");
    return pave__info_copy(&device->info, info);
}

pave_status pave_device_info_by_name(const char *name, pave_device_info *info) {
    if (!name) return pave__fail(PAVE_E_INVALID, "name is NULL");
    const pave_device_info *found = pave__device_named(name);
    if (!found)
        return pave__fail(PAVE_E_NOT_FOUND, "no device is described as \"%s\"; known: %s", name,
                          pave__device_names());
    return pave__info_copy(found, info);
}
