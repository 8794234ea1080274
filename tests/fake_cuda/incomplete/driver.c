/* SPDX-License-Identifier: Apache-2.0
 * A driver's library from before there was much: it has cuInit and the version, and nothing after them. */
extern __attribute__((visibility("default"))) int cuInit(unsigned flags);
extern __attribute__((visibility("default"))) int cuDriverGetVersion(int *version);

int cuInit(unsigned flags) {
    return (int)flags;
}

int cuDriverGetVersion(int *version) {
    *version = 3000;
    return 0;
}
