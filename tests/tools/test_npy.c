/* SPDX-License-Identifier: Apache-2.0
 * The .npy reader and writer: what NumPy writes, and what nobody should. */
#include "tests/tools/files.h"
#include "tools/npy.h"

#define DICT(TYPE, ORDER, SHAPE) "{'descr': '" TYPE "', 'fortran_order': " ORDER ", 'shape': " SHAPE ", }\n"

static const struct {
    const char *dictionary;
    size_t bytes;
    const char *why;
} hostile[] = {
    {DICT("<f4", "True", "(2, 2)"), 16, "Fortran order"},
    {DICT(">f4", "False", "(2, 2)"), 16, "big-endian"},
    {DICT("|O", "False", "(2, 2)"), 16, "Python objects"},
    {DICT("<f8", "False", "(2, 2)"), 32, "'<f8'"},
    {DICT("<i4", "False", "(2, 2)"), 16, "'<i4'"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 2), }\n", 16, "structured"},
    {DICT("<f4", "False", "(2, 3)"), 16, "truncated: 16 bytes of data where its shape needs 24"},
    {DICT("<f4", "False", "(2, 1)"), 16, "8 bytes behind"},
    {DICT("<f4", "False", "(4294967296, 4294967296)"), 16, "overflows"},
    {DICT("<f4", "False", "(99999999999999999999, 1)"), 16, "dimension 0"},
    {DICT("<f4", "False", "(-1, 1)"), 16, "dimension 0"},
    {DICT("<f4", "False", "()"), 4, "single number"},
    {DICT("<f4", "Maybe", "(4,)"), 16, "fortran_order"},
    {DICT("<f4", "False", "[4]"), 16, "tuple"},
    {DICT("<f4", "False", "(4 4)"), 16, "tuple"},
    {"{'descr': '<f4', 'shape': (4,), }\n", 16, "missing"},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (4,), }\n", 16, "twice"},
    {"{'descr': '<f4', 'other': 1, 'fortran_order': False, 'shape': (4,), }\n", 16, "unknown key"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4,), } + 1\n", 16, "follows"},
    {"{'descr': '<f4", 0, "descr"},
    {"", 0, "dictionary"},
};

static void refuses(const char *why) {
    npy_file file;
    tool_why reason = {""};
    assert_false(npy_open("t", &file, &reason));
    if (!strstr(reason.text, why)) fail_msg("expected \"%s\" in \"%s\"", why, reason.text);
    assert_int_equal(file.fd, -1);
}

static void refuses_hostile_headers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        put_npy("t", 1, hostile[i].dictionary, NULL, hostile[i].bytes);
        refuses(hostile[i].why);
    }
}

static void refuses_hostile_beginnings(void **state) {
    (void)state;
    put_file("t", "\x93NUM", 4, NULL, 0);
    refuses("too short");
    put_file("t", "PK\3\4\0\0\0\0\0\0\0\0", 12, NULL, 0);
    refuses("magic");
    put_npy("t", 4, DICT("<f4", "False", "(1,)"), NULL, 4);
    refuses("version 4.0");
    put_file("t", "\x93NUMPY\1\0\xff\xff{}", 12, NULL, 0);
    refuses("a header of 65535 bytes in a file of 12");
    put_file("t", "\x93NUMPY\2\0\xff\xff\xff\xff{}", 14, NULL, 0);
    refuses("a header of 4294967295 bytes");
    put_file("t", "\x93NUMPY\2\0\1\0", 10, NULL, 0);
    refuses("truncated");
}

static void reads_every_version_and_shape(void **state) {
    (void)state;
    const float data[6] = {0, 1, 2, 3, 4, 5};
    for (int major = 1; major <= 3; major++) {
        put_npy("t", major, "{\"shape\": (1L, 2, 3), 'fortran_order': False, 'descr': '<f4'}   \n", data,
                sizeof data);
        npy_file file;
        tool_why why;
        if (!npy_open("t", &file, &why)) fail_msg("%s", why.text);
        assert_int_equal(file.rank, 3);
        assert_int_equal(file.rows, 2);
        assert_int_equal(file.cols, 3);
        float row[3];
        assert_true(npy_read_rows(&file, 1, 1, row, &why));
        assert_memory_equal(row, data + 3, sizeof row);
        npy_close(&file);
    }
}

static void writes_what_it_reads(void **state) {
    (void)state;
    const int64_t shape[3] = {2, 1, 2};
    const float data[4] = {1, 2, 3, 4};
    for (int rank = 1; rank <= 3; rank += 2) {
        npy_writer writer;
        tool_why why;
        unlink("o");
        uint64_t bytes = rank == 1 ? 8 : 16;
        assert_true(npy_create("o", rank, shape, &writer, &why));
        assert_int_equal(access("o", F_OK), -1);
        assert_true(npy_write(&writer, data, bytes, &why));
        assert_true(npy_finish(&writer, &why));
        npy_abandon(&writer);
        npy_file file;
        if (!npy_open("o", &file, &why)) fail_msg("%s", why.text);
        assert_int_equal(file.rank, rank);
        assert_int_equal(file.data % 64, 0);
        float got[4];
        assert_true(npy_read_rows(&file, 0, file.rows, got, &why));
        assert_memory_equal(got, data, (size_t)bytes);
        npy_close(&file);
    }
}

static void keeps_the_old_file_until_the_end(void **state) {
    (void)state;
    put_file("o", "old", 3, NULL, 0);
    const int64_t shape[1] = {1};
    npy_writer writer;
    tool_why why;
    assert_true(npy_create("o", 1, shape, &writer, &why));
    char temporary[64];
    snprintf(temporary, sizeof temporary, "%.63s", strrchr(writer.temporary, '/') + 1);
    assert_int_equal(access(temporary, F_OK), 0);
    npy_abandon(&writer);
    assert_int_equal(access(temporary, F_OK), -1);
    char text[4] = "";
    FILE *file = fopen("o", "rb");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, 3, file), 3);
    fclose(file);
    assert_string_equal(text, "old");
    assert_false(npy_create("no/such/folder", 1, shape, &writer, &why));
    assert_false(npy_create(".", 1, shape, &writer, &why));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_hostile_headers),          cmocka_unit_test(refuses_hostile_beginnings),
        cmocka_unit_test(reads_every_version_and_shape),    cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(keeps_the_old_file_until_the_end),
    };
    return cmocka_run_group_tests(tests, files_enter, files_leave);
}
