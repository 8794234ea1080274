/* SPDX-License-Identifier: Apache-2.0
 * The energy example's report: from the scores that `pave run` wrote, the accuracy, the AUROC and the mean
 * energies, each compared with the training script's within the tolerance that the precision promise gives
 * (README.md says how). It computes no score itself: a wrong score anywhere in Pave shows here. */
#include "energy.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: energy-report --digits S.npy --not-digits S.npy --logits L.npy --labels L.npy --expected E.json\n"
    "                     --run R.json [--run R.json] [--svg OUT.svg]\n"
    "Scores, logits and R.json (its standard output under --json) are what pave run wrote.\n"
    "Exit: 0 all figures within tolerance, 1 some not, 2 the files or arguments are wrong.\n";

enum { DIGITS, NOT_DIGITS, LOGITS, LABELS, EXPECTED, SVG, OPTION_COUNT };
static const char *const option_names[] = {"--digits", "--not-digits", "--logits",
                                           "--labels", "--expected",   "--svg"};

typedef struct run {
    char device[160], selector[32];
    double seconds, rows;
} run;

typedef struct input {
    array files[4]; /* DIGITS … LABELS */
    json_t *expected;
    run ran;
} input;

typedef struct ranked {
    double score;
    int inside;
} ranked;

static int by_score(const void *a, const void *b) {
    double x = ((const ranked *)a)->score, y = ((const ranked *)b)->score;
    return (x > y) - (x < y);
}

/* The Mann-Whitney statistic over all pairs: digits above others, a tie a half. NaN where memory is short. */
static double auroc(const array *digits, const array *others) {
    size_t n = digits->rows + others->rows;
    ranked *all = malloc(n * sizeof *all);
    if (!all) return NAN;
    for (size_t i = 0; i < n; i++)
        all[i] =
            i < digits->rows ? (ranked){digits->values[i], 1} : (ranked){others->values[i - digits->rows], 0};
    qsort(all, n, sizeof *all, by_score);
    double below = 0.0, won = 0.0;
    for (size_t i = 0; i < n;) {
        double inside = 0.0, outside = 0.0;
        double score = all[i].score;
        for (; i < n && all[i].score == score; i++) {
            inside += all[i].inside;
            outside += !all[i].inside;
        }
        won += inside * (below + outside / 2.0);
        below += outside;
    }
    free(all);
    return won / ((double)digits->rows * (double)others->rows);
}

static double mean_energy(const array *scores) {
    double sum = 0.0;
    for (size_t i = 0; i < scores->rows; i++) sum -= scores->values[i];
    return sum / (double)scores->rows;
}

static double accuracy(const array *logits, const array *labels) {
    double right = 0.0;
    for (size_t row = 0; row < logits->rows; row++) {
        const double *values = logits->values + row * logits->cols;
        size_t best = 0;
        for (size_t i = 1; i < logits->cols; i++)
            if (values[i] > values[best]) best = i;
        right += (double)best == labels->values[row];
    }
    return right / (double)logits->rows;
}

/* Prints one line and says whether the figure is what the training script had; NaN never is. */
static int compare(const json_t *expected, const char *label, const char *key, double value) {
    char tolerance_key[64];
    snprintf(tolerance_key, sizeof tolerance_key, "%s_tolerance", key);
    json_t *want = json_object_get(expected, key), *slack = json_object_get(expected, tolerance_key);
    if (!json_is_number(want) || !json_is_number(slack)) {
        printf("  %-24s %10.4f   no expected value\n", label, value);
        return 0;
    }
    int same = fabs(value - json_number_value(want)) <= json_number_value(slack);
    printf("  %-24s %10.4f   expected %9.4f within %.4f   %s\n", label, value, json_number_value(want),
           json_number_value(slack), same ? "ok" : "WRONG");
    return same;
}

