/* SPDX-License-Identifier: Apache-2.0
 * The command as a user meets it, on the host backend: exit codes, one line an error, and never a partial
 * output. argv[1] is the command under test. */
#include "tests/tools/files.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <dirent.h>

static const char *pave;
static char output[16384], errors[16384];

static void slurp(const char *name, char *text, size_t capacity) {
    FILE *file = fopen(name, "rb");
    size_t n = file ? fread(text, 1, capacity - 1, file) : 0;
    text[n] = '\0';
    if (file) fclose(file);
}

/* A shell line, with $P the command; gives the exit code and fills `output` and `errors`. */
static int sh(const char *line) {
    char whole[2048];
    snprintf(whole, sizeof whole, "P='%s'; export PAVE_BACKEND=host; ( %s ) >.out 2>.err", pave, line);
    int status = system(whole);
    slurp(".out", output, sizeof output);
    slurp(".err", errors, sizeof errors);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* That the line fails with this code, one line of error with these words, and leaves no output. */
static void fails(const char *line, int code, const char *words) {
    int got = sh(line);
    if (got != code) fail_msg("%s: exit code %d where %d is right; %s", line, got, code, errors);
    if (!strstr(errors, words)) fail_msg("%s: expected \"%s\" in \"%s\"", line, words, errors);
    char *end = strchr(errors, '\n');
    if (!end || end[1]) fail_msg("%s: not one line: \"%s\"", line, errors);
    DIR *folder = opendir(".");
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));)
        if (strncmp(e->d_name, "y.npy", 5) == 0 || strncmp(e->d_name, ".y.npy", 6) == 0)
            fail_msg("%s: left %s", line, e->d_name);
    closedir(folder);
}

#define T(NAME, SHAPE, FROM, TO) \
    "\"" NAME "\":{\"dtype\":\"F32\",\"shape\":" SHAPE ",\"data_offsets\":[" FROM "," TO "]}"
#define RUN "$P run --output y.npy --model "

/* x [3, 2] → 2 (relu) → 1, by hand. */
static void put_model(void) {
    const float data[9] = {1, 2, 3, 4, 10, -100, 1, 1, 5};
    put_safetensors(
        "m",
        "{" T("linear1.weight", "[2,2]", "0", "16") "," T("linear1.bias", "[2]", "16", "24") "," T(
            "linear2.weight", "[1,2]", "24", "32") "," T("linear2.bias", "[1]", "32", "36") "}",
        data, sizeof data);
    const float x[6] = {1, 1, 2, -1, NAN, 0};
    put_npy("x.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n", x, sizeof x);
}

static void read_output(float *y, size_t count) {
    char text[1024];
    slurp("y.npy", text, sizeof text);
    struct stat status;
    assert_int_equal(stat("y.npy", &status), 0);
    assert_int_equal(status.st_size, 128 + count * sizeof *y);
    memcpy(y, text + 128, count * sizeof *y);
}

static void runs_a_model(void **state) {
    (void)state;
    put_model();
    const char *lines[] = {RUN "m --input x.npy --activation relu",
                           RUN "m --input x.npy --activation relu --chunk-rows 1",
                           RUN "m --input x.npy --activation relu --reduce logsumexp --profile"};
    for (size_t i = 0; i < 3; i++) {
        float y[3];
        if (sh(lines[i])) fail_msg("%s", errors);
        assert_string_equal(errors, "");
        assert_non_null(strstr(output, "3 rows in "));
        read_output(y, 3);
        assert_true(y[0] == 18 && y[1] == 15 && isnan(y[2]));
        assert_int_equal(unlink("y.npy"), 0);
    }
    assert_int_equal(sh(RUN "m --input x.npy --quiet"), 0);
    assert_string_equal(output, "");
    unlink("y.npy");
    assert_int_equal(sh(RUN "m --input x.npy --layers linear1 --json"), 0);
    assert_non_null(strstr(output, "\"rows\": 3"));
    unlink("y.npy");
}

