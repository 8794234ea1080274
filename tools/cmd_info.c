/* SPDX-License-Identifier: Apache-2.0
 * `pave info`: what this build and this machine offer, and why the rest was refused. */
#include "tools/common.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static const char *const path_names[PAVE_PATH_COUNT] = {"f32 fma", "tf32", "f16", "bf16", "f8"};

static void print_device(const pave_device_info *d) {
    char a[32], b[32], c[32];
    printf("%-12s %s\n", d->selector, d->name);
    printf("    driver           %s\n", d->driver);
    printf("    kind             %s, %d %s", d->kind == PAVE_DEVICE_GPU ? "GPU" : "CPU", d->compute_units,
           d->kind == PAVE_DEVICE_GPU ? "units" : "cores");
    if (d->compute_capability)
        printf(", capability %d.%d", d->compute_capability / 10, d->compute_capability % 10);
    printf(", vector width %d\n", d->vector_width);
    printf("    memory           %s, one buffer up to %s\n",
           tool_quantity(a, sizeof a, (double)d->memory_bytes, "B"),
           tool_quantity(b, sizeof b, (double)d->alloc_bytes_max, "B"));
    printf("    shared, L2       %s a block, %s\n",
           tool_quantity(a, sizeof a, (double)d->shared_bytes_per_block, "B"),
           tool_quantity(b, sizeof b, (double)d->l2_bytes, "B"));
    printf("    bandwidth        %s memory, %s L2 (expected)\n",
           tool_quantity(a, sizeof a, d->memory_bytes_per_s, "B/s"),
           tool_quantity(b, sizeof b, d->l2_bytes_per_s, "B/s"));
    printf("    peak (expected) ");
    for (int p = 0; p < PAVE_PATH_COUNT; p++)
        if (d->flops[p] > 0)
            printf(" %s %s;", path_names[p], tool_quantity(c, sizeof c, d->flops[p], "FLOP/s"));
    printf(" launch %.1f us\n", d->launch_ns * 1e-3);
}

static json_t *device_json(const pave_device_info *d) {
    json_t *flops = json_object();
    for (int p = 0; p < PAVE_PATH_COUNT; p++)
        json_object_set_new(flops, path_names[p], json_real(d->flops[p]));
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:I,s:I,s:I,s:I,s:f,s:f,s:o,s:f}", "selector",
                     d->selector, "name", d->name, "backend", d->backend, "driver", d->driver, "kind",
                     d->kind == PAVE_DEVICE_GPU ? "gpu" : "cpu", "compute_capability", d->compute_capability,
                     "compute_units", d->compute_units, "threads_per_unit", d->threads_per_unit,
                     "vector_width", d->vector_width, "shared_bytes_per_block",
                     (json_int_t)d->shared_bytes_per_block, "l2_bytes", (json_int_t)d->l2_bytes,
                     "memory_bytes", (json_int_t)d->memory_bytes, "alloc_bytes_max",
                     (json_int_t)d->alloc_bytes_max, "memory_bytes_per_s", d->memory_bytes_per_s,
                     "l2_bytes_per_s", d->l2_bytes_per_s, "flops", flops, "launch_ns", d->launch_ns);
}

static char *report_text(void) {
    size_t needed = 0;
    if (pave_device_report(NULL, 0, &needed)) return NULL;
    char *text = malloc(needed + 1);
    if (text && pave_device_report(text, needed + 1, NULL)) {
        free(text);
        return NULL;
    }
    return text;
}

static int print_json(pave_device **devices, size_t count, const char *report) {
    json_t *list = json_array(), *environment = json_object();
    for (size_t i = 0; i < count; i++) {
        pave_device_info info = {.size = sizeof info};
        if (!pave_device_describe(devices[i], &info)) json_array_append_new(list, device_json(&info));
    }
    for (char **e = environ; *e; e++) {
        const char *value = strchr(*e, '=');
        if (strncmp(*e, "PAVE_", 5) != 0 || !value) continue;
        char *name = strndup(*e, (size_t)(value - *e));
        if (name) json_object_set_new(environment, name, json_string(value + 1));
        free(name);
    }
    json_t *root = json_pack("{s:s,s:o,s:s,s:o}", "version", pave_version(), "devices", list, "report",
                             report, "environment", environment);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
    return TOOL_OK;
}

static void print_text(pave_device **devices, size_t count, const char *report) {
    printf("pave %s\n\ndevices:\n", pave_version());
    for (size_t i = 0; i < count; i++) {
        pave_device_info info = {.size = sizeof info};
        if (!pave_device_describe(devices[i], &info)) print_device(&info);
    }
    printf("\nbackends:\n%s\n\nenvironment:\n", report);
    int set = 0;
    for (char **e = environ; *e; e++)
        if (strncmp(*e, "PAVE_", 5) == 0) set += printf("%s\n", *e) > 0;
    if (!set) puts("no PAVE_ variable is set");
}

int cmd_info(int argc, char **argv) {
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    bool json = false;
    for (int c; (c = tool_option(argc, argv, options)) != -1;) {
        if (c == '?') return TOOL_USAGE;
        if (c == 'h') {
            puts("usage: pave info [--json]\n\nShows the version, every device with its facts, what was "
                 "refused "
                 "and why, and the\nenvironment variables in force.\n\nexit codes: 0 ok, 1 failed, 2 wrong "
                 "usage");
            return TOOL_OK;
        }
        json = true;
    }
    size_t count = 0;
    pave_status status = pave_device_list(NULL, 0, NULL, &count);
    pave_device **devices = calloc(count + 1, sizeof *devices);
    if (!status && devices) status = pave_device_list(NULL, count, devices, &count);
    char *report = status ? NULL : report_text();
    int code = TOOL_OK;
    if (!devices || !report)
        code = tool_fail(status, "devices");
    else if (json)
        code = print_json(devices, count, report);
    else
        print_text(devices, count, report);
    free(report);
    free(devices);
    return code;
}
