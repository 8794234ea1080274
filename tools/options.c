/* SPDX-License-Identifier: Apache-2.0
 * Options and words: long options with a suggestion for a mistyped one, integers that cannot overflow, and
 * the one table of words for each of the library's enums. */
#include "tools/common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const tool_word tool_activations[] = {{"none", PAVE_LINK_NONE, 0, 0},
                                      {"relu", PAVE_LINK_RELU, 0, 0},
                                      {"leaky_relu", PAVE_LINK_LEAKY_RELU, 0.01f, 0},
                                      {"sigmoid", PAVE_LINK_SIGMOID, 0, 0},
                                      {"tanh", PAVE_LINK_TANH, 0, 0},
                                      {"gelu", PAVE_LINK_GELU_ERF, 0, 0},
                                      {"gelu_tanh", PAVE_LINK_GELU_TANH, 0, 0},
                                      {"silu", PAVE_LINK_SILU, 0, 0},
                                      {"mish", PAVE_LINK_MISH, 0, 0},
                                      {"hardtanh", PAVE_LINK_CLAMP, -1, 1},
                                      {"relu6", PAVE_LINK_CLAMP, 0, 6},
                                      {"hardswish", PAVE_LINK_HARDSWISH, 0, 0},
                                      {"softplus", PAVE_LINK_SOFTPLUS, 0, 0},
                                      {"elu", PAVE_LINK_ELU, 1, 0},
                                      {NULL, 0, 0, 0}};
const tool_word tool_reductions[] = {{"none", PAVE_REDUCE_NONE, 0, 0},
                                     {"logsumexp", PAVE_REDUCE_LOGSUMEXP, 0, 0},
                                     {"sum", PAVE_REDUCE_SUM, 0, 0},
                                     {"mean", PAVE_REDUCE_MEAN, 0, 0},
                                     {"max", PAVE_REDUCE_MAX, 0, 0},
                                     {"min", PAVE_REDUCE_MIN, 0, 0},
                                     {"argmax", PAVE_REDUCE_ARGMAX, 0, 0},
                                     {"softmax", PAVE_REDUCE_SOFTMAX, 0, 0},
                                     {"log_softmax", PAVE_REDUCE_LOG_SOFTMAX, 0, 0},
                                     {"normalize", PAVE_REDUCE_NORMALIZE, 0, 0},
                                     {NULL, 0, 0, 0}};
const tool_word tool_precisions[] = {{"highest", PAVE_HIGHEST, 0, 0},
                                     {"high", PAVE_HIGH, 0, 0},
                                     {"medium", PAVE_MEDIUM, 0, 0},
                                     {NULL, 0, 0, 0}};
const tool_word tool_types[] = {{"f32", PAVE_F32, 0, 0},   {"f16", PAVE_F16, 0, 0},
                                {"bf16", PAVE_BF16, 0, 0}, {"e4m3", PAVE_E4M3, 0, 0},
                                {"e5m2", PAVE_E5M2, 0, 0}, {NULL, 0, 0, 0}};
const tool_word tool_ops[] = {{"linear", PAVE_OP_LINEAR, 0, 0},
                              {"reduce", PAVE_OP_REDUCE, 0, 0},
                              {"mlp", PAVE_OP_MLP, 0, 0},
                              {"matmul", PAVE_OP_MATMUL, 0, 0},
                              {"grouped", PAVE_OP_GROUPED, 0, 0},
                              {"map", PAVE_OP_MAP, 0, 0},
                              {NULL, 0, 0, 0}};

/* Levenshtein's distance of short words; 99 where a word is long. */
static int distance(const char *a, const char *b) {
    int row[33];
    size_t m = strlen(a), n = strlen(b);
    if (m > 32 || n > 32) return 99;
    for (size_t j = 0; j <= n; j++) row[j] = (int)j;
    for (size_t i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

const char *tool_nearest(const char *word, const void *words, size_t count, size_t stride) {
    const char *best = NULL;
    int least = (int)strlen(word) / 3 + 2;
    for (size_t i = 0; i < count; i++) {
        const char *other = *(const char *const *)((const char *)words + i * stride);
        int d = distance(word, other);
        if (d < least) {
            least = d;
            best = other;
        }
    }
    return best;
}

static void report_unknown(const char *argument, const struct option *options) {
    size_t count = 0;
    while (options[count].name) count++;
    char word[64];
    snprintf(word, sizeof word, "%s", argument + strspn(argument, "-"));
    word[strcspn(word, "=")] = '\0';
    const char *near = tool_nearest(word, options, count, sizeof *options);
    if (near)
        tool_error("unknown option '%s'; did you mean '--%s'?", argument, near);
    else
        tool_error("unknown option '%s'; --help lists them", argument);
}

int tool_option(int argc, char **argv, const struct option *options) {
    opterr = 0;
    int index = optind;
    int value = getopt_long(argc, argv, ":h", options, NULL);
    if (value == -1 && optind < argc) {
        tool_error("unexpected argument '%s'; --help shows the usage", argv[optind]);
        return '?';
    }
    if (value == ':') {
        tool_error("option '%s' needs a value", argv[optind - 1]);
        return '?';
    }
    if (value != '?') return value;
    const char *argument = argv[optind > index ? optind - 1 : index];
    bool known = false;
    for (const struct option *o = options; optopt && o->name; o++) known |= o->val == optopt;
    if (known)
        tool_error("option '%s' takes no value", argument);
    else
        report_unknown(argument, options);
    return '?';
}

bool tool_parse_word(const char *option, const char *text, const tool_word *table, const tool_word **word) {
    char list[256] = "";
    size_t count = 0, used = 0;
    for (; table[count].name; count++) {
        if (strcmp(table[count].name, text) == 0) {
            *word = &table[count];
            return true;
        }
        int n = snprintf(list + used, sizeof list - used, "%s%s", count ? ", " : "", table[count].name);
        used += (size_t)n < sizeof list - used ? (size_t)n : sizeof list - used - 1;
    }
    const char *near = tool_nearest(text, table, count, sizeof *table);
    if (near)
        tool_error("%s: '%s' is none of %s; did you mean '%s'?", option, text, list, near);
    else
        tool_error("%s: '%s' is none of %s", option, text, list);
    return false;
}

static bool parse_one(const char *option, const char *text, size_t length, int64_t min, int64_t max,
                      int64_t *value) {
    char word[32];
    char *end = word;
    long long v = 0;
    errno = 0;
    if (length && length < sizeof word) {
        memcpy(word, text, length);
        word[length] = '\0';
        v = strtoll(word, &end, 10);
    }
    if (end == word || *end || errno || word[0] == ' ' || v < min || v > max) {
        tool_error("%s: '%.*s' is no whole number from %" PRId64 " to %" PRId64, option, (int)length, text,
                   min, max);
        return false;
    }
    *value = v;
    return true;
}

bool tool_parse_int(const char *option, const char *text, int64_t min, int64_t max, int64_t *value) {
    return parse_one(option, text, strlen(text), min, max, value);
}

bool tool_parse_ints(const char *option, const char *text, int64_t min, int64_t max, size_t capacity,
                     int64_t *values, size_t *count) {
    for (*count = 0;; (*count)++) {
        size_t length = strcspn(text, ",");
        if (*count == capacity) {
            tool_error("%s: more than %zu values", option, capacity);
            return false;
        }
        if (!parse_one(option, text, length, min, max, &values[*count])) return false;
        if (!text[length]) break;
        text += length + 1;
    }
    ++*count;
    return true;
}

const char *tool_word_of(const tool_word *table, int value) {
    for (; table->name; table++)
        if (table->value == value) return table->name;
    return "?";
}
