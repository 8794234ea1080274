/* SPDX-License-Identifier: Apache-2.0
 * Inside the planner: which rows can do a piece of work, in what form they want their operands, what the launches for it
 * would take, and which are chosen. Knows one layer, one reduction or one map at a time; the chain is planner.c's. */
#ifndef PAVE_SRC_PLAN_CANDIDATES_H
#define PAVE_SRC_PLAN_CANDIDATES_H

#include "src/plan/model.h"

/* What all decisions of one plan share. */
typedef struct pave__planning {
    const pave_device_info *device;
    pave__backend_id backend;
    const pave__row *rows;
    size_t row_count;
    const pave__bars *bars; /* NULL: none */
    const char *forced;     /* NULL: nothing is forced */
    int precision;
    pave__plan_data *plan; /* receives refusals; NULL: nobody asks for them */
} pave__planning;

/* The workspace is areas, each as large as its largest tenant. Layer i writes its values to OUT0 + (i & 1) while it reads
 * OUT0 + (1 - (i & 1)); packed operands are used up by the gemm that follows, states by the join and partial sums by the
 * map that adds them. */
typedef enum pave__area {
    PAVE__OUT0,
    PAVE__OUT1,
    PAVE__PACK_A,
    PAVE__PACK_B,
    PAVE__PARTIAL,
    PAVE__TABLE,
    PAVE__AREA_COUNT
} pave__area;

/* The launches that do one piece of work, its areas, and what all of it takes. An area's number stands for the offset of
 * an operand in it until all areas are known. */
#define PAVE__BUNDLE_STEPS 7
typedef struct pave__bundle {
    pave__step steps[PAVE__BUNDLE_STEPS];
    int32_t count;
    uint64_t area_bytes[PAVE__AREA_COUNT]; /* UINT64_MAX: more than 64 bits hold */
} pave__bundle;

/* The form of a hidden layer's values: what their reader's row takes. */
typedef struct pave__form {
    uint8_t type;
    int8_t exponent; /* as a ref's */
    int64_t ld;
} pave__form;

/* One layer as the choice of its row sees it. */
typedef struct pave__work {
    const pave__problem *problem;
    int32_t index;
    pave__form out; /* of its values where another layer reads them */
} pave__work;

/* How a gemm's k is cut: into as many as `slices`, 1 is not at all, whose sums the launch joins itself or another one adds. */
typedef struct pave__cut {
    int64_t slices;
    bool joins;
} pave__cut;

typedef struct pave__choice {
    const pave__row *row; /* NULL: none can */
    pave__form in;        /* what it reads of a hidden layer */
    pave__prediction gemm;
    pave__cut cut; /* that was asked for */
    double own_ns; /* the gemm, what it needs packed, and the sum of its slices */
    double ns;     /* and what follows behind the last layer */
} pave__choice;

/* ---- candidates.c: rows against devices and each other */

/* Strength of a pave_precision: MEDIUM < HIGH < HIGHEST, whose enum values are in another order. */
int pave__strength(int precision);
/* The reasons that need no operands: what is forced, the device, the promise. */
pave__refusal pave__judge_row(const pave__planning *p, const pave__row *row, int32_t layer);
/* Whether a row's refusal is worth telling: another backend's is not, unless it was asked for. */
bool pave__concerns(const pave__planning *p, const pave__row *row);
/* The row for one layer and its launches; with `record` each other row's refusal goes to the plan. */
pave__choice pave__choose_gemm(const pave__planning *p, const pave__work *work, bool record,
                               pave__bundle *bundle);
/* Slices of k that `forced` names for a gemm row; 0: it names none. */
int64_t pave__forced_splits(const pave__planning *p, const pave__row *row);
/* Whether `forced` names the row. */
bool pave__is_forced(const pave__planning *p, const pave__row *row);
/* Whether it names a row that adds slices' sums. */
bool pave__sum_forced(const pave__planning *p);
/* PAVE_OK, or PAVE_E_INVALID where a word of `forced` names no row. */
pave_status pave__check_forced(const pave__row *rows, size_t row_count, const char *forced);
void pave__refuse(const pave__planning *p, const pave__row *row, int32_t layer, pave__why why, double have,
                  double need);

/* ---- layer.c: what one row makes of one layer */

/* The launches of a layer on `row`, its k cut so: what it needs packed, the gemm, the sum of its slices, what closes the plan. Or
 * why not. */
