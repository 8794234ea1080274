/* SPDX-License-Identifier: Apache-2.0
 * Times Pave beside OpenBLAS, oneDNN and CLBlast on the same data, in turns within one process, and prints medians as GFLOP/s with
 * Pave's ratios. Every result is held to float64 on some of its values, so that a fast wrong one shows. A library that is
 * not here is left out with a line.
 *
 *     build/tests/bench/peers [--rounds N] [--cpu-time] [MxNxK ...]
 *
 * PAVE_BACKEND chooses Pave's device. Pave and oneDNN do bias and sigmoid as well; OpenBLAS and CLBlast the product alone. */
#include "tests/bench/peers.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_MAX 1000
#define SHAPES_MAX 32
#define WARM_UP 2
#define SAMPLES 64
#define TOLERANCE 1e-3 /* of a mistake, not of rounding: operands are at most 1, sums of K of them random */

static const peer *const peers[] = {
    &peer_pave,    &peer_pave_packed, &peer_openblas,
#ifdef PAVE_BENCH_DNNL
    &peer_dnnl,    &peer_dnnl_packed,
#endif
#ifdef PAVE_BENCH_CLBLAST
    &peer_clblast,
#endif
};
#define PEERS ((int)(sizeof peers / sizeof peers[0]))

/* --cpu-time: processor time of all threads and the least of all rounds, for a machine that others use as well. Only with one
 * thread each is that what a quiet machine's clock would show. */
static bool by_cpu_time;

static double seconds(void) {
    struct timespec t;
    clock_gettime(by_cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static float *random_values(int64_t count, uint64_t seed) {
    float *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; values && i < count; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)(int32_t)(seed >> 32) * 0x1p-31f;
    }
    return values;
}

/* The largest error of some values, of what the peer says that it does. */
static double error_of(const peer_problem *p, const peer *who, const float *y) {
    double worst = 0;
    for (int64_t s = 0; s < SAMPLES; s++) {
        int64_t i = s * 7919 % p->m, j = s * 104729 % p->n;
        double sum = 0;
        for (int64_t k = 0; k < p->k; k++) sum += (double)p->x[i * p->k + k] * (double)p->w[j * p->k + k];
        if (strcmp(who->does, "all") == 0) sum = 1 / (1 + exp(-(sum + (double)p->bias[j])));
        worst = fmax(worst, fabs((double)y[i * p->n + j] - sum));
    }
    return worst;
}

static bool is_right(const peer_problem *p, const peer *who, void *state) {
    memset(p->y, 0xff, (size_t)(p->m * p->n) * sizeof *p->y);
    if (!who->run(state) || (who->fetch && !who->fetch(state, p->y))) return false;
    double error = error_of(p, who, p->y);
    if (error <= TOLERANCE) return true;
    fprintf(stderr, "%s: wrong by %.3g\n", who->name, error);
    return false;
}

/* One run of each a round, the first two rounds not counted; 0 for one that is not here. */
static void time_peers(const peer_problem *p, int rounds, double *medians) {
    /* Until the threads of whoever ran before have stopped spinning. */
    static const struct timespec pause = {.tv_nsec = 10000000};
    static double times[PEERS][ROUNDS_MAX];
    void *states[PEERS];
    for (int i = 0; i < PEERS; i++) {
        states[i] = peers[i]->prepare(p);
        if (!states[i] || is_right(p, peers[i], states[i])) continue;
        peers[i]->drop(states[i]);
        states[i] = NULL;
    }
    for (int r = -WARM_UP; r < rounds; r++)
        for (int i = 0; i < PEERS; i++) {
            if (!states[i]) continue;
            nanosleep(&pause, NULL);
            double begin = seconds();
            bool ran = peers[i]->run(states[i]);
            if (r >= 0) times[i][r] = ran ? seconds() - begin : INFINITY;
        }
    for (int i = 0; i < PEERS; i++) {
        medians[i] = states[i] ? median(times[i], rounds) : 0; /* sorts */
        if (states[i] && by_cpu_time) medians[i] = times[i][0];
        if (states[i]) peers[i]->drop(states[i]);
    }
}

