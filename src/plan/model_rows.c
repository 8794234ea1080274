/* SPDX-License-Identifier: Apache-2.0
 * The cost model of launches that stream rows: map, reduce, join, normalize. What they cost is mostly how their operands lie,
 * so that a step's strides choose between rows that walk along a row and rows that walk across them. */
#include "src/plan/model.h"

#include "kernels/reduce/rows.h"

#include <math.h>

/* A dependent load a lane, and a row's start, tree and finish: order of a GPU's memory latency. */
#define PASS_NS 600.0
/* The same of four loads a lane or fewer, while memory is busy with all units': 64 blocks of 256 threads with four each stay
 * under a GPU's memory rate. More of them take as much longer. */
#define ROUND_NS 1200.0
#define ROUND_LOADS 4
/* What adds slices of k waits for all of them, and for sums that were only just written, and reads them at this rate: 4 to 17 MB at
 * 64 to 512 rows of 4096x4096 in bfloat16 on an H200, 2026-11-29. */
#define SUM_NS 1600.0
#define SUM_BYTES_PER_S 4e12
/* What packs with scales has its rows' largest values to find before it stores, and a product waits for all of it: 3.6 to 6.7 us
 * for 1 to 1024 rows there, the launch included. */
#define SCALE_NS 2500.0
#define ROW_NS 400.0
#define TREE_NS 40.0
/* Bytes of a lane's load along contiguous rows, and the loads in flight where it takes one value at a time. */
#define LOAD_BYTES 16
#define LOADS_ACROSS 4
#define TERMS_AT_ONCE 8
/* A CPU's work-group: scheduling, and scalar start and end of a row. */
#define CPU_GROUP_NS 80.0
/* Clocks of a unit for each element of rows that no load of several meets: 3072x1111 took 16 us on an H200, 2026-11-29, from bfloat16
 * to rows that are aligned and from float32 to scaled float16. */
#define ELEMENT_CLOCKS 1.0
/* Share of a unit's FMA peak that element-wise code reaches, and the operations an element beside it: exponentials' own few
 * are in a reduction's. */
#define ELEMENTWISE_SHARE 0.25
#define REDUCE_FLOPS 16
#define MAP_FLOPS 1
#define STATE_BYTES 8
/* A split row's part is worth a block of its own from here on, and starts on a multiple of this many. */
#define SLICE_LEAST 4096
#define SLICE_STEP 256
/* Several waves of slices even out at their end, as long as a row's states are a join's to read at once. */
#define SLOTS_EVEN 256
/* Columns of a slice that a block of a team is worth having for; what a step of its blocks takes, whose warps meet, and each value
 * of a thread besides (2.2 us of 15 float32 values, 3.1 of 31 bfloat16 on an H200, 2026-12-01); and the rows of a team that the L2
 * has to hold where a slice is read again: x, and what is written meanwhile. */
#define TEAM_LEAST 1024
#define STEP_NS 1200.0
#define STEP_VALUE_NS 65.0
#define ROWS_BETWEEN 2.5
/* Blocks that a unit of a CPU wants for evening out. */
#define CPU_BLOCKS_PER_UNIT 4

static int64_t columns(const pave__step *s, pave__family family) {
    return family == PAVE__JOIN ? s->slots : family == PAVE__REDUCE ? s->n : s->k;
}

/* Elements that a value is made of: a map may add several. */
static double terms(const pave__step *s, pave__family family) {
    return family == PAVE__MAP && s->slots > 0 ? (double)s->slots : 1;
}

/* Parts that a row is cut into, each a block's: of a split reduction, or slices. */
static int64_t parts_of(const pave__step *s, pave__family family) {
    bool cut = family == PAVE__REDUCE || family == PAVE__NORMALIZE;
    return cut && s->slots > 0 ? s->slots : 1;
}

/* What each pass over a row that a lane depends on is: normalize's mean, deviations and result. */
static int sweeps(const pave__step *s, pave__family family) {
    if (family != PAVE__NORMALIZE) return 1;
    return s->reduction == PAVE_REDUCE_NORMALIZE ? 3 : 2;
}

