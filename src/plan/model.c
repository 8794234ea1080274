/* SPDX-License-Identifier: Apache-2.0
 * The cost model of products, and what it shares with that of rows (model_rows.c): time = max(arithmetic, latency, L2
 * traffic, memory traffic) + launch. Every constant that is not in a device's description or a kernel's row stands at the
 * top of its file, with where it is from. */
#include "src/plan/model.h"

#include <math.h>

/* Shared memory that the driver keeps for itself in each block, compute capability 8.0 and up (CUDA C++
 * Programming Guide, "Shared Memory"). */
#define RESERVED_SHARED 1024
/* Filling and draining a tile's pipeline costs this many elements of K, or two steps where those are fewer.
 */
#define TILE_OVERHEAD_K 64
/* A step of a main loop waits at least this long for its copy, over the copies it keeps in flight, and this long at its
 * barrier and for the first fragments and products behind it: 64 steps of one wave took 26 us on an H100 (1x4096x4096 in
 * bfloat16, 2026-11-23). */
#define STEP_NS 500.0
#define TURN_NS 160.0
/* Where B goes straight to registers: a step of each of a unit's blocks, beside A's bytes through the L1, and what a tile takes
 * at its end for each value, which blocks that run in step do not hide from each other. From an H200, 2026-11-29, at 4096x4096 and
 * 14336x4096: few_8x16 at 8 rows of A in bfloat16, dot_8x4 at 4 and 8 in float32 (docs/planner.md). */
#define DIRECT_NS 910.0
#define JOIN_CLOCKS 4.0
/* A block that joins slices has its own written, counts itself, and waits for what it then reads; by what joining took beside a
 * launch that adds on an H200, 2026-12-01 (docs/planner.md). */
#define JOINED_NS 2200.0
/* A launch on the matrix units waits for its first operands before any step, and ends with its last values' way to memory: what
 * 1024x1024x1024 and 64 to 512 rows of 4096x4096 took beside their steps on an H200, 2026-12-01 (docs/planner.md). */
#define FIRST_NS 700.0
/* Compute capabilities 8.6 and 8.9 count float32 lanes that integer work shares: cuBLAS reaches 53 of 82.6
 * TFLOP/s on an RTX 4090 but 50 of 66.9 on an H100, so a row keeps this much of its share there. */
#define SHARED_LANES 0.86
/* Reading fragments and writing stages takes the shared memory's time, and this much of it is not hidden
 * behind the matrix units: with 0.5 and a row's 0.92, the 128x128 mma rows come out at 63 % of an H100's
 * mma.sync ceiling, where 62 to 66 % (tf32) and 57 to 63 % (bf16) were measured on 2026-11-23. Ada's matrix
 * units take five times as many clocks for the same bytes, so that there it hardly counts. */
#define SHARED_SHARE 0.5
#define SHARED_BYTES_A_CLOCK 128.0
/* Fewer warps than these in a unit do not hide their fragments' loads from each other, and a step takes as many times longer:
 * 512x4096x4096 in bfloat16, a 128x128 tile of four warps a unit, took 67 us on an H200, 0.51 a step, 2026-11-29. */
#define WARPS_BUSY 8
#define LONE_SLOWDOWN 1.25
/* Clocks that a unit's epilogue takes for each value of a tile, with a bias and one activation, where no other block of the
 * unit multiplies beside it: 256x128 mma tiles on an H100, 2026-11-25. */
#define EPILOGUE_CLOCKS 0.2
/* The least that memory moves for an element that has no neighbour in use: a GPU's sector, a CPU's line. */
#define SECTOR_BYTES 32
#define LINE_BYTES 64

int pave__type_bytes(int type) {
    switch (type) {
    case PAVE_T_F32:
    case PAVE_T_I32:
    case PAVE_T_F16X2:
    case PAVE_T_TF32: return 4;
    case PAVE_T_F16:
    case PAVE_T_F16S:
    case PAVE_T_BF16: return 2;
    case PAVE_T_E4M3:
    case PAVE_T_E5M2: return 1;
    default: return 0;
    }
}

bool pave__has_scales(int type) {
    return type == PAVE_T_F16S || type == PAVE_T_F16X2;
}

int64_t pave__scale_elems(int type) {
    return pave__has_scales(type) ? pave__type_bytes(PAVE_T_F32) / pave__type_bytes(type) : 0;
}

int64_t pave__div_up(int64_t a, int64_t b) {
    return a / b + (a % b != 0);
}