static bool run_shape(const int64_t *shape, int rounds, double *medians) {
    peer_problem p = {.m = shape[0], .n = shape[1], .k = shape[2]};
    float *x = random_values(p.m * p.k, 1), *w = random_values(p.n * p.k, 2), *bias = random_values(p.n, 3);
    p.x = x, p.w = w, p.bias = bias;
    p.y = malloc((size_t)(p.m * p.n) * sizeof *p.y);
    bool ok = x && w && bias && p.y;
    if (ok) time_peers(&p, rounds, medians);
    free(x);
    free(w);
    free(bias);
    free(p.y);
    return ok;
}

static void print_row(const int64_t *shape, const double *medians) {
    double flops = 2.0 * (double)shape[0] * (double)shape[1] * (double)shape[2];
    char text[64];
    snprintf(text, sizeof text, "%" PRId64 "x%" PRId64 "x%" PRId64, shape[0], shape[1], shape[2]);
    printf("%-18s", text);
    for (int i = 0; i < PEERS; i++) printf(" %14.1f", medians[i] > 0 ? flops / medians[i] * 1e-9 : 0.0);
    printf("\n");
    fflush(stdout);
}

/* Pave's two forms against each of the others, as geometric means over the shapes that both ran. */
static void print_ratios(double medians[][PEERS], int shapes) {
    for (int own = 0; own < 2; own++) {
        printf("%-18s", own ? "pave packed / it" : "pave / it");
        for (int i = 0; i < PEERS; i++) {
            double sum = 0;
            int count = 0;
            for (int s = 0; s < shapes; s++)
                if (medians[s][own] > 0 && medians[s][i] > 0)
                    sum += log(medians[s][i] / medians[s][own]), count++;
            printf(" %14.2f", count ? exp(sum / count) : 0.0);
        }
        printf("\n");
    }
}

int main(int argc, char **argv) {
    int64_t shapes[SHAPES_MAX][3] = {{1024, 1024, 1024}, {2048, 4096, 2048}, {2048, 1024, 4096},
                                     {64, 4096, 2048},   {1, 4096, 2048},    {1000, 1000, 1000},
                                     {333, 777, 555}};
    int count = 7, given = 0, rounds = 30;
    for (int i = 1; i < argc; i++) {
        int64_t *s = shapes[given < SHAPES_MAX ? given : 0];
        if (strcmp(argv[i], "--cpu-time") == 0) {
            by_cpu_time = true;
            continue;
        }
        bool is_rounds = strcmp(argv[i], "--rounds") == 0 && i + 1 < argc;
        if (is_rounds ? sscanf(argv[++i], "%d", &rounds) == 1 && rounds > 0 && rounds <= ROUNDS_MAX
                      : given < SHAPES_MAX &&
                            sscanf(argv[i], "%" SCNd64 "x%" SCNd64 "x%" SCNd64, &s[0], &s[1], &s[2]) == 3 &&
                            s[0] > 0 && s[1] > 0 && s[2] > 0) {
            if (!is_rounds) count = ++given;
            continue;
        }
        fprintf(stderr, "usage: peers [--rounds 1 … %d] [--cpu-time] [MxNxK ...], at most %d shapes\n",
                ROUNDS_MAX, SHAPES_MAX);
        return 2;
    }
    double medians[SHAPES_MAX][PEERS] = {{0}};
    printf("GFLOP/s, %s of %d rounds\n%-18s", by_cpu_time ? "least processor time" : "medians", rounds,
           "MxNxK");
    for (int i = 0; i < PEERS; i++) printf(" %14s", peers[i]->name);
    printf("\n%-18s", "");
    for (int i = 0; i < PEERS; i++) printf(" %14s", peers[i]->does);
    printf("\n");
    for (int s = 0; s < count; s++) {
        if (!run_shape(shapes[s], rounds, medians[s])) return fprintf(stderr, "no memory\n"), 1;
        print_row(shapes[s], medians[s]);
    }
    print_ratios(medians, count);
    return 0;
}