static void refuses_wrong_models(void **state) {
    (void)state;
    put_model();
    static const struct {
        const char *header;
        size_t bytes;
        const char *words;
    } wrong[] = {
        {"{" T("linear1.bias", "[2]", "0", "8") "}", 8,
         "pave run: bad: tensor 'linear1.bias': a bias without its weight"},
        {"{" T("a.weight", "[1,2]", "0", "8") "," T("table", "[1]", "8", "12") "}", 12,
         "'table': belongs to no"},
        {"{" T("a.weight", "[2]", "0", "8") "}", 8, "1 dimensions where a weight has 2"},
        {"{" T("a.weight", "[1,2]", "0", "8") "," T("a.bias", "[2]", "8", "16") "}", 16,
         "'a.bias': its shape is not [1]"},
        {"{" T("a1.weight", "[1,2]", "0", "8") "," T("a2.weight", "[1,2]", "8", "16") "}", 16,
         "'a2.weight': width 2 where"},
        {"{" T("a.weight", "[1,2]", "0", "8") "," T("b.weight", "[1,1]", "8", "12") "}", 12, "--layers"},
        {"{\"a.weight\":{\"dtype\":\"I32\",\"shape\":[1,2],\"data_offsets\":[0,8]}}", 8, "dtype is I32"},
        {"{}", 0, "no tensor '*.weight'"},
        {"{" T("a\\u001b[2Jb", "[1]", "0", "4") "}", 4, "'a?[2Jb'"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        put_safetensors("bad", wrong[i].header, NULL, wrong[i].bytes);
        fails(RUN "bad --input x.npy", 1, wrong[i].words);
    }
    put_safetensors("wide", "{" T("a.weight", "[1,3]", "0", "12") "}", NULL, 12);
    fails(RUN "wide --input x.npy", 1, "x.npy: rows of 2 values where 'a.weight' in wide takes 3");
    fails(RUN "none --input x.npy", 1, "pave run: none: No such file");
    fails(RUN "m --input none", 1, "pave run: none: No such file");
    fails(RUN "m --input x.npy --layers linear9", 1, "'linear9.weight': not in the file");
}

static void tells_wrong_usage(void **state) {
    (void)state;
    put_model();
    fails("$P runn", 2, "did you mean 'run'?");
    fails("$P run --modle m", 2, "did you mean '--model'?");
    fails("$P run --model m", 2, "--input is missing");
    fails("$P run --model", 2, "needs a value");
    fails("$P run --json=1", 2, "takes no value");
    fails("$P run stray", 2, "unexpected argument 'stray'");
    fails(RUN "m --input x.npy --activation sigmiod", 2, "did you mean 'sigmoid'?");
    fails(RUN "m --input x.npy --chunk-rows 99999999999999999999", 2, "no whole number");
    fails(RUN "m --input x.npy --chunk-rows 0", 2, "no whole number");
    fails(RUN "m --input x.npy --device opencl:nowhere", 3, "no device");
    fails(RUN "m --input x.npy --device vulkan", 2, "vulkan");
    assert_int_equal(sh("$P"), 2);
    static const char *const helps[] = {"$P --help",     "$P info --help",  "$P plan --help",
                                        "$P run --help", "$P bench --help", "$P selftest -h"};
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++) {
        assert_int_equal(sh(helps[i]), 0);
        assert_non_null(strstr(output, "exit codes:"));
    }
    assert_int_equal(sh("$P --version"), 0);
    assert_memory_equal(output, "pave ", 5);
    assert_int_equal(sh("$P info --json"), 0);
    assert_non_null(strstr(output, "\"PAVE_BACKEND\": \"host\""));
    assert_int_equal(sh("$P plan --device rtx4090 --m 16384 --n 4096 --k 2048 --json"), 0);
    assert_int_equal(output[0], '{');
    fails("$P plan --device rtx9999 --m 1 --n 1 --k 1", 3, "rtx4090");
    fails("$P plan --m 9223372036854775807 --batch 2 --n 1 --k 1", 2, "overflows");
}

static void reports_a_full_disk(void **state) {
    (void)state;
    put_model();
    if (access("/dev/full", W_OK) == 0)
        fails("$P run --model m --input x.npy --output /dev/full", 1, "/dev/full: No space left");
    float *x = calloc(2 * 4096, sizeof *x);
    put_npy("x.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4096, 2), }\n", x,
            2 * 4096 * sizeof *x);
    free(x);
    fails("ulimit -f 8; " RUN "m --input x.npy --chunk-rows 1024", 1, "y.npy: File too large");
    fails("$P run --model m --input x.npy --output no/y.npy", 1, "no/y.npy: No such file");
    if (access("/dev/full", W_OK) == 0) assert_int_equal(sh("$P info >/dev/full"), 1);
}

/* Ctrl-C in the midst of many small chunks. */
static void stops_when_interrupted(void **state) {
    (void)state;
    put_model();
    size_t bytes = 2 * 4000000 * sizeof(float);
    put_npy("x.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4000000, 2), }\n", NULL, bytes);
    fails("trap - INT; timeout --foreground -s INT 0.3 $P run --output y.npy --model m --input x.npy "
          "--chunk-rows 1; "
          "c=$?; [ $c = 124 ] && c=130; exit $c",
          130, "interrupted; y.npy was not written");
}

static void tests_itself(void **state) {
    (void)state;
    if (sh("$P selftest --quick")) fail_msg("%s%s", output, errors);
    assert_non_null(strstr(output, "pave_gemm_host_f64"));
    assert_non_null(strstr(output, " 0 failed"));
    if (sh("$P bench --shape 16x16x16 --runs 2 --json")) fail_msg("%s%s", output, errors);
    assert_non_null(strstr(output, "\"median_ns\""));
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    pave = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_a_model),           cmocka_unit_test(refuses_wrong_models),
        cmocka_unit_test(tells_wrong_usage),      cmocka_unit_test(reports_a_full_disk),
        cmocka_unit_test(stops_when_interrupted), cmocka_unit_test(tests_itself),
    };
    return cmocka_run_group_tests(tests, files_enter, files_leave);
}