int64_t pave__times(int64_t a, int64_t b) {
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

int64_t pave__batches(const int64_t batch[PAVE_BATCH_DIMS]) {
    int64_t count = 1;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++) count = pave__times(count, batch[d] > 0 ? batch[d] : 1);
    return count;
}

int pave__reach_bytes(const pave_device_info *device, int64_t stride, int elem_bytes) {
    int line = device->kind == PAVE_DEVICE_GPU ? SECTOR_BYTES : LINE_BYTES;
    uint64_t apart = stride < 0 ? 0 - (uint64_t)stride : (uint64_t)stride;
    if (apart <= 1) return elem_bytes;
    return apart >= (uint64_t)(line / elem_bytes) ? line : (int)apart * elem_bytes;
}

static int least(int a, int64_t b) {
    return b < a ? (int)b : a;
}

int pave__blocks_per_unit(const pave_device_info *device, const pave__row *row) {
    if (device->kind != PAVE_DEVICE_GPU) return 1;
    int blocks = device->blocks_per_unit > 0 ? device->blocks_per_unit : 16;
    int threads = row->threads > 0 ? row->threads : 1;
    if (device->threads_per_unit > 0) blocks = least(blocks, device->threads_per_unit / threads);
    if (device->shared_bytes_per_unit && row->shared_bytes)
        blocks =
            least(blocks, (int64_t)(device->shared_bytes_per_unit / (row->shared_bytes + RESERVED_SHARED)));
    if (device->registers_per_unit > 0 && row->registers > 0) {
        /* Registers are given out by the warp, 8 a thread at a time. */
        int64_t per_block = (int64_t)((row->registers + 7) / 8 * 8) * ((threads + 31) / 32 * 32);
        blocks = least(blocks, device->registers_per_unit / per_block);
    }
    return blocks > 0 ? blocks : 1;
}

int pave__units(const pave_device_info *device) {
    return device->compute_units > 0 ? device->compute_units : 1;
}

/* A path the device did not state runs at the FMA rate; a device that stated nothing, at 1 GFLOP/s a unit. */
double pave__peak(const pave_device_info *device, int path) {
    if (path >= 0 && path < PAVE_PATH_COUNT && device->flops[path] > 0) return device->flops[path];
    double fma = device->flops[PAVE_PATH_FMA];
    return fma > 0 ? fma : 1e9 * pave__units(device);
}

/* What a row's main loop is expected to reach. */
static double sustained_of(const pave_device_info *device, const pave__row *row) {
    bool shared =
        row->path == PAVE_PATH_FMA && (device->compute_capability == 86 || device->compute_capability == 89);
    return pave__peak(device, row->path) * row->efficiency * (shared ? SHARED_LANES : 1);
}

double pave__ns_over(double amount, double rate) {
    return rate > 0 ? amount / rate * 1e9 : 0;
}

/* What a raster makes of one matrix: memory traffic of each operand, and what a wave's blocks hold at a time. */
typedef struct traffic {
    double a, b, wave;
} traffic;

/* Tiles run in groups of g row tiles; a group walks all column tiles. The blocks of a wave move through K together, so a
 * wave reads each of its rows and columns once. */
static traffic operand_bytes(const pave_device_info *device, const pave__row *row,
                             const pave__gemm_load *load, double wave, double g) {
    double tiles_m = (double)pave__div_up(load->m, row->bm), tiles_n = (double)pave__div_up(load->n, row->bn);
    double a_tile = (double)row->bm * (double)load->k * load->a_bytes;
    double b_tile = (double)row->bn * (double)load->k * load->b_bytes;
    double a_once = (double)load->m * (double)load->k * load->a_bytes;
    double b_once = (double)load->n * (double)load->k * load->b_bytes;
    double tiles = tiles_m * tiles_n;
    if (wave > tiles) wave = tiles;
    if (g > tiles_m) g = tiles_m;
    double rows = wave < g ? wave : g;
    double columns = ceil(wave / rows);
    if (columns > tiles_n) { /* the wave runs into the next groups */
        rows = fmin(tiles_m, ceil(wave / tiles_n));
        columns = tiles_n;
    }
    traffic t = {a_once, b_once, rows * a_tile + columns * b_tile};
    if (device->l2_bytes == 0) return t;

    double room = PAVE__L2_SHARE * (double)device->l2_bytes;
    double waves = tiles / wave;
    double group_a = g * a_tile;
    /* A: kept for the group's whole walk where it fits, else read again by each wave; what is read directly says of B that it
     * is met once. */
    if (!row->direct && group_a + columns * b_tile > room) t.a = fmax(a_once, waves * rows * a_tile);
    /* B: kept from group to group where all of it fits beside a group's A, else read again by each group, and
     * by each wave of a group that is longer than a wave where not even a column tile's worth stays. */
    if (b_once + group_a > room) t.b = ceil(tiles_m / fmax(g, rows)) * b_once;
    if (wave < g && b_tile > room) t.b = fmax(t.b, waves * columns * b_tile);
    return t;
}

