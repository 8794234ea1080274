/* SPDX-License-Identifier: Apache-2.0
 * The cost model: time = max(arithmetic, L2 traffic, memory traffic) + launch. Every constant that is not in
 * a device's description or a kernel's row stands at the top, with where it is from. */
#include "src/plan/model.h"

#include <math.h>

/* Shared memory that the driver keeps for itself in each block, compute capability 8.0 and up (CUDA C++
 * Programming Guide, "Shared Memory"). */
#define RESERVED_SHARED 1024
/* Share of the L2 that operands can count on to find again; the rest is passing traffic. With 0.75 the model
 * gives 66.4 % hits for the profiled 64×128 layout of docs/planner.md, where 67.1 % and 66.8 % were measured.
 */
#define L2_SHARE 0.75
/* Filling and draining a tile's pipeline costs this many elements of K, or two steps where those are fewer.
 */
#define TILE_OVERHEAD_K 64
/* A step of a main loop waits at least this long for its copy, over the copies it keeps in flight. */
#define STEP_NS 500.0
/* Compute capabilities 8.6 and 8.9 count float32 lanes that integer work shares: cuBLAS reaches 53 of 82.6
 * TFLOP/s on an RTX 4090 but 50 of 66.9 on an H100, so a row keeps this much of its share there. */
#define SHARED_LANES 0.86
/* A dependent 16-byte load a lane, and a row's start, tree and finish: order of a GPU's memory latency. */
#define PASS_NS 600.0
#define ROW_NS 400.0
#define TREE_NS 150.0
/* A CPU's work-group: scheduling, and scalar start and end of a row. */
#define CPU_GROUP_NS 80.0
/* Share of a unit's FMA peak that the element-wise code of reductions and packing reaches. */
#define ELEMENTWISE_SHARE 0.25
/* Reading fragments and writing stages takes the shared memory's time, and this much of it is not hidden
 * behind the matrix units: with 0.5 and a row's 0.92, the 128x128 mma rows come out at 63 % of an H100's
 * mma.sync ceiling, where 62 to 66 % (tf32) and 57 to 63 % (bf16) were measured on 2026-11-23. Ada's matrix
 * units take five times as many clocks for the same bytes, so that there it hardly counts. */
#define SHARED_SHARE 0.5
#define SHARED_BYTES_A_CLOCK 128.0

int pave__type_bytes(int type) {
    switch (type) {
    case PAVE_T_F32:
    case PAVE_T_TF32: return 4;
    case PAVE_T_F16:
    case PAVE_T_BF16: return 2;
    default: return 0;
    }
}

