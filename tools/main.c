/* SPDX-License-Identifier: Apache-2.0
 * The `pave` command: finds the subcommand and hands over. */
#include "tools/common.h"

#include <locale.h>
#include <string.h>

typedef struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} subcommand;

static const subcommand commands[] = {
    {"info", cmd_info, "what devices there are, and why others were refused"},
    {"plan", cmd_plan, "how a problem is laid out over a device, present or named"},
    {"run", cmd_run, "run a saved model on an array of inputs"},
    {"bench", cmd_bench, "measure the operations on a device"},
    {"selftest", cmd_selftest, "check every kernel on a device against float64"},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static int usage(FILE *out) {
    fputs("usage: pave COMMAND [OPTIONS]\n\n"
          "Fused linear algebra on any device: CUDA, OpenCL or host.\n\ncommands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++) fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n'pave COMMAND --help' shows a command's options; 'pave --version' the version.\n\n"
          "The device is the one that --device or PAVE_BACKEND names:\n"
          "  auto | cuda[:N] | opencl[:cpu|gpu|P.D|part of a name] | host\n\n"
          "exit codes: 0 ok, 1 failed, 2 wrong usage, 3 no device, 130 interrupted\n",
          out);
    return out == stdout ? TOOL_OK : TOOL_USAGE;
}

int main(int argc, char **argv) {
    setlocale(LC_NUMERIC, "C");
    if (argc < 2) return usage(stderr);
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return usage(stdout);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("pave %s\n", pave_version());
        return TOOL_OK;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) != 0) continue;
        tool_name_set(name);
        int code = commands[i].run(argc - 1, argv + 1);
        if (fflush(stdout) == 0 && !ferror(stdout)) return code;
        tool_error("standard output: could not be written");
        return code ? code : TOOL_FAILED;
    }
    const char *near = tool_nearest(name, commands, COMMANDS, sizeof commands[0]);
    const char *what = name[0] == '-' ? "option" : "command";
    if (near)
        tool_error("unknown %s '%s'; did you mean '%s'?", what, name, near);
    else
        tool_error("unknown %s '%s'; 'pave --help' lists the commands", what, name);
    return TOOL_USAGE;
}
