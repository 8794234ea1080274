/* SPDX-License-Identifier: Apache-2.0
 * Draws problems of every operation, type, layout and promise, from a fixed seed: the same ones in every run. */
#include "draw.h"

static uint64_t seed = 20261122;

uint64_t draw(uint64_t below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % below;
}

static int64_t draw_size(int zero) {
    static const int64_t sizes[] = {1,  2,   3,   7,   8,   15,   16,   31,   64,
                                    65, 127, 128, 129, 777, 1000, 1024, 4096, 16384};
    if (zero && draw(20) == 0) return 0;
    return sizes[draw(sizeof sizes / sizeof sizes[0])];
}

static const char *const devices[] = {"rtx4090",  "rtx4080", "l40s",  "a100-sxm",
                                      "h100-sxm", "h200",    "cpu-2", "cpu-16"};

/* Shapes of a chain, a reduction or a map. */
static void draw_shape(plan_case *c) {
    c->m = draw_size(0);
    c->k = draw_size(1);
    if (draw(30) == 0) c->m = 3000000; /* row tiles and map rows beyond a grid's 65535 */
    int layers = (int)draw(SHAPE_LAYERS + 1);
    for (int i = 0; i < layers; i++) c->widths[i] = draw_size(0);
    if (draw(30) == 0) { /* and column tiles beyond it */
        c->m = c->k = 3;
        c->widths[0] = 20000000;
        for (int i = 1; i < SHAPE_LAYERS; i++) c->widths[i] = 0;
    }
    if (layers == 0 && draw(3) == 0) {
        c->op = PAVE_OP_MAP;
        c->widths[0] = 0;
    }
    if (layers == 1 && draw(2)) c->op = PAVE_OP_MATMUL;
    if (layers == 1 && draw(4) == 0) {
        c->op = PAVE_OP_GROUPED;
        c->groups = draw_size(0);
        c->group_rows = 1 + (int64_t)draw((uint64_t)c->m);
    } else if (draw(2)) {
        for (int d = 0; d < PAVE_BATCH_DIMS; d++) c->batch[d] = 1 + (int64_t)draw(4);
    }
}

/* How the last layer ends. */
static void draw_closing(plan_case *c) {
    bool rows_alone = c->op == 0 && c->widths[0] == 0;
    if (c->op != PAVE_OP_MAP) c->reduction = (int)draw(c->op == PAVE_OP_GROUPED ? 7 : 10);
    if (rows_alone && !c->reduction) c->reduction = 1;
    if (c->reduction && !rows_alone && c->op != PAVE_OP_GROUPED) {
        if (draw(3) == 0) c->unreduced = 1 + (int)draw(3);
        int64_t n = 0;
        for (int i = 0; i < SHAPE_LAYERS && c->widths[i]; i++) n = c->widths[i];
        if (draw(4) == 0) {
            c->window = n % 2 ? n : n / 2;
            c->batch[0] = 1;
        }
    }
    if (c->reduction != PAVE_REDUCE_ARGMAX && (c->reduction || c->op == PAVE_OP_MAP)) {
        c->after = draw(2) ? PAVE_LINK_ADD : 0;
        c->residual = (int)draw(2);
    }
    if (c->op != PAVE_OP_GROUPED) {
        c->y_across = draw(4) == 0;
        c->u_across = draw(4) == 0;
    }
}

plan_case draw_case(void) {
    plan_case c = {.device = devices[draw(8)]};
    draw_shape(&c);
    draw_closing(&c);
    c.activation = draw(2) ? PAVE_LINK_SIGMOID : 0;
    c.precision = (int)draw(3);
    c.x_type = 1 + (int)draw(3);
    c.w_type = c.op == PAVE_OP_GROUPED ? c.x_type : 1 + (int)draw(3);
    c.y_type = 1 + (int)draw(3);
    c.packed = c.op != PAVE_OP_MATMUL && c.op != PAVE_OP_GROUPED && draw(2);
    c.shared_w = draw(2);
    c.x_across = draw(4) == 0;
    c.w_across = !c.packed && draw(4) == 0;
    c.pad = (int64_t)draw(3);
    return c;
}
