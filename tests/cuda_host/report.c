/* SPDX-License-Identifier: Apache-2.0
 * Fails unless the account of devices has each of the arguments in it, and no CUDA device opens. */
#include <pave/pave.h>

#include <stdio.h>
#include <string.h>

int main(int count, char **words) {
    char report[8192];
    pave_device *device;
    int wrong = pave_device_report(report, sizeof report, NULL) != PAVE_OK;
    for (int i = 1; i < count; i++) wrong |= !strstr(report, words[i]) || !strstr(report, "cuda: refused");
    wrong |= pave_device_open("cuda", &device) != PAVE_E_NOT_FOUND;
    for (int i = 1; i < count; i++) wrong |= !strstr(pave_last_message(), words[i]);
    printf("%s\n", report);
    return wrong;
}
