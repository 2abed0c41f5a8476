/* SPDX-License-Identifier: MIT
 *
 * The command line of lstmrun: options, their help, and which exclude each other.
 */
#define _GNU_SOURCE

#include "tools/args.h"

#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/lstmrun.h"
#include "tools/paths.h"
#include "tools/say.h"

enum {
    OPTION_FORMAT = 256, OPTION_INPUT_FORMAT, OPTION_INFO, OPTION_PLAN, OPTION_TIME, OPTION_THREADS,
    OPTION_ISA, OPTION_BACKEND, OPTION_CHUNK, OPTION_STEPS, OPTION_BATCH, OPTION_LOAD, OPTION_SAVE,
    OPTION_SHOW_STATE, OPTION_SPLIT, OPTION_PREWARM, OPTION_THRESHOLD, OPTION_MIN_SPEECH, OPTION_MIN_SILENCE,
    OPTION_PAD,
};

static const char doc[] =
    "Run a trained recurrent network over a sequence of frames.\v"
    "INPUT is a file of frames, one a step: raw 32-bit floats (.bin, .raw, .f32), .npy of shape "
    "[steps, inputs] or [items, steps, inputs], .csv (.tsv, .txt), or .wav for models of audio. "
    "INPUT '-' reads raw frames from standard input and answers each before the next is read.\n\n"
    "Without -o the result is printed for a person. Exit code 0: done, 1: bad data, 2: bad usage.\n\n"
    "Examples:\n"
    "  lstmrun model.bin input.csv\n"
    "  lstmrun model.bin input.npy -o output.npy\n"
    "  lstmrun model.bin input.csv --time --threads 2\n"
    "  sensor | lstmrun model.bin - --format csv";

static const struct argp_option options[] = {
    {0, 0, 0, 0, "Output:", 1},
    {"output", 'o', "FILE", 0,
     "Write the result to FILE, in the format its extension names (.bin .npy .csv .json .wav .txt); "
     "'-' is standard output", 0},
    {"format", OPTION_FORMAT, "NAME", 0, "Output format: bin, npy, csv, json, wav or text", 0},
    {"show-state", OPTION_SHOW_STATE, 0, 0,
     "Also print the state of every recurrent layer after each step: h, and c of an lstm", 0},
    {"quiet", 'q', 0, 0, "No line of timing and no progress bar on standard error", 0},

    {0, 0, 0, 0, "Input:", 2},
    {"input-format", OPTION_INPUT_FORMAT, "NAME", 0, "Input format: bin, npy, csv or wav", 0},
    {"load-state", OPTION_LOAD, "FILE", 0, "Start from a state saved by --save-state", 0},
    {"save-state", OPTION_SAVE, "FILE", 0,
     "Write the state after the last step, to go on from later, bit for bit", 0},

    {"prewarm", OPTION_PREWARM, 0, 0, "First run the zeros that the model asks for (its prewarm_steps)", 0},

    {0, 0, 0, 0, "Segments of speech (models whose task is speech):", 5},
    {"threshold", OPTION_THRESHOLD, "P", 0,
     "Probability at which speech begins, 0 to 1; it ends 0.15 below. Default 0.5", 0},
    {"min-speech", OPTION_MIN_SPEECH, "MS", 0, "Leave out shorter segments; default 250", 0},
    {"min-silence", OPTION_MIN_SILENCE, "MS", 0, "Shorter pauses do not end a segment; default 100", 0},
    {"pad", OPTION_PAD, "MS", 0, "Make segments longer on both sides, where there is room; default 30", 0},

    {0, 0, 0, 0, "Instead of the result:", 3},
    {"info", OPTION_INFO, 0, 0, "Print what the model is; needs no INPUT", 0},
    {"plan", OPTION_PLAN, "measure", OPTION_ARG_OPTIONAL,
     "Print how it would run here and why; needs no INPUT. With =measure also time what was rejected", 0},
    {"time", OPTION_TIME, 0, 0, "Run again and again for a second and print how long it takes", 0},

    {0, 0, 0, 0, "Speed (results do not depend on these):", 4},
    {"threads", OPTION_THREADS, "N", 0, "Use at most N threads; default: as many as pay", 0},
    {"split", OPTION_SPLIT, "HOW", 0,
     "Force how threads divide the work: none, items (shares of the sequences) or team (parts of each "
     "layer); default: as pays", 0},
    {"isa", OPTION_ISA, "NAME", 0, "Highest instruction set: scalar, avx2, avx512 or neon", 0},
    {"backend", OPTION_BACKEND, "NAME", 0, "native (the default) or another one built in", 0},
    {"chunk", OPTION_CHUNK, "N", 0, "Run N steps a call; only for models that stream", 0},
    {"steps", OPTION_STEPS, "N", 0, "With --plan: plan for sequences of N steps", 0},
    {"batch", OPTION_BATCH, "N", 0, "With --plan: plan for N sequences at once", 0},
    {0, 0, 0, 0, "Help:", -1},
    {0, 'h', 0, OPTION_HIDDEN, 0, 0},
    {0},
};

