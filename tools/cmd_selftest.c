/* SPDX-License-Identifier: Apache-2.0
 * `pave selftest`: forces every kernel that a device can run and holds its results to float64, for users who
 * doubt a driver. */
#include "tools/selftest.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: pave selftest [--device SELECTOR] [--quick] [--json]\n\n"
    "Runs every kernel of each device there is, forced, at aligned and odd shapes, against\n"
    "float64 on the host, within the documented error bounds and between guard zones.\n"
    "'skipped' means that no plan on this device launches the kernel.\n\n"
    "  --device SELECTOR    that one alone, as does PAVE_BACKEND: auto, cuda[:N],\n"
    "                       opencl[:WHAT], host\n"
    "  --quick              fewer shapes\n"
    "  --json               for programs\n\n"
    "exit codes: 0 all right, 1 a kernel failed, 2 wrong usage, 3 no device, 130 interrupted";

static void check_peak(self_check *check) {
    pave_device_info info = check->session->info;
    if (pave_device_measure(check->session->context, &info)) {
        self_broke(check, "measure");
    } else if (info.flops[check->row.path] > 0) {
        check->cases++;
    } else {
        self_fail(check, "reached no rate");
    }
}

static void check_row(self_check *check) {
    static const struct {
        const char *family;
        void (*check)(self_check *check);
    } checks[] = {{"peak", check_peak},    {"reduce", self_check_reduce}, {"normalize", self_check_reduce},
                  {"map", self_check_map}, {"join", self_check_gemm},     {"gemm", self_check_gemm}};
    /* A probe is a row that no plan takes. */
    if (strcmp(check->row.family, "peak") != 0) setenv("PAVE_KERNEL", check->row.name, 1);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (strcmp(check->row.family, checks[i].family) == 0) checks[i].check(check);
    unsetenv("PAVE_KERNEL");
}

static const char *verdict(const self_check *check) {
    return check->failure[0] ? "FAILED" : check->cases ? "ok" : "skipped";
}

static void report(const self_check *check, const json_t *devices, json_t *list) {
    const char *detail = check->failure[0] ? check->failure : check->cases ? "" : check->skipped;
    if (devices) {
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:i,s:s}", "kernel", check->row.name, "family",
                                              check->row.family, "result", verdict(check), "cases",
                                              check->cases, "detail", detail));
        return;
    }
    printf("%-34s %-7s %3d cases%s%s\n", check->row.name, verdict(check), check->cases, *detail ? ": " : "",
           detail);
    fflush(stdout);
}

static int close_report(const tool_session *session, const int *counts, json_t *devices, json_t *list) {
    if (devices)
        json_array_append_new(devices, json_pack("{s:s,s:s,s:i,s:i,s:i,s:O}", "device", session->info.name,
                                                 "selector", session->info.selector, "ok", counts[0],
                                                 "failed", counts[1], "skipped", counts[2], "kernels", list));
    else
        printf("%d kernels ok, %d failed, %d skipped on %s (%s)\n", counts[0], counts[1], counts[2],
               session->info.name, session->info.selector);
    return counts[1] || !counts[0] ? TOOL_FAILED : TOOL_OK;
}

/* Every kernel of one device; `devices` collects the report where it is for a program, else it is NULL. */
static int run_device(tool_session *session, bool quick, json_t *devices) {
    json_t *list = json_array();
    int counts[3] = {0};
    if (!devices)
        printf("device %s (%s), %s\n", session->info.name, session->info.selector, session->info.driver);
    for (size_t i = 0;; i++) {
        self_check check = {.session = session, .quick = quick, .row = {.size = sizeof check.row}};
        int32_t usable;
        if (pave_kernel_describe(i, session->device, &check.row, &usable)) break;
        if (!usable || strcmp(check.row.backend, session->info.backend) != 0) continue;
        if (tool_interrupted()) {
            json_decref(list);
            tool_error("interrupted");
            return TOOL_INTERRUPTED;
        }
        check_row(&check);
        counts[check.failure[0] ? 1 : check.cases ? 0 : 2]++;
        report(&check, devices, list);
    }
    int code = close_report(session, counts, devices, list);
    json_decref(list);
    return code;
}

static int run_selected(const char *selector, bool quick, json_t *devices) {
    tool_session session;
    int code = tool_open(selector, true, &session);
    if (code) return code;
    code = run_device(&session, quick, devices);
    tool_close(&session);
    return code;
}

/* All there are; the first failure's code, since one good device excuses no other. */
static int run_all(bool quick, json_t *devices) {
    enum { DEVICES_MAX = 64 };
    pave_device *found[DEVICES_MAX];
    size_t count;
    pave_status status = pave_device_list(NULL, DEVICES_MAX, found, &count);
    if (status) return tool_fail(status, "listing the devices"), TOOL_USAGE;
    int first = TOOL_OK;
    for (size_t i = 0; i < count && i < DEVICES_MAX && first != TOOL_INTERRUPTED; i++) {
        pave_device_info info = {.size = sizeof info};
        pave_device_describe(found[i], &info);
        int code = run_selected(info.selector, quick, devices);
        if (!first || code == TOOL_INTERRUPTED) first = code;
    }
    return first;
}

int cmd_selftest(int argc, char **argv) {
    static const struct option options[] = {{"device", required_argument, NULL, 'd'},
                                            {"quick", no_argument, NULL, 'q'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *device = NULL;
    bool quick = false, json = false;
    for (int c; (c = tool_option(argc, argv, options)) != -1;) {
        if (c == '?') return TOOL_USAGE;
        if (c == 'h') return puts(help), TOOL_OK;
        if (c == 'd') device = optarg;
        quick |= c == 'q';
        json |= c == 'j';
    }
    tool_catch_interrupt();
    const char *backend = getenv("PAVE_BACKEND");
    json_t *devices = json ? json_array() : NULL;
    int code =
        device || (backend && *backend) ? run_selected(device, quick, devices) : run_all(quick, devices);
    if (json) {
        json_t *root = json_pack("{s:O}", "devices", devices);
        if (root && code != TOOL_INTERRUPTED) {
            json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
            putchar('\n');
        }
        json_decref(root);
        json_decref(devices);
    }
    return code;
}