int64_t pave__div_up(int64_t a, int64_t b) {
    return a / b + (a % b != 0);
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

static int units_of(const pave_device_info *device) {
    return device->compute_units > 0 ? device->compute_units : 1;
}

/* A path the device did not state runs at the FMA rate; a device that stated nothing, at 1 GFLOP/s a unit. */
static double peak_of(const pave_device_info *device, int path) {
    if (path >= 0 && path < PAVE_PATH_COUNT && device->flops[path] > 0) return device->flops[path];
    double fma = device->flops[PAVE_PATH_FMA];
    return fma > 0 ? fma : 1e9 * units_of(device);
}

/* What a row's main loop is expected to reach. */
static double sustained_of(const pave_device_info *device, const pave__row *row) {
    bool shared =
        row->path == PAVE_PATH_FMA && (device->compute_capability == 86 || device->compute_capability == 89);
    return peak_of(device, row->path) * row->efficiency * (shared ? SHARED_LANES : 1);
}

static double ns_over(double amount, double rate) {
    return rate > 0 ? amount / rate * 1e9 : 0;
}

/* Memory traffic of A and B for one raster. Tiles run in groups of g row tiles; a group walks all column
 * tiles. The blocks of a wave move through K together, so a wave reads each of its rows and columns once. */
static double operand_bytes(const pave_device_info *device, const pave__row *row, const pave__gemm_load *load,
                            double tiles_m, double tiles_n, double wave, double g, double *wave_bytes) {
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
    *wave_bytes = rows * a_tile + columns * b_tile;
    if (device->l2_bytes == 0) return a_once + b_once;

    double room = L2_SHARE * (double)device->l2_bytes;
    double waves = tiles / wave;
    double group_a = g * a_tile;
    /* A: kept for the group's whole walk where it fits, else read again by each wave. */
    double a = group_a + columns * b_tile <= room ? a_once : fmax(a_once, waves * rows * a_tile);
    /* B: kept from group to group where all of it fits beside a group's A, else read again by each group, and
     * by each wave of a group that is longer than a wave where not even a column tile's worth stays. */
    double b = b_once + group_a <= room ? b_once : ceil(tiles_m / fmax(g, rows)) * b_once;
    if (wave < g && b_tile > room) b = fmax(b, waves * columns * b_tile);
    return a + b;
}

int32_t pave__group_m(const pave_device_info *device, const pave__row *row, const pave__gemm_load *load) {
    double tiles_m = (double)pave__div_up(load->m, row->bm), tiles_n = (double)pave__div_up(load->n, row->bn);
    if (tiles_m < 2 || tiles_n < 2 || load->k == 0) return 1;
    double blocks = (double)units_of(device) * pave__blocks_per_unit(device, row);
    int32_t best = 1;
    double best_bytes = 0, best_wave = 0;
    for (int32_t g = 1; g <= 1024; g *= 2) {
        double wave, bytes = operand_bytes(device, row, load, tiles_m, tiles_n, blocks, g, &wave);
        if (g == 1 || bytes < best_bytes || (bytes <= best_bytes && wave < best_wave)) {
            best = g;
            best_bytes = bytes;
            best_wave = wave;
        }
        if (g >= tiles_m) break;
    }
    return best;
}

/* Waves and tail of `tiles` blocks. */
static void count_waves(const pave_device_info *device, const pave__row *row, int64_t tiles,
                        pave__prediction *p) {
    p->tiles = tiles;
    p->blocks_per_unit = pave__blocks_per_unit(device, row);
    p->waves = (double)tiles / ((double)units_of(device) * p->blocks_per_unit);
    double rest = p->waves - floor(p->waves);
    p->tail = rest > 0 ? rest : 1;
}

static void conclude(const pave_device_info *device, double compute, double latency, double l2, double memory,
                     pave__prediction *p) {
    double busy = fmax(fmax(compute, latency), fmax(l2, memory));
    p->ns = busy + device->launch_ns;
    p->bound = busy < device->launch_ns ? PAVE__BOUND_LAUNCH
               : memory >= busy         ? PAVE__BOUND_MEMORY
               : l2 >= busy             ? PAVE__BOUND_L2
               : compute >= busy        ? PAVE__BOUND_COMPUTE
                                        : PAVE__BOUND_LATENCY;
}

/* Shared-memory time of a tile that is not hidden: each warp reads its rows of both operands, and the block
 * writes each once. The clock follows from the FMA rate: 128 lanes a unit, 64 on capability 8.0. */
static double shared_ns(const pave_device_info *device, const pave__row *row, const pave__gemm_load *load,
                        double padded_k) {
    if (row->path == PAVE_PATH_FMA || row->wm <= 0 || row->wn <= 0) return 0;
    double lanes = device->compute_capability == 80 ? 64 : 128;
    double clock = peak_of(device, PAVE_PATH_FMA) / (units_of(device) * 2 * lanes);
    double warps = (double)(row->bm / row->wm) * (row->bn / row->wn);
    double bytes = (warps * (row->wm + row->wn) + row->bm + row->bn) * padded_k * load->a_bytes;
    return SHARED_SHARE * ns_over(bytes, clock * SHARED_BYTES_A_CLOCK);
}

/* Arithmetic of a gemm with its padding. A GPU's block computes its whole tile, and blocks that share a unit
 * share its rate, so whole tiles a unit are what counts. A CPU's work-item skips the register tiles that lie
 * outside. */
static double gemm_ns(const pave_device_info *device, const pave__row *row, const pave__gemm_load *load,
                      double tiles, double sustained) {
    double units = units_of(device), k = (double)load->k, deep = ceil(tiles / units);
    if (device->kind == PAVE_DEVICE_GPU) {
        double bk = row->bk > 0 ? row->bk : 1;
        double padded_k = ceil(k / bk) * bk + fmin(2 * bk, TILE_OVERHEAD_K);
        return deep * (ns_over(2.0 * row->bm * row->bn * padded_k, sustained / units) +
                       shared_ns(device, row, load, padded_k));
    }
    int wm = row->wm > 0 ? row->wm : 1, wn = row->wn > 0 ? row->wn : 1;
    double m = (double)pave__div_up(load->m, wm) * wm, n = (double)pave__div_up(load->n, wn) * wn;
    return ns_over(2.0 * m * n * k, sustained) * (deep * units / tiles);
}

pave__prediction pave__model_gemm(const pave_device_info *device, const pave__row *row,
                                  const pave__gemm_load *load, int32_t group_m) {
    pave__prediction p = {0};
    int64_t tiles_m = pave__div_up(load->m, row->bm), tiles_n = pave__div_up(load->n, row->bn);
    double tiles = (double)tiles_m * (double)tiles_n;
    count_waves(device, row, tiles < 9e18 ? tiles_m * tiles_n : INT64_MAX, &p);
    p.flops = 2.0 * (double)load->m * (double)load->n * (double)load->k;

    double units = units_of(device), sustained = sustained_of(device, row);
    double bk = row->bk > 0 ? row->bk : 1;
    double compute = gemm_ns(device, row, load, tiles, sustained);

    double wave_bytes;
    double k_bytes = tiles * (double)load->k;
    p.bytes_l2 = k_bytes * row->bm * load->a_bytes + k_bytes * row->bn * load->b_bytes + load->out_bytes;
    p.bytes_memory =
        fmin(p.bytes_l2, load->out_bytes + operand_bytes(device, row, load, (double)tiles_m, (double)tiles_n,
                                                         units * p.blocks_per_unit, group_m, &wave_bytes));
    /* A wave that fills few units cannot draw more of the L2 than they ask for; memory they can saturate. */
    double filled = fmin(1.0, tiles / units);
    double in_flight = row->stages > 2 ? row->stages - 1 : 1;
    double latency = device->kind == PAVE_DEVICE_GPU
                         ? ceil(p.waves) * ceil((double)load->k / bk) * STEP_NS / in_flight
                         : 0;
    conclude(device, compute, latency, ns_over(p.bytes_l2, device->l2_bytes_per_s * filled),
             ns_over(p.bytes_memory, device->memory_bytes_per_s), &p);
    double busy = p.ns - device->launch_ns;
    p.utilisation = busy > 0 ? fmin(1.0, ns_over(p.flops, sustained) / busy) : 0;
    return p;
}

pave__prediction pave__model_rows(const pave_device_info *device, const pave__row *row,
                                  const pave__row_load *load) {
    pave__prediction p = {0};
    int rows_per_block = row->bm > 0 ? row->bm : 1;
    count_waves(device, row, pave__div_up(load->rows, rows_per_block), &p);
    double elems = (double)load->rows * (double)load->cols;
    p.flops = elems * load->flops_per_elem;
    p.bytes_memory = elems * load->elem_bytes + load->out_bytes;
    p.bytes_l2 = p.bytes_memory;

    double units = units_of(device);
    double rate = peak_of(device, PAVE_PATH_FMA) * ELEMENTWISE_SHARE;
    double blocks_deep = ceil((double)p.tiles / units), compute, latency = 0;
    if (device->kind == PAVE_DEVICE_GPU) {
        double lanes = fmax(1, row->threads / rows_per_block);
        double per_load = load->elem_bytes < 16 ? 16.0 / load->elem_bytes : 1;
        double passes = ceil((double)load->cols / (lanes * per_load));
        double row_ns = ROW_NS + TREE_NS * log2(lanes) + passes * PASS_NS;
        latency = ceil(p.waves) * row_ns;
        compute = ns_over(p.flops, rate);
    } else {
        double block_flops = (double)rows_per_block * (double)load->cols * load->flops_per_elem;
        compute = blocks_deep * (CPU_GROUP_NS + ns_over(block_flops, rate / units));
    }
    conclude(device, compute, latency, ns_over(p.bytes_l2, device->l2_bytes_per_s),
             ns_over(p.bytes_memory, device->memory_bytes_per_s), &p);
    /* What streams is measured against the memory's rate, its own ceiling. */
    double busy = p.ns - device->launch_ns;
    p.utilisation = busy > 0 ? fmin(1.0, ns_over(p.bytes_memory, device->memory_bytes_per_s) / busy) : 0;
    return p;
}

pave__prediction pave__model_pack(const pave_device_info *device, const pave__row *row,
                                  const pave__row_load *load) {
    pave__prediction p = {0};
    int64_t chunk = row->bn > 0 ? row->bn : 1;
    int64_t chunks = load->cols > 0 ? pave__div_up(load->cols, chunk) : 1;
    double tiles = (double)chunks * (double)load->rows;
    count_waves(device, row, tiles < 9e18 ? chunks * load->rows : INT64_MAX, &p);
    double elems = (double)load->rows * (double)load->cols;
    p.flops = elems * load->flops_per_elem;
    p.bytes_memory = elems * load->elem_bytes + load->out_bytes;
    p.bytes_l2 = p.bytes_memory;
    int gpu = device->kind == PAVE_DEVICE_GPU;
    double compute = ns_over(p.flops, peak_of(device, PAVE_PATH_FMA) * ELEMENTWISE_SHARE);
    double latency = gpu ? ceil(p.waves) * (ROW_NS + PASS_NS) : ceil(tiles / units_of(device)) * CPU_GROUP_NS;
    conclude(device, compute, latency, ns_over(p.bytes_l2, device->l2_bytes_per_s),
             ns_over(p.bytes_memory, device->memory_bytes_per_s), &p);
    double busy = p.ns - device->launch_ns;
    p.utilisation = busy > 0 ? fmin(1.0, ns_over(p.bytes_memory, device->memory_bytes_per_s) / busy) : 0;
    return p;
}