/* One matrix's traffic over the whole batch: where an operand stays the same, it is read again only if what lies between
 * did not leave it in the L2. */
static double over_batch(const pave_device_info *device, const pave__gemm_load *load, const bool *same,
                         double once, double bytes) {
    double room = PAVE__L2_SHARE * (double)device->l2_bytes;
    for (int d = PAVE_BATCH_DIMS - 1; d >= 0; d--) {
        double extent = load->batch[d] > 0 ? (double)load->batch[d] : 1;
        if (!same[d] || once > room) bytes *= extent;
        if (!same[d]) once *= extent;
    }
    return bytes;
}

/* Groups as a batch of matrices that share nothing and have the average's rows. */
static pave__gemm_load without_groups(const pave__gemm_load *load) {
    pave__gemm_load one = *load;
    if (load->groups > 0) {
        one.m = pave__div_up(load->m, load->groups);
        one.batch[0] = load->groups;
    }
    return one;
}

int64_t pave__gemm_tiles(const pave__row *row, const pave__gemm_load *load) {
    int64_t tiles_n = pave__div_up(load->n, row->bn), tiles_m = pave__div_up(load->m, row->bm);
    if (load->groups <= 0) return pave__times(pave__times(tiles_m, tiles_n), pave__batches(load->batch));
    /* One group has the most rows, and the others share the rest. */
    int64_t most = load->group_rows < load->m ? load->group_rows : load->m;
    int64_t others = load->groups > 1 ? load->groups - 1 : 1;
    tiles_m = pave__div_up(most, row->bm) +
              pave__times(pave__div_up(pave__div_up(load->m - most, others), row->bm), others);
    return pave__times(tiles_m, tiles_n);
}

int32_t pave__group_m(const pave_device_info *device, const pave__row *row, const pave__gemm_load *all) {
    pave__gemm_load one = without_groups(all);
    double tiles_m = (double)pave__div_up(one.m, row->bm);
    if (tiles_m < 2 || one.n <= row->bn || one.k == 0) return 1;
    double blocks = (double)pave__units(device) * pave__blocks_per_unit(device, row);
    int32_t best = 1;
    double best_bytes = 0, best_wave = 0;
    for (int32_t g = 1; g <= 1024; g *= 2) {
        traffic t = operand_bytes(device, row, &one, blocks, g);
        if (g == 1 || t.a + t.b < best_bytes || (t.a + t.b <= best_bytes && t.wave < best_wave)) {
            best = g;
            best_bytes = t.a + t.b;
            best_wave = t.wave;
        }
        if (g >= tiles_m) break;
    }
    return best;
}

/* Waves and tail of `tiles` blocks. */
void pave__count_waves(const pave_device_info *device, const pave__row *row, int64_t tiles,
                       pave__prediction *p) {
    p->tiles = tiles;
    p->blocks_per_unit = pave__blocks_per_unit(device, row);
    p->waves = (double)tiles / ((double)pave__units(device) * p->blocks_per_unit);
    double rest = p->waves - floor(p->waves);
    p->tail = rest > 0 ? rest : 1;
}

/* A launch that fills few units cannot draw more of the L2 than they ask for; memory they can saturate. */
static double l2_ns(const pave_device_info *device, const pave__prediction *p) {
    double filled = fmin(1.0, (double)p->tiles / pave__units(device));
    return pave__ns_over(p->bytes_l2, device->l2_bytes_per_s * filled);
}

void pave__conclude(const pave_device_info *device, double compute, double latency, pave__prediction *p) {
    double l2 = l2_ns(device, p);
    double memory = pave__ns_over(p->bytes_memory, device->memory_bytes_per_s);
    double busy = fmax(fmax(compute, latency), fmax(l2, memory));
    p->ns = busy + device->launch_ns;
    p->bound = busy < device->launch_ns ? PAVE__BOUND_LAUNCH
               : memory >= busy         ? PAVE__BOUND_MEMORY
               : l2 >= busy             ? PAVE__BOUND_L2
               : compute >= busy        ? PAVE__BOUND_COMPUTE
                                        : PAVE__BOUND_LATENCY;
}

