/* SPDX-License-Identifier: MIT
 *
 * lstmconvert: other frameworks' models to model files, and the checks of model files.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import.h"
#include "formats/mapfile.h"
#include "formats/metadata.h"
#include "formats/model_file.h"
#include "formats/sha256.h"
#include "runtime/lstmrun.h"
#include "tools/cleanup.h"
#include "tools/convert_args.h"
#include "tools/input_map.h"
#include "tools/reference.h"
#include "tools/say.h"
#include "tools/summary.h"
#include "tools/verify.h"
#include "tools/whole_file.h"

/* Names in foreign files may hold what a terminal obeys. */
static const char *printable(char *text)
{
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127)
            *c = '?';
    return text;
}

/* ---- model files --------------------------------------------------------- */

/* By the four bytes that damage in transfer leaves alone. */
static bool is_model_file(const struct mapfile *file)
{
    enum { MAGIC_START = 4 };
    return file->n_bytes >= MAGIC_START &&
           memcmp(file->bytes, MODEL_MAGIC, MAGIC_START) == 0;
}

static bool complain_of(const char *name, const lstm_error *error)
{
    if (error->rule)
        return complain("%s: F%u at byte %llu: %s", name, error->rule, (unsigned long long)error->offset,
                        error->text);
    return complain("%s: %s", name, error->text);
}

/* Whether the runtime takes the model: it can make a plan for it. */
static bool can_plan(const lstm_model *model, const char *name)
{
    lstm_error error;
    lstm_plan *plan;
    if (lstm_plan_create(model, NULL, &plan, &error) != LSTM_OK)
        return complain_of(name, &error);
    lstm_plan_destroy(plan);
    return true;
}

static bool check_model(const struct convert_args *args)
{
    const lstm_model_info *info;
    char count[SUMMARY_COUNT_TEXT];
    lstm_model *model;
    lstm_error error;
    bool good;
    if (lstm_model_open(args->input, &model, &error) != LSTM_OK)
        return complain_of(args->input, &error);
    good = lstm_model_verify(model, &error) == LSTM_OK || complain_of(args->input, &error);
    good = good && can_plan(model, args->input);
    info = lstm_model_get_info(model);
    if (good && !args->quiet)
        printf("%s: ok, %u layer%s, %s parameters\n", args->input, info->n_layers,
               info->n_layers == 1 ? "" : "s", summary_count(info->n_parameters, count));
    lstm_model_close(model);
    return good;
}

/* --verify of a model file. */
static bool verify_file(const struct convert_args *args)
{
    struct reference reference;
    lstm_model *model;
    lstm_error error;
    bool good;
    if (lstm_model_open(args->input, &model, &error) != LSTM_OK)
        return complain_of(args->input, &error);
    good = strcmp(args->verify, "stored") == 0 ? reference_of_model(model, args->input, &reference)
                                               : reference_load(args->verify, &reference);
    if (good) {
        good = verify_model(model, args->input, &reference, args->tolerance);
        reference_free(&reference);
    }
    lstm_model_close(model);
    return good;
}

/* ---- recognising --------------------------------------------------------- */

struct signature {
    const char *start;
    size_t n_bytes;
    const char *advice;
};

/* Files that people will try, and what to do with them. */
static const struct signature signatures[] = {
    {"PK\3\4", 4, "a zip archive, but none of torch.save (NAME/data.pkl), numpy.savez or Keras"},
    {"\x89HDF", 4, "a damaged HDF5 file: its first bytes were changed, perhaps by a text-mode transfer"},
    {"{", 1, "a JSON file"},
};

static bool refuse_kind(const char *path, const struct mapfile *file)
{
    const char *advice = file->n_bytes ? "a file of unknown kind" : "an empty file";
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const struct signature *s = &signatures[i];
        if (file->n_bytes >= s->n_bytes && memcmp(file->bytes, s->start, s->n_bytes) == 0) {
            advice = s->advice;
            break;
        }
    }
    char known[200] = "";
    for (const struct importer *const *row = importers; *row; row++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", (*row)->name);
    }
    return complain("%s: is %s; lstmconvert reads: %s", path, advice, known);
}

static const struct importer *find_importer(const struct mapfile *file)
{
    for (const struct importer *const *row = importers; *row; row++)
        if ((*row)->recognise(file->bytes, file->n_bytes))
            return *row;
    return NULL;
}

/* ---- converting ---------------------------------------------------------- */