/* ---- values -------------------------------------------------------------- */

enum { MAX_THREADS = 1024 }; /* as the library has it */

/* A whole number from 1 to `most`, with K for 1000 and M for 1000000. */
static size_t count(struct argp_state *state, const char *option, const char *text, uint32_t most)
{
    char *end;
    errno = 0;
    unsigned long long value = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (value > 0) {
        bool thousands = *end == 'K' || *end == 'k', millions = *end == 'M' || *end == 'm';
        unsigned long long unit = thousands ? 1000 : millions ? 1000000 : 1;
        end += unit > 1;
        if (!errno && *end == '\0' && value <= most / unit)
            return (size_t)(value * unit);
    }
    argp_error(state, "--%s %s: expected a whole number from 1 to %u", option, text, most);
    return 0;
}

static bool is_among(const char *text, const char *const *names)
{
    while (*names && strcmp(text, *names) != 0)
        names++;
    return *names;
}

/* A name of a level anywhere; whether this CPU has it is for the plan to say. */
static const char *isa(struct argp_state *state, const char *text)
{
    static const char *const names[] = {"scalar", "avx2", "avx512", "neon", NULL};
    if (!is_among(text, names))
        argp_error(state, "--isa %s: expected scalar, avx2, avx512 or neon", text);
    return text;
}

static const char *split(struct argp_state *state, const char *text)
{
    static const char *const names[] = {"none", "items", "team", NULL};
    if (!is_among(text, names))
        argp_error(state, "--split %s: expected none, items or team", text);
    return text;
}

/* A number from 0 to `most`. */
static double number(struct argp_state *state, const char *option, const char *text, double most)
{
    char *end = NULL;
    double value = strspn(text, "0123456789.") == strlen(text) ? strtod(text, &end) : -1;
    if (end == text || !end || *end || !(value >= 0 && value <= most))
        argp_error(state, "--%s %s: expected a number from 0 to %g", option, text, most);
    return value;
}

static void speech_option(struct args *args, int key, const char *text, struct argp_state *state)
{
    const double an_hour = 3600e3;
    struct speech_options *speech = &args->speech;
    args->speech_given = true;
    switch (key) {
    case OPTION_THRESHOLD: speech->threshold = number(state, "threshold", text, 1); break;
    case OPTION_MIN_SPEECH: speech->min_speech_ms = number(state, "min-speech", text, an_hour); break;
    case OPTION_MIN_SILENCE: speech->min_silence_ms = number(state, "min-silence", text, an_hour); break;
    default: speech->pad_ms = number(state, "pad", text, an_hour); break;
    }
}