pave__refusal pave__build_layer(const pave__planning *p, const pave__work *work, const pave__row *row,
                                pave__cut cut, pave__bundle *bundle, pave__choice *choice);
/* What a gemm leaves: its output, and states of rows. */
double pave__gemm_out_bytes(const pave__step *gemm);
/* The width that a layer reads. */
int64_t pave__width_into(const pave__problem *problem, int32_t layer);

/* ---- split.c: k in slices */

#define PAVE__CUTS_MAX 16
/* The cuts to weigh for a layer on `row`, none first unless slices are forced; returns how many. Forced slices are joined where
 * they can be, unless a row that adds them is named too. barred: others were worth weighing, and the batch takes the dimension
 * that they need. */
int pave__cuts(const pave__planning *p, const pave__work *work, const pave__row *row,
               pave__cut cuts[PAVE__CUTS_MAX], bool *barred);
/* Cuts the k of a gemm, whose operands are placed, into `slices` at most; false where there is no dimension for them. A gemm that
 * is cut has k_slice > 0. */
bool pave__cut_k(const pave__problem *problem, int64_t slices, pave__step *gemm);
/* Lets a cut gemm, whose output is known, join its slices. */
void pave__join_slices(pave__step *gemm, pave__bundle *bundle);
/* Makes a cut gemm, whose output and links are known, leave partial sums; steps[at] becomes the map that adds them and takes
 * that output and those links over. */
bool pave__add_sum(const pave__planning *p, const pave__problem *problem, pave__step *gemm,
                   pave__bundle *bundle, int32_t at);

/* ---- operands.c: types, forms and places of operands */

/* The form of a hidden layer's values that `row` reads as A, or that it is packed from; type PAVE_T_NONE where the promise
 * leaves none. */
pave__form pave__hidden_form(const pave__problem *problem, int32_t layer, const pave__row *row);
/* Row stride of a matrix of the planner's own: rows start on multiples of `align` bytes, and of 16. */
int64_t pave__own_ld(int64_t width, int type, int align);
/* A caller's operand as it lies. */
pave__ref pave__as_it_lies(const pave__operand *operand, pave__place place);
/* batch × rows of `ld` elements, one after another in an area, which is made to hold them. */
pave__ref pave__in_area(pave__bundle *bundle, pave__area area, const int64_t batch[PAVE_BATCH_DIMS],
                        int64_t rows, int type, int64_t ld);
/* `states` states in an area. */
pave__ref pave__states_in(pave__bundle *bundle, pave__area area, int64_t states);
/* How `row` reads a caller's operand of rows × k as A or as B: as it lies, as its weights hold it, or by a step that the
 * bundle gets. */
pave__why pave__take(const pave__planning *p, const pave__problem *problem, const pave__row *row,
                     int32_t layer, bool is_b, pave__bundle *bundle, pave__ref *ref);
/* The same of a hidden layer's values, which lie at `ref` in the row's form for them. */
pave__why pave__take_hidden(const pave__planning *p, const pave__problem *problem, const pave__row *row,
                            int32_t layer, pave__bundle *bundle, pave__ref *ref);

/* ---- rows.c: launches that work on rows */

/* Chooses the row of `family` for `step`, which is complete but for row, prediction and slots. false where none can. */
bool pave__choose_rows(const pave__planning *p, pave__family family, pave__step *step);
/* Adds a map, or a reduction of whatever kind with a join, or with one that leaves states before it, where splitting its rows
 * pays. */
bool pave__add_rows(const pave__planning *p, pave__family family, const pave__step *step,
                    pave__bundle *bundle);

/* The links that a kernel is built for. The four with a tensor cost little and come together, so that chains of the
 * same activations share a kernel. */
uint32_t pave__link_mask(const pave__plink *links, int count);

/* Adds PAVE__MASK_F8 to a complete step's links where it is due: kernels may be built without float8. */
void pave__mark_float8(pave__step *step);

/* ---- closing.c: what becomes of the last layer's values */

bool pave__has_states(int reduction);
/* Says where the gemm of the last layer stores what, and adds what follows it. */
pave__refusal pave__close(const pave__planning *p, const pave__problem *problem, pave__step *gemm,
                          pave__bundle *bundle);
/* The reductions of empty rows, where there is no gemm. */
bool pave__close_empty(const pave__planning *p, const pave__problem *problem, pave__bundle *bundle);
/* A problem of one map or one reduction. */
bool pave__plan_rows(const pave__planning *p, const pave__problem *problem, pave__bundle *bundle);

#endif
