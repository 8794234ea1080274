/* SPDX-License-Identifier: Apache-2.0
 * The fake driver from a test's side, and children, each of which is a process with a driver of its own. */
#ifndef PAVE_TESTS_CUDA_HOST_DRIVER_H
#define PAVE_TESTS_CUDA_HOST_DRIVER_H

#include "tests/fake_cuda/fake.h"
#include "tests/support/cm.h"
#include "tests/support/support.h"

/* What is alive now. Fails the process where another libcuda.so.1 was loaded than the fake. */
fake_cuda_counts driver_counts(void);
const char *driver_error(void);
unsigned driver_calls(const char *symbol);
/* Whether nothing is alive and nothing was misused; says on stderr what is. */
bool driver_is_clean(bool orphans_allowed);

/* Runs `body` in a child with `name` set to `value`; returns what it returned, or -1 where the child crashed
 * or its own clean-up failed. */
int in_child(const char *name, const char *value, int (*body)(void));

/* In a child: returns from it with the line's number. */
#define EXPECT(condition)                                                                        \
    do {                                                                                         \
        if (condition) break;                                                                    \
        fprintf(stderr, "%s:%d: not so: %s; last message: %s\n", __FILE__, __LINE__, #condition, \
                pave_last_message());                                                            \
        return 2;                                                                                \
    } while (0)

#endif
