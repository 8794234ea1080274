/* SPDX-License-Identifier: Apache-2.0
 * The devices that tests run on. A backend with no device is named in the output, never passed over in
 * silence. */
#include "tests/support/support.h"

#include "tests/support/cm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `more`: a character that may follow the word as well, with anything behind it. */
static bool listed(const char *list, const char *word, char more) {
    size_t n = strlen(word);
    for (const char *at = list; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0' || at[n] == more)) return true;
    return false;
}

bool test_wanted(const char *variable, const char *word) {
    const char *only = getenv(variable);
    return !only || !*only || listed(only, word, ',');
}

/* One whose backend or selector is listed. */
static bool wanted(const test_device *d) {
    return test_wanted("PAVE_TEST_BACKENDS", d->info.backend) ||
           test_wanted("PAVE_TEST_BACKENDS", d->info.selector);
}

/* Returns how many that makes. */
static size_t open_one(test_device *d, pave_device *device) {
    pave_queue_params params = {.size = sizeof params, .profiling = 1};
    *d = (test_device){.device = device, .info = {.size = sizeof d->info}};
    TEST_OK(pave_device_describe(device, &d->info));
    if (!wanted(d)) {
        printf("# %s: left out by PAVE_TEST_BACKENDS\n", d->info.selector);
        return 0;
    }
    TEST_OK(pave_context_create(device, &d->context));
    TEST_OK(pave_queue_create(d->context, &params, &d->queue));
    printf("# %s: %s (%s)\n", d->info.selector, d->info.name, d->info.driver);
    return 1;
}

size_t test_devices_open(test_device *devices) {
    static const char *const backends[] = {"cuda", "opencl", "host"};
    const char *only = getenv("PAVE_TEST_BACKENDS"), *required = getenv("PAVE_TEST_REQUIRE");
    size_t total = 0;
    printf("# seed %llu\n", (unsigned long long)test_seed());
    for (int b = 0; b < 3; b++) {
        pave_device *found[TEST_DEVICES_MAX];
        size_t count;
        if (only && *only && !listed(only, backends[b], ':')) {
            printf("# %s: left out by PAVE_TEST_BACKENDS\n", backends[b]);
            continue;
        }
        TEST_OK(pave_device_list(backends[b], TEST_DEVICES_MAX, found, &count));
        if (!count) printf("# %s: not on this machine\n", backends[b]);
        if (!count && listed(required, backends[b], ',')) {
            char report[4096];
            pave_device_report(report, sizeof report, NULL);
            fprintf(stderr, "PAVE_TEST_REQUIRE names %s and there is none; %s\n", backends[b], report);
            fail();
        }
        const size_t before = total;
        for (size_t i = 0; i < count && total < TEST_DEVICES_MAX; i++)
            total += open_one(&devices[total], found[i]);
        if (count && total == before) {
            fprintf(stderr, "PAVE_TEST_BACKENDS is %s, which is no device of %s\n", only, backends[b]);
            fail();
        }
    }
    fflush(stdout);
    return total;
}

void test_devices_close(test_device *devices, size_t count) {
    for (size_t i = 0; i < count; i++) {
        pave_queue_destroy(&devices[i].queue);
        pave_context_destroy(&devices[i].context);
    }
}