static void positional(struct args *args, const char *text, struct argp_state *state)
{
    if (state->arg_num == 0)
        args->model = text;
    else if (state->arg_num == 1)
        args->input = text;
    else
        argp_error(state, "%s: expected MODEL and INPUT and nothing after them", text);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct args *args = state->input;
    switch (key) {
    case 'o': args->output = text; break;
    case 'q': args->quiet = true; break;
    case 'h': argp_state_help(state, stdout, ARGP_HELP_STD_HELP); break;
    case OPTION_FORMAT: args->format = text; break;
    case OPTION_INPUT_FORMAT: args->input_format = text; break;
    case OPTION_INFO: args->info = true; break;
    case OPTION_PLAN:
        args->plan = true;
        args->measure = text != NULL;
        if (text && strcmp(text, "measure") != 0)
            argp_error(state, "--plan=%s: expected --plan or --plan=measure", text);
        break;
    case OPTION_TIME: args->time = true; break;
    case OPTION_THREADS: args->threads = count(state, "threads", text, MAX_THREADS); break;
    case OPTION_ISA: args->isa = isa(state, text); break;
    case OPTION_SPLIT: args->split = split(state, text); break;
    case OPTION_BACKEND: args->backend = text; break;
    case OPTION_CHUNK: args->chunk = count(state, "chunk", text, UINT32_MAX); break;
    case OPTION_STEPS: args->steps = count(state, "steps", text, UINT32_MAX); break;
    case OPTION_BATCH: args->batch = count(state, "batch", text, UINT32_MAX); break;
    case OPTION_LOAD: args->load_state = text; break;
    case OPTION_SAVE: args->save_state = text; break;
    case OPTION_SHOW_STATE: args->show_state = true; break;
    case OPTION_PREWARM: args->prewarm = true; break;
    case OPTION_THRESHOLD:
    case OPTION_MIN_SPEECH:
    case OPTION_MIN_SILENCE:
    case OPTION_PAD: speech_option(args, key, text, state); break;
    case ARGP_KEY_ARG: positional(args, text, state); break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* ---- what goes together -------------------------------------------------- */

static void check_outputs(const struct args *args)
{
    const char *outputs[] = {args->output, args->save_state};
    if (path_same_file(args->output, args->save_state))
        args_refuse("-o %s and --save-state %s are the same file", args->output, args->save_state);
    for (size_t i = 0; i < 2; i++) {
        if (path_same_file(outputs[i], args->model))
            args_refuse("%s is the model; choose another file for the output", outputs[i]);
        if (path_same_file(outputs[i], args->input))
            args_refuse("%s is the input; choose another file for the output", outputs[i]);
    }
}

static void check_together(const struct args *args)
{
    bool only_print = args->info || args->plan;
    if (!args->model)
        args_refuse("expected MODEL and INPUT");
    if (!args->input && !only_print)
        args_refuse("expected INPUT after MODEL, or --info or --plan");
    if (strcmp(args->model, "-") == 0)
        args_refuse("the model must be a file, not standard input");
    if (only_print && (args->output || args->format || args->time || args->load_state || args->save_state ||
                       args->show_state || args->prewarm || args->speech_given))
        args_refuse("--info and --plan only print; they go with no option for running");
    if (args->input && (args->steps || args->batch))
        args_refuse("--steps and --batch are for --plan without INPUT; here INPUT tells");
    if ((args->steps || args->batch) && !args->plan)
        args_refuse("--steps and --batch are for --plan");
    if (args->time && args->show_state)
        args_refuse("--time and --show-state exclude each other");
    if (args->time && (args->output || args->format))
        args_refuse("--time prints times instead of the result; it goes with neither -o nor --format");
    if (args->time && args->save_state)
        args_refuse("--time and --save-state exclude each other");
    if (args->prewarm && args->load_state)
        args_refuse("--prewarm and --load-state exclude each other");
    if (args->show_state && args->chunk > 1)
        args_refuse("--show-state runs one step a call and excludes --chunk");
    check_outputs(args);
}

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "lstmrun %s\n", lstm_version());
}

void args_parse(int argc, char **argv, struct args *out)
{
    static const struct argp argp = {options, parse, "MODEL [INPUT]", doc, NULL, NULL, NULL};
    argp_err_exit_status = EXIT_BAD_USAGE;
    argp_program_version_hook = print_version;
    *out = (struct args){.speech = SPEECH_OPTIONS_DEFAULT};
    argv[0] = program_invocation_short_name; /* getopt's messages begin with it */
    /* It prints and exits by itself when something is wrong but for lack of memory. */
    error_t error = argp_parse(&argp, argc, argv, 0, NULL, out);
    if (error) {
        complain("%s", strerror(error));
        exit(EXIT_BAD_DATA);
    }
    check_together(out);
}

void args_refuse(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain_list(format, args);
    va_end(args);
    end_for_bad_usage();
}