static int64_t lanes_of(const pave__row *row) {
    int64_t lanes = row->lanes > 0 ? row->lanes : row->threads / (row->bm > 0 ? row->bm : 1);
    return lanes > 0 ? lanes : 1;
}

/* Values of a row that its lanes have under way at once, of `elem` bytes where columns are 1 apart. Across, a load takes one of
 * each of four rows. */
static int64_t round_of(const pave__row *row, int elem) {
    int64_t loads = row->loads > 0 ? row->loads : row->layout == PAVE__LAYOUT_ACROSS ? LOADS_ACROSS : 1;
    if (row->layout == PAVE__LAYOUT_ACROSS) return lanes_of(row) * loads;
    bool quads = row->loads > 0 && row->family == PAVE__NORMALIZE;
    return lanes_of(row) * loads * (quads ? 4 : LOAD_BYTES / elem);
}

/* Columns that are worked on in place of `cols`: whole rounds. */
static double padded(const pave__row *row, const pave__step *s, double cols) {
    if (row->loads == 0) return cols;
    double round = (double)round_of(row, pave__type_bytes(s->in0.type));
    return ceil(cols / round) * round;
}

/* Columns that a row holds until it knows all of its states: in registers, as float32, or in shared memory as they lie. */
static int64_t held_of(const pave__row *row, const pave__step *s) {
    int64_t floats = round_of(row, pave__type_bytes(PAVE_T_F32));
    return row->slices ? floats * 4 / pave__type_bytes(s->in0.type) : floats;
}

/* Rounds of its lanes that a row's columns, or those of a slice of it, take. */
static int64_t rounds_of(const pave__row *row, const pave__step *s) {
    return pave__div_up(row->slices ? s->slice : s->k, held_of(row, s));
}

/* How often a row is read: once where registers, or a team's shared memory, hold it between its sweeps. */
static int reads(const pave__row *row, const pave__step *s) {
    bool held = row->loads > 0 && rounds_of(row, s) <= 1;
    return held ? 1 : sweeps(s, row->family);
}

static int64_t rows_of(const pave__step *s) {
    return pave__times(pave__batches(s->batch), s->m);
}

static int64_t blocks_at_once(const pave_device_info *device, const pave__row *row) {
    return (int64_t)pave__units(device) * pave__blocks_per_unit(device, row);
}

/* Teams of blocks that share rows: as many as all run at once. */
static int64_t teams_of(const pave_device_info *device, const pave__row *row, const pave__step *s) {
    int64_t rows = rows_of(s), most = s->slots > 0 ? blocks_at_once(device, row) / s->slots : 1;
    return most < 1 ? 1 : most < rows ? most : rows;
}

/* A CPU's rows for reductions and normalizations are both kinds in one: where rows lie closer together than columns do, they
 * take a vector of neighbouring ones at a time. */
static int64_t strip(const pave_device_info *device, const pave__row *row, const pave__step *s) {
    bool both = device->kind == PAVE_DEVICE_CPU && row->layout == PAVE__LAYOUT_ROWS &&
                (row->family == PAVE__REDUCE || row->family == PAVE__NORMALIZE);
    bool closer = pave__reach_bytes(device, s->in0.row, 1) < pave__reach_bytes(device, s->in0.col, 1);
    return both && closer && s->m >= device->vector_width && device->vector_width > 0 ? device->vector_width
                                                                                      : 1;
}

void pave__row_tile(const pave__row *row, const pave__step *s, int64_t *bm, int64_t *bn) {
    *bm = row->bm > 0 ? row->bm : 1;
    *bn = row->bn > 0 ? row->bn : 1;
    if (row->family == PAVE__MAP && pave__has_scales(row->b_type))
        *bn = s->n > 0 ? s->n : 1; /* of which bn are under way */
    if (row->family != PAVE__MAP || row->layout != PAVE__LAYOUT_ROWS || *bm == 1) return;
    if (s->m < *bm) {
        *bn *= *bm;
        *bm = 1;
        return;
    }
    for (; *bn > 4 && *bn / 2 >= s->n; *bn /= 2) *bm *= 2;
}

