/* SPDX-License-Identifier: Apache-2.0
 * embed OUT SYMBOL FILE…: writes OUT, a C file that defines SYMBOL, an array of {name, data, bytes} with an
 * entry a FILE (its base name) and a NULL one at the end. Run at build time only. */
#include <stdio.h>
#include <string.h>

static int write_one(FILE *out, const char *path, int index) {
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        return 1;
    }
    fprintf(out, "static const unsigned long long data%d[] = {", index);
    unsigned char word[8];
    size_t n, bytes = 0, column = 0;
    while ((n = fread(word, 1, sizeof word, in)) > 0) {
        unsigned long long v = 0;
        for (size_t i = 0; i < n; i++) v |= (unsigned long long)word[i] << (8 * i);
        fprintf(out, "%s0x%llx,", column++ % 8 ? "" : "\n", v);
        bytes += n;
    }
    /* One more word: text is terminated, and an empty file is still an array. */
    fprintf(out, "0};\nenum { bytes%d = %zu };\n", index, bytes);
    int failed = ferror(in);
    fclose(in);
    return failed;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: embed OUT SYMBOL FILE...\n");
        return 2;
    }
    FILE *out = fopen(argv[1], "w");
    if (!out) {
        perror(argv[1]);
        return 1;
    }
    fprintf(out, "/* Generated from the files it names. */\n#include \"kernels/embedded.h\"\n");
    for (int i = 3; i < argc; i++)
        if (write_one(out, argv[i], i)) return 1;
    fprintf(out, "const pave__embedded %s[] = {\n", argv[2]);
    for (int i = 3; i < argc; i++) {
        const char *slash = strrchr(argv[i], '/');
        fprintf(out, "    {\"%s\", data%d, bytes%d},\n", slash ? slash + 1 : argv[i], i, i);
    }
    fprintf(out, "    {0, 0, 0},\n};\n");
    return fclose(out) != 0;
}