/* Adds the run in `path` to `ran`; all runs must have been on one device. */
static int read_run(const char *path, run *ran) {
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    const char *device = json_string_value(json_object_get(root, "device"));
    const char *selector = json_string_value(json_object_get(root, "selector"));
    json_t *rows = json_object_get(root, "rows"), *seconds = json_object_get(root, "seconds");
    int good = device && selector && json_is_number(rows) && json_is_number(seconds);
    if (!root) {
        fprintf(stderr, "energy-report: %s: %s\n", path, error.text);
    } else if (!good) {
        fprintf(stderr, "energy-report: %s: not what pave run --json prints\n", path);
    } else if (ran->device[0] && strcmp(ran->device, device) != 0) {
        fprintf(stderr, "energy-report: %s: ran on %s, the other run on %s\n", path, device, ran->device);
        good = 0;
    } else {
        snprintf(ran->device, sizeof ran->device, "%s", device);
        snprintf(ran->selector, sizeof ran->selector, "%s", selector);
        ran->rows += json_number_value(rows);
        ran->seconds += json_number_value(seconds);
    }
    json_decref(root);
    return good;
}

static int parse(int argc, char **argv, const char **options, run *ran) {
    for (int i = 1; i + 1 < argc; i += 2) {
        int which = 0;
        while (which < OPTION_COUNT && strcmp(argv[i], option_names[which]) != 0) which++;
        if (which < OPTION_COUNT) {
            options[which] = argv[i + 1];
        } else if (strcmp(argv[i], "--run") != 0) {
            return 0;
        } else if (!read_run(argv[i + 1], ran)) {
            exit(2);
        }
    }
    for (int i = 0; i < SVG; i++)
        if (!options[i]) return 0;
    return argc % 2 == 1 && ran->device[0];
}

static int read_all(const char **options, input *in) {
    for (int i = 0; i < 4; i++)
        if (!array_read(options[i], &in->files[i])) return 0;
    const array *f = in->files;
    if (f[DIGITS].cols != 1 || f[NOT_DIGITS].cols != 1 || !f[DIGITS].rows || !f[NOT_DIGITS].rows ||
        f[LOGITS].rows != f[DIGITS].rows || f[LABELS].rows != f[DIGITS].rows || f[LABELS].cols != 1 ||
        !f[LOGITS].cols) {
        fprintf(stderr, "energy-report: the shapes of scores, logits and labels do not belong together\n");
        return 0;
    }
    for (int i = DIGITS; i <= NOT_DIGITS; i++)
        for (size_t row = 0; row < f[i].rows; row++)
            if (!isfinite(f[i].values[row])) {
                fprintf(stderr, "energy-report: %s: row %zu is not finite\n", options[i], row);
                return 0;
            }
    json_error_t error;
    in->expected = json_load_file(options[EXPECTED], 0, &error);
    if (!in->expected) fprintf(stderr, "energy-report: %s: %s\n", options[EXPECTED], error.text);
    return in->expected != NULL;
}

static int report(const input *in, const char *svg) {
    const array *digits = &in->files[DIGITS], *others = &in->files[NOT_DIGITS];
    double area = auroc(digits, others), right = accuracy(&in->files[LOGITS], &in->files[LABELS]);
    printf("Energy score, %zu digits and %zu inputs that are not\n", digits->rows, others->rows);
    printf("  %-24s %s (%s)\n", "device", in->ran.device, in->ran.selector);
    printf("  %-24s %10.4f s for %.0f rows\n", "time", in->ran.seconds, in->ran.rows);
    int same = compare(in->expected, "accuracy", "accuracy", right);
    same &= compare(in->expected, "AUROC", "auroc", area);
    same &= compare(in->expected, "mean energy, digits", "mean_energy_digits", mean_energy(digits));
    same &= compare(in->expected, "mean energy, not digits", "mean_energy_not_digits", mean_energy(others));
    if (!same) fprintf(stderr, "energy-report: figures are not the training script's\n");
    if (!svg) return same ? 0 : 1;
    char caption[320];
    snprintf(caption, sizeof caption, "AUROC %.4f, accuracy %.1f %%, on %s (%s)", area, 100.0 * right,
             in->ran.device, in->ran.selector);
    return !picture_write(svg, digits, others, caption) ? 2 : same ? 0 : 1;
}

int main(int argc, char **argv) {
    const char *options[OPTION_COUNT] = {0};
    input in = {0};
    int status = 2;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (!parse(argc, argv, options, &in.ran))
        fputs(usage, stderr);
    else if (read_all(options, &in))
        status = report(&in, options[SVG]);
    for (int i = 0; i < 4; i++) free(in.files[i].values);
    json_decref(in.expected);
    return status;
}