int64_t pave__rows_tiles(const pave_device_info *device, const pave__row *row, const pave__step *s) {
    int64_t batches = pave__batches(s->batch), bm, bn;
    pave__row_tile(row, s, &bm, &bn);
    if (row->family == PAVE__MAP)
        return pave__times(batches, pave__times(pave__div_up(s->m, bm), pave__div_up(s->n, bn)));
    int64_t parts = parts_of(s, row->family);
    if (row->slices) return pave__times(parts, teams_of(device, row, s));
    int64_t tile = pave__times(bm, strip(device, row, s));
    return pave__times(pave__times(batches, parts), pave__div_up(s->m, tile));
}

/* The stride between values that `row` takes at a time. */
static int64_t x_stride(const pave_device_info *device, const pave__row *row, const pave__step *s) {
    if (row->layout == PAVE__LAYOUT_ANY) return 1;
    return row->layout == PAVE__LAYOUT_ACROSS || strip(device, row, s) > 1 ? s->in0.row : s->in0.col;
}

static int64_t y_stride(const pave_device_info *device, const pave__row *row, const pave__step *s) {
    if (row->layout == PAVE__LAYOUT_ANY || row->family == PAVE__REDUCE || row->family == PAVE__JOIN) return 1;
    bool across = row->layout == PAVE__LAYOUT_ACROSS || strip(device, row, s) > 1;
    return across && row->family == PAVE__NORMALIZE ? s->out.row : s->out.col;
}

/* The share of an operand's elements that are distinct: what repeats is read once. */
static double distinct(const pave__step *s, const pave__ref *ref, int64_t cols) {
    double share = 1;
    for (int d = 0; d < PAVE_BATCH_DIMS; d++)
        if (ref->batch[d] == 0 && s->batch[d] > 1) share /= (double)s->batch[d];
    if (ref->row == 0 && s->m > 1) share /= (double)s->m;
    if (ref->col == 0 && cols > 1) share /= (double)cols;
    return share;
}

static void count_bytes(const pave_device_info *device, const pave__row *row, const pave__step *s,
                        pave__prediction *p) {
    double rows = (double)pave__batches(s->batch) * (double)s->m, in, once, out;
    int64_t cols = columns(s, row->family);
    int passes = reads(row, s);
    if (row->family == PAVE__JOIN) {
        in = once = rows * (double)cols * STATE_BYTES;
    } else {
        in = rows * (double)cols * terms(s, row->family) *
             pave__reach_bytes(device, x_stride(device, row, s), pave__type_bytes(s->in0.type));
        once = in * distinct(s, &s->in0, cols);
    }
    /* Partial sums were written just before. */
    if (row->family == PAVE__MAP && s->slots > 0 && in <= PAVE__L2_SHARE * (double)device->l2_bytes) once = 0;
    int elem = pave__type_bytes(s->out.type);
    if (row->family == PAVE__REDUCE && s->slots > 0)
        out = rows * (double)s->slots * STATE_BYTES;
    else if (row->family == PAVE__REDUCE || row->family == PAVE__JOIN)
        out = rows * elem;
    else
        out = rows * (double)s->n * pave__reach_bytes(device, y_stride(device, row, s), elem);
    /* A row that is walked again is found in the cache where those in work fit: of a GPU's, which all units share, so much of it
     * as they do not fill. Slices' rows are written meanwhile as well. */
    double in_work = (double)pave__units(device) * p->blocks_per_unit * (row->bm > 0 ? row->bm : 1);
    if (row->slices) in_work = ROWS_BETWEEN * (double)teams_of(device, row, s);
    double held = fmin(in_work, rows) * (rows > 0 ? once / rows : 0), l2 = (double)device->l2_bytes;
    double lost = l2 == 0                           ? 0
                  : device->kind == PAVE_DEVICE_GPU ? fmin(1, held / l2)
                                                    : held > PAVE__L2_SHARE * l2;
    p->bytes_l2 = in * passes + out;
    if (row->slices) p->bytes_l2 += rows * (double)s->slots * (double)s->slots * STATE_BYTES;
    p->bytes_memory = once * (1 + (passes - 1) * lost) + out;
}