struct conversion {
    const struct convert_args *args;
    const struct importer *importer;
    struct mapfile input, spec;
    struct model_builder *builder;
    void *bytes; /* the model file */
    size_t n_bytes;
    lstm_model *model; /* over bytes */
};

static void note(void *context, const char *text)
{
    const struct conversion *conversion = context;
    char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    if (!conversion->args->quiet)
        complain("%s: note: %s", conversion->args->input, printable(copy));
}

static bool open_spec(struct conversion *conversion)
{
    const char *path = conversion->args->spec;
    char reason[200];
    if (!path)
        return true;
    if (!conversion->importer->uses_spec)
        return complain("--spec: %s is %s, which needs no spec and uses none", conversion->args->input,
                        conversion->importer->name);
    return mapfile_open(path, &conversion->spec, reason, sizeof reason) || complain("%s: %s", path, reason);
}

static bool check_key(const struct conversion *conversion)
{
    return !conversion->args->key || conversion->importer->uses_key ||
           complain("--key: %s is %s, which has one model and no keys", conversion->args->input,
                    conversion->importer->name);
}

static bool import(struct conversion *conversion)
{
    const struct convert_args *args = conversion->args;
    struct import_source source = {
        .path = args->input, .bytes = conversion->input.bytes, .n_bytes = conversion->input.n_bytes,
        .spec = args->spec ? (conversion->spec.n_bytes ? conversion->spec.bytes : "") : NULL,
        .n_spec = conversion->spec.n_bytes, .key = args->key, .note = note, .note_context = conversion};
    struct import_error error = {.text = ""};
    conversion->builder = model_builder_create();
    if (!conversion->builder)
        return complain("%s: out of memory", args->input);
    if (conversion->importer->import(&source, conversion->builder, &error))
        return true;
    return complain("%s: %s", error.of_spec && args->spec ? args->spec : args->input, printable(error.text));
}

static void set_origin(struct conversion *conversion)
{
    const char *path = conversion->args->input, *slash = strrchr(path, '/');
    char digest[SHA256_TEXT], version[80];
    sha256_text(conversion->input.bytes, conversion->input.n_bytes, digest);
    snprintf(version, sizeof version, "lstmconvert %s", lstm_version());
    model_set_metadata(conversion->builder, "source", slash ? slash + 1 : path);
    model_set_metadata(conversion->builder, "source_sha256", digest);
    model_set_metadata(conversion->builder, "converter", version);
}

/* "KEY=VALUE" of --set; `sizes` are those of the model as it is without. */
static bool set_one(struct conversion *conversion, const char *text, const struct metadata_sizes *sizes)
{
    const char *equals = strchr(text, '=');
    size_t n_key = (size_t)(equals - text);
    char *key = calloc(n_key + 1, 1), reason[120];
    bool good;
    if (!key)
        return complain("--set %s: out of memory", text);
    memcpy(key, text, n_key);
    good = metadata_check(key, equals + 1, sizes, reason, sizeof reason) ||
           complain("--set %s: %s", key, printable(reason));
    if (good)
        model_set_metadata(conversion->builder, key, equals + 1);
    free(key);
    return good;
}

/* The file's bytes, and the runtime's word that it takes them. */
static bool finish(struct conversion *conversion)
{
    const char *name = conversion->args->input;
    struct format_error format_error;
    lstm_status status;
    lstm_error error;
    lstm_model_close(conversion->model);
    conversion->model = NULL;
    free(conversion->bytes);
    if (!model_finish(conversion->builder, &conversion->bytes, &conversion->n_bytes, &format_error))
        return complain("%s: cannot be put into a model file: %s", name, format_error.text);
    status = lstm_model_open_memory(conversion->bytes, conversion->n_bytes, &conversion->model, &error);
    if (status != LSTM_OK || lstm_model_verify(conversion->model, &error) != LSTM_OK)
        return complain_of(name, &error);
    return can_plan(conversion->model, name);
}

static bool store_reference(struct conversion *conversion, const struct reference *reference)
{
    struct reference_shape shape;
    if (reference->has_state[REFERENCE_H0] || reference->has_state[REFERENCE_C0])
        return complain("%s: reference vectors that start from h0 or c0 cannot be stored",
                        reference->name);
    if (!verify_shapes(conversion->model, conversion->args->input, reference, &shape))
        return false;
    if (shape.steps > UINT32_MAX)
        return complain("%s: %zu steps are too many to store", reference->name, shape.steps);
    model_set_reference(conversion->builder, (uint32_t)shape.steps, reference->input.data,
                        (uint32_t)shape.output_steps, reference->output.data);
    return finish(conversion);
}

