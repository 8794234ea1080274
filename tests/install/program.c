/* SPDX-License-Identifier: Apache-2.0
 * A user's program, built against an installed Pave: one linear on the host backend. */
#include <pave/pave.h>
#include <stdio.h>

int main(void) {
    pave_device *device;
    pave_context *context;
    pave_queue *queue;
    pave_buffer *x, *w, *y;
    const float xs[2] = {1, 2}, ws[2] = {3, 4};
    float out = 0;
    if (pave_device_open("host", &device) || pave_context_create(device, &context) ||
        pave_queue_create(context, NULL, &queue) || pave_buffer_create(context, sizeof xs, &x) ||
        pave_buffer_create(context, sizeof ws, &w) || pave_buffer_create(context, sizeof out, &y) ||
        pave_buffer_write(queue, x, 0, xs, sizeof xs, PAVE_BLOCK, NULL) ||
        pave_buffer_write(queue, w, 0, ws, sizeof ws, PAVE_BLOCK, NULL)) {
        fprintf(stderr, "%s\n", pave_last_message());
        return 1;
    }
    pave_linear_params params = {.size = sizeof params,
                                 .x = pave_tensor_2d(x, PAVE_F32, 1, 2),
                                 .w = pave_tensor_2d(w, PAVE_F32, 1, 2),
                                 .y = pave_tensor_2d(y, PAVE_F32, 1, 1)};
    if (pave_linear(queue, &params, NULL) ||
        pave_buffer_read(queue, y, 0, &out, sizeof out, PAVE_BLOCK, NULL)) {
        fprintf(stderr, "%s\n", pave_last_message());
        return 1;
    }
    printf("pave %s: %g\n", pave_version(), (double)out);
    pave_buffer_destroy(&x);
    pave_buffer_destroy(&w);
    pave_buffer_destroy(&y);
    pave_queue_destroy(&queue);
    pave_context_destroy(&context);
    return out == 11.0f ? 0 : 1;
}