/* Time that a GPU's waves wait on what depends on each other. */
static double waiting_ns(const pave_device_info *device, const pave__row *row, const pave__step *s,
                         double waves) {
    if (pave__has_scales(row->b_type)) return ceil(waves) * (ROW_NS + ROUND_NS);
    if (row->family == PAVE__MAP)
        return ceil(waves) * (ROW_NS + ceil(terms(s, row->family) / TERMS_AT_ONCE) * PASS_NS);
    if (row->slices) { /* a team's steps, and those from its last row's states to their values */
        double chunks = (double)rounds_of(row, s), rows = (double)pave__batches(s->batch) * (double)s->m;
        double own = ceil(rows / (double)teams_of(device, row, s)),
               last = chunks > 1 ? chunks + 2 : fmin(own, row->stages - 2);
        double values = ceil((double)s->slice / (chunks * (double)lanes_of(row)));
        return PASS_NS + (own * chunks + last) * (STEP_NS + values * STEP_VALUE_NS);
    }
    int64_t cols = parts_of(s, row->family) > 1 ? s->slice : columns(s, row->family);
    bool along = row->layout == PAVE__LAYOUT_ROWS;
    double lanes = (double)lanes_of(row);
    int elem = row->family == PAVE__JOIN ? STATE_BYTES : pave__type_bytes(s->in0.type);
    double at_once = lanes;
    if (!along || row->family == PAVE__JOIN || s->in0.col == 1) at_once = (double)round_of(row, elem);
    int again = reads(row, s);
    double passes = ceil((double)cols / at_once) * again, trees = sweeps(s, row->family) - again + 1;
    /* A team's rows of one round are under way together, others come in turn. */
    double in_turn = along ? fmax(1, row->bm * lanes / fmax(1, row->threads)) : 1, loads = row->loads;
    if (row->loads > 0 && (double)cols <= at_once) {
        loads *= in_turn;
        in_turn = 1;
    }
    double pass = row->loads > 1 && along ? ROUND_NS * fmax(1, loads / ROUND_LOADS) : PASS_NS;
    return ceil(waves) * in_turn * (ROW_NS + trees * TREE_NS * log2(lanes) + passes * pass);
}

static bool one_by_one(const pave__row *row, const pave__step *s) {
    return row->family == PAVE__MAP && row->layout == PAVE__LAYOUT_ROWS && s->slots == 0 &&
           (s->in0.col != 1 || s->in0.row % 4 != 0);
}

/* What a GPU's maps take beside that because they depend on the launch before, or the next one on them, or on themselves: a row
 * that is scaled in more than one round is read again. */
static double dependence_ns(const pave__step *s, const pave__row *row, double waves) {
    if (row->family != PAVE__MAP) return 0;
    double values = (double)pave__batches(s->batch) * (double)s->m * (double)s->k * terms(s, row->family);
    if (s->slots > 0) return SUM_NS + pave__ns_over(values * pave__type_bytes(PAVE_T_F32), SUM_BYTES_PER_S);
    if (!pave__has_scales(row->b_type)) return 0;
    double rounds = ceil((double)s->k / row->bn);
    return SCALE_NS + (rounds > 1 ? ceil(waves) * (2 * rounds - 1) * ROUND_NS : 0);
}