static bool verify(struct conversion *conversion)
{
    const struct convert_args *args = conversion->args;
    struct reference reference;
    bool good;
    if (!args->verify)
        return true;
    /* Some foreign files hold vectors, too. */
    good = strcmp(args->verify, "stored") == 0
               ? reference_of_model(conversion->model, args->input, &reference)
               : reference_load(args->verify, &reference);
    if (!good)
        return false;
    good = verify_model(conversion->model, args->input, &reference, args->tolerance) &&
           (!args->keep_reference || store_reference(conversion, &reference));
    reference_free(&reference);
    return good;
}

static bool write_file(const struct conversion *conversion)
{
    const char *path = conversion->args->output;
    struct whole_file file;
    char count[SUMMARY_COUNT_TEXT];
    if (!path)
        return true;
    if (!whole_file_open(path, &file))
        return false;
    fwrite(conversion->bytes, 1, conversion->n_bytes, file.file); /* commit looks for errors */
    if (!whole_file_commit(&file))
        return false;
    if (!conversion->args->quiet)
        printf("%s: written, %s bytes\n", path, summary_count(conversion->n_bytes, count));
    return true;
}

static bool set_metadata(struct conversion *conversion)
{
    const lstm_model_info *info = lstm_model_get_info(conversion->model);
    const struct metadata_sizes sizes = {info->input.size, info->output.size};
    for (size_t i = 0; i < conversion->args->n_sets; i++)
        if (!set_one(conversion, conversion->args->sets[i], &sizes))
            return false;
    return conversion->args->n_sets == 0 || finish(conversion);
}

static bool finish_and_write(struct conversion *conversion)
{
    set_origin(conversion);
    if (!finish(conversion) || !set_metadata(conversion))
        return false;
    if (!conversion->args->quiet) {
        printf("%s: %s\n", conversion->args->input, conversion->importer->name);
        summary_print(conversion->model);
    }
    return verify(conversion) && write_file(conversion);
}

static bool convert(struct conversion *conversion)
{
    bool good = open_spec(conversion) && check_key(conversion) && import(conversion) &&
        finish_and_write(conversion);
    lstm_model_close(conversion->model);
    free(conversion->bytes);
    model_builder_destroy(conversion->builder);
    if (conversion->spec.handle || conversion->spec.bytes)
        mapfile_close(&conversion->spec);
    return good;
}

/* ---- what is asked for --------------------------------------------------- */

static bool convert_file(const struct convert_args *args, const struct mapfile *input)
{
    struct conversion conversion = {.args = args, .input = *input, .importer = find_importer(input)};
    if (!conversion.importer)
        return refuse_kind(args->input, input);
    return convert(&conversion);
}

static bool use_model_file(const struct convert_args *args)
{
    if (args->output || args->spec || args->key)
        return complain("%s: is a model file already; --check and --verify take one, -o, --spec and --key do "
                        "not",
                        args->input);
    return verify_file(args);
}

static bool convert_or_verify(const struct convert_args *args)
{
    struct mapfile input;
    bool good;
    if (!input_map(args->input, &input))
        return false;
    good = is_model_file(&input) ? use_model_file(args) : convert_file(args, &input);
    return input_unmap(&input, good);
}

/* A full disk or closed pipe under stdout must not go unnoticed. */
static bool flush_output(void)
{
    return (fflush(stdout) == 0 && !ferror(stdout)) || complain("standard output: cannot be written");
}

/* jansson's scanner of JSON reads on past what it could not store, so it is never told that
 * memory is out. Nothing is half written while JSON is read. */
static void *allocate_for_json(size_t n_bytes)
{
    void *memory = malloc(n_bytes);
    if (!memory) {
        complain("out of memory");
        exit(EXIT_BAD_DATA);
    }
    return memory;
}

int main(int argc, char **argv)
{
    struct convert_args args;
    bool good;
    convert_args_parse(argc, argv, &args);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* what is printed stands before the error that follows it */
    json_set_alloc_funcs(allocate_for_json, free);
    cleanup_install(args.input);
    good = args.check ? check_model(&args) : convert_or_verify(&args);
    good = flush_output() && good;
    return good ? EXIT_GOOD : EXIT_BAD_DATA;
}
