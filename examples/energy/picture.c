/* SPDX-License-Identifier: Apache-2.0
 * Draws the two histograms as an SVG. It decides the scale, the bins and the look, which follows the viewer's
 * light or dark scheme; it knows nothing of how the scores came about. */
#include "energy.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BINS 48
#define WIDTH 860
#define HEIGHT 500
#define LEFT 70
#define RIGHT 830
#define TOP 92
#define BOTTOM 410

typedef struct axis {
    double low, high, step;
} axis;

static const char head[] =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" "
    "aria-label=\"Histograms of the energies of digits and of inputs that are not digits\">\n"
    "<style>\n"
    "text { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #24292f; font-size: 13px }\n"
    ".title { font-size: 18px; font-weight: 600 } .note { fill: #57606a }\n"
    ".page { fill: #ffffff } .grid { stroke: #d8dee4 } .axis { stroke: #57606a }\n"
    ".digits { fill: #0969da; stroke: #0969da } .others { fill: #bc4c00; stroke: #bc4c00 }\n"
    ".bar { fill-opacity: .5; stroke-opacity: .9; stroke-width: .8 } .mean { stroke-width: 2; "
    "stroke-dasharray: 5 4 }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "text { fill: #e6edf3 } .note { fill: #9198a1 } .page { fill: #0d1117 }\n"
    ".grid { stroke: #30363d } .axis { stroke: #9198a1 }\n"
    ".digits { fill: #58a6ff; stroke: #58a6ff } .others { fill: #f0883e; stroke: #f0883e }\n"
    "}\n"
    "</style>\n"
    "<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n"
    "<text class=\"title\" x=\"%d\" y=\"34\">Energy of digits and of what is not a digit</text>\n";

/* The finest step of 1, 2 or 5 times a power of ten that cuts `span` in at most `most` parts. */
static double nice_step(double span, int most) {
    double power = pow(10.0, floor(log10(span / most)));
    double steps[] = {1.0, 2.0, 5.0};
    for (int i = 0; i < 3; i++)
        if (span / (power * steps[i]) <= most) return power * steps[i];
    return power * 10.0;
}

static axis axis_over(const array *a, const array *b) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < a->rows + b->rows; i++) {
        double energy = -(i < a->rows ? a->values[i] : b->values[i - a->rows]);
        low = fmin(low, energy);
        high = fmax(high, energy);
    }
    if (!(high - low > 1e-6)) high = low + 1.0;
    double step = nice_step(high - low, 10);
    return (axis){floor(low / step) * step, ceil(high / step) * step, step};
}

static double across(const axis *x, double energy) {
    return LEFT + (energy - x->low) / (x->high - x->low) * (RIGHT - LEFT);
}

static void count(const axis *x, const array *scores, double *bins) {
    for (size_t i = 0; i < scores->rows; i++) {
        int bin = (int)((-scores->values[i] - x->low) / (x->high - x->low) * BINS);
        bins[bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin] += 1.0;
    }
}

static double mean_energy(const array *scores) {
    double sum = 0.0;
    for (size_t i = 0; i < scores->rows; i++) sum -= scores->values[i];
    return sum / (double)scores->rows;
}

static void draw_frame(FILE *file, const axis *x, double top, double step) {
    for (double value = 0.0; value <= top + step / 2; value += step) {
        double y = BOTTOM - value / top * (BOTTOM - TOP);
        fprintf(file, "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                value > 0.0 ? "grid" : "axis", LEFT, RIGHT, y, y);
        fprintf(file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT - 8, y + 4.5, value);
    }
    for (double value = x->low; value <= x->high + x->step / 2; value += x->step) {
        double at = across(x, value);
        fprintf(file, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", at, at, BOTTOM,
                BOTTOM + 5);
        fprintf(file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n", at, BOTTOM + 21,
                fabs(value) < x->step / 2 ? 0.0 : value);
    }
    fprintf(file,
            "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">energy E(x) = \xE2\x88\x92logsumexp of the "
            "logits</text>\n",
            (LEFT + RIGHT) / 2, BOTTOM + 46);
    fprintf(file,
            "<text transform=\"translate(22 %d) rotate(-90)\" text-anchor=\"middle\">inputs in the bin"
            "</text>\n",
            (TOP + BOTTOM) / 2);
}

static void draw_set(FILE *file, const axis *x, double top, const double *bins, const array *scores,
                     const char *kind) {
    double width = (double)(RIGHT - LEFT) / BINS;
    for (int i = 0; i < BINS; i++) {
        double tall = bins[i] / top * (BOTTOM - TOP);
        if (tall > 0.0)
            fprintf(file, "<rect class=\"bar %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
                    kind, LEFT + i * width, BOTTOM - tall, width, tall);
    }
    double at = across(x, mean_energy(scores));
    fprintf(file, "<line class=\"mean %s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", kind, at, at,
            TOP, BOTTOM);
}

static void draw_legend(FILE *file, int x, const char *kind, const char *words, const array *scores) {
    fprintf(file, "<rect class=\"bar %s\" x=\"%d\" y=\"%d\" width=\"14\" height=\"14\"/>\n", kind, x,
            TOP - 28);
    fprintf(file, "<text x=\"%d\" y=\"%d\">%s (%zu), mean %.2f</text>\n", x + 21, TOP - 16, words,
            scores->rows, mean_energy(scores));
}

static void draw(FILE *file, const array *digits, const array *others, const char *caption) {
    axis x = axis_over(digits, others);
    double a[BINS] = {0}, b[BINS] = {0}, most = 1.0;
    count(&x, digits, a);
    count(&x, others, b);
    for (int i = 0; i < BINS; i++) most = fmax(most, fmax(a[i], b[i]));
    double step = nice_step(most, 6), top = ceil(most / step) * step;
    fprintf(file, head, WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT);
    draw_frame(file, &x, top, step);
    draw_set(file, &x, top, b, others, "others");
    draw_set(file, &x, top, a, digits, "digits");
    draw_legend(file, LEFT, "digits", "digits", digits);
    draw_legend(file, LEFT + 210, "others", "not digits", others);
    fprintf(file, "<text class=\"note\" x=\"%d\" y=\"%d\" text-anchor=\"end\">dashed: mean</text>\n", RIGHT,
            TOP - 16);
    fprintf(file, "<text class=\"note\" x=\"%d\" y=\"%d\">", LEFT, HEIGHT - 14);
    for (const char *c = caption; *c; c++) {
        if (*c == '<' || *c == '>' || *c == '&')
            fprintf(file, "&#%d;", *c);
        else
            fputc(*c, file);
    }
    fputs("</text>\n</svg>\n", file);
}

int picture_write(const char *path, const array *digits, const array *others, const char *caption) {
    size_t length = strlen(path) + sizeof ".part";
    char *part = malloc(length);
    FILE *file = NULL;
    int done = 0;
    if (part) {
        snprintf(part, length, "%s.part", path);
        file = fopen(part, "w");
    }
    if (file) {
        draw(file, digits, others, caption);
        int wrong = ferror(file);
        done = fclose(file) == 0 && !wrong && rename(part, path) == 0;
        if (!done) remove(part);
    }
    if (!done) fprintf(stderr, "energy-report: %s: %s\n", path, strerror(errno));
    free(part);
    return done;
}