pave__prediction pave__model_rows(const pave_device_info *device, const pave__row *row, const pave__step *s) {
    pave__prediction p = {0};
    pave__count_waves(device, row, pave__rows_tiles(device, row, s), &p);
    double rows = (double)pave__batches(s->batch) * (double)s->m;
    int64_t parts = parts_of(s, row->family);
    double cols = (double)(parts > 1 ? s->slice : columns(s, row->family));
    double elems = rows * (double)parts * padded(row, s, cols);
    bool map = row->family == PAVE__MAP;
    p.flops = elems * terms(s, row->family) * (map ? MAP_FLOPS : REDUCE_FLOPS) * sweeps(s, row->family);
    count_bytes(device, row, s, &p);

    double units = pave__units(device), tiles = (double)p.tiles;
    double rate = pave__peak(device, PAVE_PATH_FMA) * ELEMENTWISE_SHARE, compute, latency = 0;
    if (device->kind == PAVE_DEVICE_GPU) {
        latency = waiting_ns(device, row, s, p.waves);
        compute =
            row->slices ? 0 : pave__ns_over(p.flops, rate); /* of slices a step's values are in their steps */
        if (one_by_one(row, s))
            compute = fmax(compute, pave__ns_over(elems * ELEMENT_CLOCKS, units * pave__clock(device)));
    } else { /* whole blocks a core */
        double deep = ceil(tiles / units);
        compute = deep * (CPU_GROUP_NS + (tiles > 0 ? pave__ns_over(p.flops / tiles, rate / units) : 0));
    }
    pave__conclude(device, compute, latency, &p);
    if (device->kind == PAVE_DEVICE_GPU) p.ns += dependence_ns(s, row, p.waves);
    /* What streams is measured against the memory's rate, its own ceiling. */
    double busy = p.ns - device->launch_ns;
    p.utilisation =
        busy > 0 ? fmin(1.0, pave__ns_over(p.bytes_memory, device->memory_bytes_per_s) / busy) : 0;
    return p;
}

void pave__slice_rows(const pave_device_info *device, pave__step *s) {
    const pave__row *row = s->row;
    int64_t rows = rows_of(s), span = held_of(row, s), blocks = blocks_at_once(device, row);
    int64_t most = blocks < PAVE__SLICE_SLOTS ? blocks : PAVE__SLICE_SLOTS;
    int64_t places = s->k + PAVE__SLICE_SHIFT, one_chunk = pave__div_up(places, span);
    s->slots = one_chunk < most ? one_chunk : most;
    /* Teams that the rounds of rows need, and no more, share the blocks. */
    int64_t rounds = pave__div_up(rows, teams_of(device, row, s)), even = blocks / pave__div_up(rows, rounds);
    int64_t worth = pave__div_up(places, TEAM_LEAST);
    if (even < worth) worth = even;
    if (worth > most) worth = most;
    if (worth > s->slots) s->slots = worth;
    s->slice = pave__times(pave__div_up(pave__div_up(places, s->slots), 4), 4);
    if (s->slice > span) s->slice = pave__times(pave__div_up(s->slice, span), span);
    s->slots = pave__div_up(places, s->slice);
}

int64_t pave__slice_counters(const pave_device_info *device, const pave__step *s) {
    int64_t teams = teams_of(device, s->row, s);
    return pave__times(teams, pave__times(s->slots, 2 * PAVE__SLICE_ROWS)) + teams;
}

int64_t pave__split_slots(const pave_device_info *device, const pave__row *row, const pave__step *step,
                          int64_t *slice) {
    pave__step whole = *step;
    whole.slots = 0;
    int64_t blocks = pave__rows_tiles(device, row, &whole);
    int64_t a_unit =
        device->kind == PAVE_DEVICE_GPU ? pave__blocks_per_unit(device, row) : CPU_BLOCKS_PER_UNIT;
    int64_t wanted = pave__units(device) * a_unit;
    if (blocks < 1 || blocks > wanted / 2 || step->n < 2 * SLICE_LEAST) return 0;
    int64_t slots = wanted / blocks, most = step->n / SLICE_LEAST, round = SLICE_STEP;
    while (device->kind == PAVE_DEVICE_GPU && slots * 2 <= SLOTS_EVEN) slots *= 2;
    if (slots > most) slots = most;
    int elem = pave__type_bytes(step->in0.type);
    if (row->loads > 0 && round_of(row, elem) > round) round = round_of(row, elem);
    *slice = pave__times(pave__div_up(pave__div_up(step->n, slots), round), round);
    return pave__div_up(step->n, *slice);
}