/* A unit's clock, which follows from the FMA rate: 128 lanes a unit, 64 on capability 8.0. */
double pave__clock(const pave_device_info *device) {
    double lanes = device->compute_capability == 80 ? 64 : 128;
    return pave__peak(device, PAVE_PATH_FMA) / (pave__units(device) * 2 * lanes);
}

/* A tile's epilogue, where it is not hidden. */
static double epilogue_ns(const pave_device_info *device, const pave__row *row) {
    if (row->path == PAVE_PATH_FMA || pave__blocks_per_unit(device, row) > 1) return 0;
    return pave__ns_over(EPILOGUE_CLOCKS * row->bm * row->bn, pave__clock(device));
}

/* Shared-memory time of a tile that is not hidden: each warp reads its rows of both operands, and the block
 * writes each once. */
static double shared_ns(const pave_device_info *device, const pave__row *row, const pave__gemm_load *load,
                        double padded_k) {
    if (row->path == PAVE_PATH_FMA || row->direct || row->wm <= 0 || row->wn <= 0) return 0;
    double warps = (double)(row->bm / row->wm) * (row->bn / row->wn);
    double bytes = (warps * (row->wm + row->wn) + row->bm + row->bn) * padded_k * load->a_bytes;
    return SHARED_SHARE * pave__ns_over(bytes, pave__clock(device) * SHARED_BYTES_A_CLOCK);
}

/* Tiles of the unit that has the most, and how many of them it has at a time. */
static double tiles_a_unit(const pave_device_info *device, double tiles) {
    return ceil(tiles / pave__units(device));
}

static double tiles_at_once(const pave_device_info *device, const pave__prediction *p) {
    return fmax(1, fmin(tiles_a_unit(device, (double)p->tiles), p->blocks_per_unit));
}

/* Times that a unit starts on as many tiles as it has at once. */
static double turns_of(const pave_device_info *device, const pave__prediction *p) {
    return ceil(tiles_a_unit(device, (double)p->tiles) / tiles_at_once(device, p));
}

/* Time that a GPU's blocks wait for their operands, one step after the other. Where they go straight to registers A is read a step
 * ahead at most, whatever of B is under way, and one step more fills the ring; tiles of the matrix units are whole ones. */
static double waiting_ns(const pave_device_info *device, const pave__row *row, const pave__gemm_load *load,
                         const pave__prediction *p) {
    double bk = row->bk > 0 ? row->bk : 1, steps = ceil((double)load->k / bk);
    if (device->kind != PAVE_DEVICE_GPU) return 0;
    if (row->direct) {
        double rows = row->path == PAVE_PATH_FMA ? fmin(row->bm, (double)load->m) : row->bm;
        double a_bytes = tiles_at_once(device, p) * rows * bk * load->a_bytes;
        return turns_of(device, p) * (steps + 1) *
               (DIRECT_NS + pave__ns_over(a_bytes, pave__clock(device) * SHARED_BYTES_A_CLOCK));
    }
    double in_flight = row->stages > 2 ? row->stages - 1 : 1;
    bool lone = row->path != PAVE_PATH_FMA && tiles_at_once(device, p) * row->threads < 32 * WARPS_BUSY;
    return ceil(p->waves) * steps * (STEP_NS / in_flight + TURN_NS) * (lone ? LONE_SLOWDOWN : 1);
}

/* What joining slices takes: each block's own sums, and the last one's look at all of them. */
static double joined_ns(const pave_device_info *device, const pave__row *row, const pave__gemm_load *load) {
    if (load->joined <= 0) return 0;
    double bytes = (double)(load->joined + 1) * row->bm * row->bn * pave__type_bytes(PAVE_T_F32);
    return JOINED_NS + pave__ns_over(bytes, device->l2_bytes_per_s / pave__units(device));
}

/* Memory that is busy answers later than a unit's steps count on, and steps that multiply, wait or read the L2 leave it idle: where
 * both take about as long they take longer together, and the root of both squares says how much. */
static double meeting_ns(const pave_device_info *device, double steps, const pave__prediction *p) {
    if (device->kind != PAVE_DEVICE_GPU) return 0;
    double memory = pave__ns_over(p->bytes_memory, device->memory_bytes_per_s);
    return hypot(steps, memory) - fmax(steps, memory);
}

