/* SPDX-License-Identifier: Apache-2.0
 * The .safetensors reader on files that are right and on files made to hurt it. */
#include "tests/tools/files.h"
#include "tools/safetensors.h"

#define ENTRY(NAME, TYPE, SHAPE, FROM, TO) \
    "\"" NAME "\":{\"dtype\":\"" TYPE "\",\"shape\":" SHAPE ",\"data_offsets\":[" FROM "," TO "]}"

static const struct {
    const char *header;
    size_t bytes;
    const char *why; /* part of the reason */
} hostile[] = {
    {"{" ENTRY("a", "F32", "[2]", "0", "8") "", 8, "not valid JSON"},
    {"[]", 0, "not a JSON object"},
    {"nonsense", 0, "not valid JSON"},
    {"{" ENTRY("a", "F32", "[1]", "0", "4") "," ENTRY("a", "F32", "[1]", "0", "4") "}", 4, "duplicate"},
    {"{" ENTRY("a", "F32", "[2]", "0", "8") "}", 4, "leaves the file"},
    {"{" ENTRY("a", "F32", "[2]", "8", "0") "}", 8, "leaves the file"},
    {"{" ENTRY("a", "F32", "[2]", "-8", "0") "}", 8, "leaves the file"},
    {"{" ENTRY("a", "F32", "[2]", "0", "99999999999999999999") "}", 8, "not valid JSON"},
    {"{" ENTRY("a", "F32", "[3]", "0", "8") "}", 8, "its shape needs 12"},
    {"{" ENTRY("a", "F32", "[-1]", "0", "8") "}", 8, "dimension 0"},
    {"{" ENTRY("a", "F32", "[1.5]", "0", "8") "}", 8, "dimension 0"},
    {"{" ENTRY("a", "F32", "[4294967296,4294967296]", "0", "0") "}", 0, "overflows"},
    {"{" ENTRY("a", "F32", "[9223372036854775807]", "0", "0") "}", 0, "overflows"},
    {"{" ENTRY("a", "F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, "9 dimensions"},
    {"{" ENTRY("a", "F31", "[1]", "0", "4") "}", 4, "unknown dtype 'F31'"},
    {"{" ENTRY("a", "F32", "[2]", "0", "8") "," ENTRY("b", "F32", "[2]", "4", "12") "}", 12, "overlaps"},
    {"{" ENTRY("a", "F32", "[1]", "0", "4") "," ENTRY("b", "F32", "[1]", "8", "12") "}", 12, "gap of 4"},
    {"{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("b", "F32", "[1]", "1", "5") "}", 5, "not aligned"},
    {"{" ENTRY("a", "F32", "[1]", "0", "4") "}", 7, "3 bytes behind"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "no dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "data_offsets"},
    {"{\"a\":7}", 0, "no dtype"},
};

static void refuses(const char *why) {
    st_file file;
    tool_why reason = {""};
    assert_false(st_open("t", &file, &reason));
    assert_null(strchr(reason.text, '\n'));
    if (!strstr(reason.text, why)) fail_msg("expected \"%s\" in \"%s\"", why, reason.text);
    assert_int_equal(file.fd, -1);
}

static void refuses_hostile_headers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        put_safetensors("t", hostile[i].header, NULL, hostile[i].bytes);
        refuses(hostile[i].why);
    }
}

static void refuses_hostile_lengths(void **state) {
    (void)state;
    put_file("t", "\x04\0\0\0", 4, NULL, 0);
    refuses("too short");
    put_file("t", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, NULL, 0);
    refuses("more than 100000000");
    put_file("t", "\x03\0\0\0\0\0\0\0{}", 10, NULL, 0);
    refuses("a header of 3 bytes in a file of 10");
    unlink("t");
    refuses("No such file");
    assert_int_equal(symlink("/", "t"), 0);
    refuses("not a regular file");
    unlink("t");
}

static void reads_what_is_right(void **state) {
    (void)state;
    const float data[3] = {1, 2, 3};
    put_safetensors("t",
                    "{\"__metadata__\":{\"format\":\"pt\"}," ENTRY("b", "F32", "[1]", "8", "12") "," ENTRY(
                        "a", "F32", "[2,1]", "0", "8") "," ENTRY("e", "BF16", "[0,7]", "12", "12") "}   ",
                    data, sizeof data);
    st_file file;
    tool_why why = {""};
    if (!st_open("t", &file, &why)) fail_msg("%s", why.text);
    assert_int_equal(file.count, 3);
    const st_tensor *a = st_find(&file, "a"), *b = st_find(&file, "b");
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a->rank, 2);
    assert_int_equal(a->shape[0], 2);
    assert_int_equal(a->type, PAVE_F32);
    float got[2];
    assert_true(st_read(&file, a, got, &why));
    assert_memory_equal(got, data, 8);
    assert_true(st_read(&file, b, got, &why));
    assert_memory_equal(got, data + 2, 4);
    assert_null(st_find(&file, "c"));
    assert_int_equal(truncate("t", 100), 0);
    assert_false(st_read(&file, b, got, &why));
    assert_non_null(strstr(why.text, "ends at byte"));
    st_close(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_hostile_headers),
        cmocka_unit_test(refuses_hostile_lengths),
        cmocka_unit_test(reads_what_is_right),
    };
    return cmocka_run_group_tests(tests, files_enter, files_leave);
}
