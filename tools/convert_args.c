/* SPDX-License-Identifier: MIT
 *
 * The command line of lstmconvert: options, their help, and which exclude each other.
 */
#define _GNU_SOURCE

#include "tools/convert_args.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/lstmrun.h"
#include "tools/paths.h"
#include "tools/say.h"

enum { OPTION_SPEC = 256, OPTION_VERIFY, OPTION_TOLERANCE, OPTION_KEEP, OPTION_SET, OPTION_CHECK,
       OPTION_KEY };

static const char doc[] =
    "Turn a trained recurrent network into a model file for lstmrun.\v"
    "IN is a file of PyTorch, safetensors or NumPy (.npz) with PyTorch's names, of Keras or ONNX, or of an "
    "audio plugin; what it is, its content tells. What the names of weights cannot tell (activations, taking the "
    "last step, normalisation of the input, labels) comes from the JSON of --spec; tools/CONVERT.md "
    "describes it.\n\nREF is a .npz file with the arrays input and output (and if wanted h0, c0, hn, cn), or "
    "two files IN.npy,OUT.npy, or the word stored for the vectors in the model file. Shapes are [steps, "
    "inputs] or [items, steps, inputs].\n\nExit code 0: done, 1: bad data or verification failed, 2: bad "
    "usage.\n\nExamples:\n  lstmconvert model.safetensors -o model.bin\n"
    "  lstmconvert model.safetensors --spec model.json --verify ref.npz -o model.bin\n"
    "  lstmconvert --verify in.npy,out.npy model.onnx\n  lstmconvert --check model.bin";

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "Write the model file FILE; whole or not at all", 0},
    {"spec", OPTION_SPEC, "FILE", 0, "What the weights' names cannot tell, as JSON", 0},
    {"key", OPTION_KEY, "A.B", 0, "Which dict or module of a PyTorch file is the model: the one at "
                                  "[\"A\"][\"B\"]", 0},
    {"set", OPTION_SET, "KEY=VALUE", 0, "Metadata of the model file; any number of times", 0},
    {"verify", OPTION_VERIFY, "REF", 0,
     "Run reference inputs and print the errors of the results; above the tolerance nothing is written", 0},
    {"tolerance", OPTION_TOLERANCE, "X", 0,
     "Greatest error that --verify allows, relative to reference values above 1; default 1e-5", 0},
    {"keep-reference", OPTION_KEEP, 0, 0,
     "Store the first sequence of REF in the model file, for --verify stored", 0},
    {"check", OPTION_CHECK, 0, 0, "Check the model file IN, weights and all", 0},
    {"quiet", 'q', 0, 0, "Print no summary and no notes", 0},
    {0},
};

static void set_tolerance(struct convert_args *args, const char *text, struct argp_state *state)
{
    char *end;
    args->tolerance = strtod(text, &end);
    if (end == text || *end || !(args->tolerance >= 0) || isinf(args->tolerance))
        argp_error(state, "--tolerance %s: expected a number from 0 on", text);
}

static void add_set(struct convert_args *args, const char *text, struct argp_state *state)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        argp_error(state, "--set %s: expected KEY=VALUE", text);
    if (args->n_sets == CONVERT_MAX_SETS)
        argp_error(state, "--set: given more than %d times", CONVERT_MAX_SETS);
    args->sets[args->n_sets++] = text;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct convert_args *args = state->input;
    switch (key) {
    case 'o': args->output = text; break;
    case 'q': args->quiet = true; break;
    case OPTION_SPEC: args->spec = text; break;
    case OPTION_KEY: args->key = text; break;
    case OPTION_VERIFY: args->verify = text; break;
    case OPTION_TOLERANCE: set_tolerance(args, text, state); break;
    case OPTION_KEEP: args->keep_reference = true; break;
    case OPTION_SET: add_set(args, text, state); break;
    case OPTION_CHECK: args->check = true; break;
    case ARGP_KEY_ARG:
        if (args->input)
            argp_error(state, "%s: expected one IN and nothing after it", text);
        args->input = text;
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static _Noreturn void refuse(const char *text)
{
    complain("%s", text);
    end_for_bad_usage();
}

static void check_together(const struct convert_args *args)
{
    bool for_conversion = args->spec || args->key || args->n_sets || args->keep_reference;
    if (!args->input)
        refuse("expected IN, the file to convert or check");
    if (args->check && (args->output || args->verify || for_conversion))
        refuse("--check goes with no other option but --quiet");
    if (!args->check && !args->output && !args->verify)
        refuse("nothing to do: expected -o FILE, --verify REF or --check");
    if (args->keep_reference && (!args->output || !args->verify || strcmp(args->verify, "stored") == 0))
        refuse("--keep-reference needs -o FILE and --verify with a file");
    if (args->n_sets && !args->output)
        refuse("--set needs -o FILE");
    if (args->output && strcmp(args->output, "-") == 0)
        refuse("-o -: a model file is written to a file, not to standard output");
    if (args->output && path_same_file(args->output, args->input))
        refuse("-o names the file to convert; choose another one");
}

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "lstmconvert %s\n", lstm_version());
}

void convert_args_parse(int argc, char **argv, struct convert_args *out)
{
    static const struct argp argp = {options, parse, "IN", doc, NULL, NULL, NULL};
    argp_err_exit_status = EXIT_BAD_USAGE;
    argp_program_version_hook = print_version;
    *out = (struct convert_args){.tolerance = 1e-5};
    if (argc > 0)
        argv[0] = program_invocation_short_name; /* as getopt's own messages begin */
    error_t error = argp_parse(&argp, argc, argv, 0, NULL, out);
    if (error) {
        complain("%s", strerror(error));
        exit(EXIT_BAD_DATA);
    }
    check_together(out);
}