/* What is left to do when a direct row's tiles have come to the end of k. */
static double joining_ns(const pave_device_info *device, const pave__row *row, const pave__prediction *p) {
    double values = (double)row->bm * row->bn * tiles_at_once(device, p);
    if (!row->direct) return 0;
    return turns_of(device, p) * pave__ns_over(JOIN_CLOCKS * values, pave__clock(device));
}

static double first_ns(const pave_device_info *device, const pave__row *row) {
    return device->kind == PAVE_DEVICE_GPU && row->path != PAVE_PATH_FMA && !row->direct ? FIRST_NS : 0;
}

/* What tiles ask of the L2: the operands of each, but for A's rows that those of a unit with the same ones find in the L1. */
static double l2_bytes(const pave_device_info *device, const pave__row *row, const pave__gemm_load *one,
                       const pave__prediction *p) {
    double rows = row->bm, k_bytes = (double)p->tiles * (double)one->k;
    if (row->direct)
        rows = fmin(rows, (double)one->m) /
               fmax(1, fmin(tiles_at_once(device, p), (double)pave__div_up(one->n, row->bn)));
    return k_bytes * rows * one->a_bytes + k_bytes * row->bn * one->b_bytes + one->out_bytes;
}

/* Arithmetic of a gemm with its padding. A GPU's block computes its whole tile, and blocks that share a unit
 * share its rate, so whole tiles a unit are what counts. A CPU's work-item skips the register tiles that lie
 * outside. */
static double gemm_ns(const pave_device_info *device, const pave__row *row, const pave__gemm_load *load,
                      double tiles, double sustained) {
    double units = pave__units(device), k = (double)load->k, deep = tiles_a_unit(device, tiles);
    if (device->kind == PAVE_DEVICE_GPU) {
        double bk = row->bk > 0 ? row->bk : 1;
        double padded_k = ceil(k / bk) * bk + fmin(2 * bk, TILE_OVERHEAD_K);
        return deep * (pave__ns_over(2.0 * row->bm * row->bn * padded_k, sustained / units) +
                       shared_ns(device, row, load, padded_k) + epilogue_ns(device, row));
    }
    int wm = row->wm > 0 ? row->wm : 1, wn = row->wn > 0 ? row->wn : 1;
    double m = (double)pave__div_up(load->m, wm) * wm, n = (double)pave__div_up(load->n, wn) * wn;
    return pave__ns_over(2.0 * m * n * k * (double)pave__batches(load->batch), sustained) *
           (deep * units / tiles);
}

pave__prediction pave__model_gemm(const pave_device_info *device, const pave__row *row,
                                  const pave__gemm_load *load, int32_t group_m) {
    pave__prediction p = {0};
    pave__gemm_load one = without_groups(load);
    pave__count_waves(device, row, pave__gemm_tiles(row, load), &p);
    double tiles = (double)p.tiles, units = pave__units(device), sustained = sustained_of(device, row);
    p.flops = 2.0 * (double)load->m * (double)load->n * (double)load->k * (double)pave__batches(load->batch);
    double compute = gemm_ns(device, row, &one, tiles, sustained);

    traffic t = operand_bytes(device, row, &one, units * p.blocks_per_unit, group_m);
    p.bytes_l2 = l2_bytes(device, row, &one, &p);
    if (load->joined > 0) p.bytes_l2 += 2 * tiles * row->bm * row->bn * pave__type_bytes(PAVE_T_F32);
    double a_once = (double)one.m * (double)one.k * load->a_bytes;
    double b_once = (double)one.n * (double)one.k * load->b_bytes;
    p.bytes_memory = fmin(p.bytes_l2, load->out_bytes + over_batch(device, &one, load->a_same, a_once, t.a) +
                                          over_batch(device, &one, load->b_same, b_once, t.b));
    double waiting = waiting_ns(device, row, &one, &p);
    pave__conclude(device, compute, waiting, &p);
    double l2 =
        row->direct
            ? 0
            : l2_ns(device, &p); /* of which A is the smaller part, and most of that found in the L1 */
    p.ns += meeting_ns(device, fmax(fmax(compute, waiting), l2), &p);
    p.ns += first_ns(device, row) + joining_ns(device, row, &p) + joined_ns(device, row, load);
    double busy = p.ns - device->launch_ns;
    p.utilisation = busy > 0 ? fmin(1.0, pave__ns_over(p.flops, sustained) / busy) : 0;
    return p;
}
