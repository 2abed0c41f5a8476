/* SPDX-License-Identifier: MIT
 *
 * From PyTorch's tensor names and shapes to modules. Nothing is guessed: a tensor that
 * does not fit is refused by name with what was expected.
 */
#include "formats/torch/torch_modules.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/spec.h"

enum { MAX_NAME = 250 };

/* One tensor's name, taken apart. */
struct part {
    char *prefix;
    enum torch_role role;
    uint32_t layer;
    bool reverse;
    const struct named_tensor *tensor;
};

/* What is known of modules besides their tensors; both may be NULL. */
struct sources {
    const json_t *spec, *facts;
};

/* Parts of one prefix. */
struct group {
    const struct part *parts;
    size_t n_parts;
};

static const char *const cell_names[] = {
    [TORCH_W_IH] = "weight_ih", [TORCH_W_HH] = "weight_hh", [TORCH_B_IH] = "bias_ih",
    [TORCH_B_HH] = "bias_hh",   [TORCH_W_HR] = "weight_hr",
};

/* "[64, 32]" */
static const char *shape_text(const struct named_tensor *tensor, char text[200])
{
    size_t used = 1;
    strcpy(text, "[");
    for (uint32_t i = 0; i < tensor->rank; i++)
        used += (size_t)snprintf(text + used, 200 - used, "%s%" PRIu64, i ? ", " : "",
                                 tensor->dims[i]);
    strcat(text, "]");
    return text;
}

static bool refuse_tensor(const struct named_tensor *tensor, const char *expected,
                          struct import_error *error)
{
    char shape[200];
    return import_fail(error, "tensor '%s' (%s %s): %s", tensor->name,
                       named_dtype_name(tensor->dtype), shape_text(tensor, shape), expected);
}

bool torch_is_recurrent(const struct torch_module *module)
{
    return import_gate_count(module->type) != 0;
}

const char *torch_module_name(const struct torch_module *module)
{
    if (*module->prefix)
        return module->prefix;
    switch (module->type) {
    case MODEL_LSTM: return "lstm";
    case MODEL_GRU: return "gru";
    case MODEL_RNN: return "rnn";
    case MODEL_DENSE: return "dense";
    case MODEL_EMBEDDING: return "embedding";
    case MODEL_SCALE: return "batch_norm";
    case MODEL_CONV1D: return "conv";
    default: return "layer_norm";
    }
}

/* What messages say before the type is known. */
static const char *prefix_text(const struct torch_module *module)
{
    return *module->prefix ? module->prefix : "(no name)";
}

/* ---- names --------------------------------------------------------------- */

/* What follows a cell's role: nothing (LSTMCell), or "_l12", then perhaps "_reverse". */
static bool read_suffix(const char *suffix, struct part *part)
{
    if (*suffix && strncmp(suffix, "_l", 2) == 0) {
        size_t n = strspn(suffix += 2, "0123456789");
        if (n == 0 || n > 4 || (n > 1 && *suffix == '0'))
            return false;
        part->layer = (uint32_t)strtoul(suffix, NULL, 10);
        suffix += n;
        if (strcmp(suffix, "_reverse") == 0) {
            part->reverse = true;
            suffix += strlen("_reverse");
        }
    }
    return *suffix == '\0';
}

static void read_role(const char *base, struct part *part)
{
    static const char *const names[] = {
        [TORCH_WEIGHT] = "weight",         [TORCH_BIAS] = "bias",
        [TORCH_MEAN] = "running_mean",     [TORCH_VARIANCE] = "running_var",
        [TORCH_TRACKED] = "num_batches_tracked",
    };
    part->role = TORCH_OTHER;
    for (unsigned role = TORCH_WEIGHT; role <= TORCH_TRACKED; role++)
        if (strcmp(base, names[role]) == 0)
            part->role = (enum torch_role)role;
    for (unsigned role = TORCH_W_IH; role <= TORCH_W_HR; role++) {
        size_t n = strlen(cell_names[role]);
        if (strncmp(base, cell_names[role], n) == 0 && read_suffix(base + n, part))
            part->role = (enum torch_role)role;
    }
}

static bool read_name(const struct named_tensor *tensor, struct part *part, struct import_error *error)
{
    const char *dot = strrchr(tensor->name, '.');
    size_t n_prefix = dot ? (size_t)(dot - tensor->name) : 0;
    if (strlen(tensor->name) > MAX_NAME || !spec_clean_text(tensor->name, false))
        return import_fail(error, "tensor '%.60s…': its name is longer than %d bytes or has control "
                           "characters", tensor->name, MAX_NAME);
    part->tensor = tensor;
    part->prefix = calloc(n_prefix + 1, 1);
    if (!part->prefix)
        return import_fail(error, "out of memory");
    memcpy(part->prefix, tensor->name, n_prefix);
    read_role(dot ? dot + 1 : tensor->name, part);
    return true;
}

static int compare_parts(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    int order = import_compare_names(x->prefix, y->prefix);
    return order ? order : strcmp(x->tensor->name, y->tensor->name);
}

/* ---- recurrent modules --------------------------------------------------- */

static bool has_shape(const struct named_tensor *tensor, uint64_t rows, uint64_t columns)
{
    if (columns == 0)
        return tensor->rank == 1 && tensor->dims[0] == rows;
    return tensor->rank == 2 && tensor->dims[0] == rows && tensor->dims[1] == columns;
}

static bool expect_shape(const struct named_tensor *tensor, uint64_t rows, uint64_t columns,
                         struct import_error *error)
{
    char expected[120];
    if (has_shape(tensor, rows, columns))
        return true;
    if (columns == 0)
        snprintf(expected, sizeof expected, "expected the shape [%" PRIu64 "]", rows);
    else
        snprintf(expected, sizeof expected, "expected the shape [%" PRIu64 ", %" PRIu64 "]", rows,
                 columns);
    return refuse_tensor(tensor, expected, error);
}

/* H and R from weight_hh and weight_hr, the type from the number of gates in the rows. */
static bool read_type(struct torch_module *module, const struct torch_cell *cell,
                      struct import_error *error)
{
    const struct named_tensor *hh = cell->tensors[TORCH_W_HH], *hr = cell->tensors[TORCH_W_HR];
    uint64_t hidden = hr && hr->rank == 2 ? hr->dims[1] : hh->dims[1];
    uint64_t rows = hh->dims[0];
    if (hh->rank != 2 || hidden == 0 || rows % hidden)
        return refuse_tensor(hh, "expected [gates · hidden, hidden]", error);
    module->type = rows / hidden == 4 ? MODEL_LSTM
                   : rows / hidden == 3 ? MODEL_GRU
                   : rows / hidden == 1 ? MODEL_RNN
                                        : 0;
    if (!module->type)
        return refuse_tensor(hh, "rows are not 4 (lstm), 3 (gru) or 1 (rnn) times the hidden units",
                             error);
    if (hr && module->type != MODEL_LSTM)
        return refuse_tensor(hr, "only an lstm can have a projection", error);
    module->hidden = (uint32_t)hidden;
    module->recurrent = (uint32_t)hh->dims[1];
    return true;
}

static bool check_cell(const struct torch_module *module, const struct torch_cell *cell,
                       uint64_t input, struct import_error *error)
{
    uint64_t rows = (uint64_t)import_gate_count(module->type) * module->hidden;
    const struct named_tensor *const *t = cell->tensors;
    return expect_shape(t[TORCH_W_IH], rows, input, error) &&
           expect_shape(t[TORCH_W_HH], rows, module->recurrent, error) &&
           (!t[TORCH_B_IH] || expect_shape(t[TORCH_B_IH], rows, 0, error)) &&
           (!t[TORCH_B_HH] || expect_shape(t[TORCH_B_HH], rows, 0, error)) &&
           (!t[TORCH_W_HR] || expect_shape(t[TORCH_W_HR], module->recurrent, module->hidden, error));
}

/* The cells must have the same tensors: those of the first one, which are `pattern`. */
static bool check_present(const struct torch_module *module, uint32_t layer, bool reverse,
                          const struct torch_cell *cell, const struct torch_cell *pattern,
                          struct import_error *error)
{
    for (unsigned role = TORCH_W_IH; role <= TORCH_W_HR; role++) {
        bool needed = role <= TORCH_W_HH || pattern->tensors[role];
        if (needed && !cell->tensors[role])
            return import_fail(error, "module '%s': %s of layer %u%s is missing",
                               prefix_text(module), cell_names[role], layer,
                               reverse ? " (reverse)" : "");
        if (!needed && cell->tensors[role])
            return refuse_tensor(cell->tensors[role], "other layers of this module have none", error);
    }
    if (!cell->tensors[TORCH_B_IH] != !cell->tensors[TORCH_B_HH])
        return import_fail(error, "module '%s': layer %u%s has one of bias_ih and bias_hh, expected "
                           "both or none", prefix_text(module), layer,
                           reverse ? " (reverse)" : "");
    return true;
}

static bool check_cells(struct torch_module *module, struct import_error *error)
{
    const struct torch_cell *first = &module->cells[0];
    if (!check_present(module, 0, false, first, first, error) ||
        !read_type(module, first, error))
        return false;
    if (first->tensors[TORCH_W_IH]->rank != 2)
        return refuse_tensor(first->tensors[TORCH_W_IH], "expected [gates · hidden, inputs]", error);
    module->output = module->n_directions * module->recurrent;
    module->input = (uint32_t)first->tensors[TORCH_W_IH]->dims[1];
    for (uint32_t layer = 0; layer < module->n_layers; layer++) {
        uint64_t input = layer ? module->output : module->input;
        for (unsigned reverse = 0; reverse < module->n_directions; reverse++) {
            const struct torch_cell *cell = &module->cells[2 * layer + reverse];
            if (!check_present(module, layer, reverse, cell, first, error) ||
                !check_cell(module, cell, input, error))
                return false;
        }
    }
    return true;
}

static bool place_cells(struct torch_module *module, const struct group *group,
                        struct import_error *error)
{
    for (size_t i = 0; i < group->n_parts; i++) {
        const struct part *part = &group->parts[i];
        const struct named_tensor **slot =
            &module->cells[2 * part->layer + part->reverse].tensors[part->role];
        if (*slot)
            return refuse_tensor(part->tensor, "the same weight is there under another name", error);
        *slot = part->tensor;
    }
    return true;
}

static bool read_recurrent(struct torch_module *module, const struct group *group,
                           struct import_error *error)
{
    bool forward = false, reverse = false;
    for (size_t i = 0; i < group->n_parts; i++) {
        const struct part *part = &group->parts[i];
        if (part->role > TORCH_W_HR)
            return refuse_tensor(part->tensor, "not a weight of the recurrent module it is named in",
                                 error);
        if (part->layer >= module->n_layers)
            module->n_layers = part->layer + 1;
        reverse |= part->reverse;
        forward |= !part->reverse;
    }
    /* A file cannot ask for memory for more layers than it has tensors. */
    if (module->n_layers > group->n_parts)
        return import_fail(error, "module '%s': names go up to layer %u, but only %zu tensors are "
                           "there", prefix_text(module), module->n_layers - 1, group->n_parts);
    if (!forward)
        return import_fail(error, "module '%s': the forward direction of layer 0 is missing",
                           prefix_text(module));
    module->n_directions = 1 + reverse;
    module->cells = calloc(2 * (size_t)module->n_layers, sizeof *module->cells);
    if (!module->cells)
        return import_fail(error, "out of memory");
    return place_cells(module, group, error) && check_cells(module, error);
}

/* ---- other modules ------------------------------------------------------- */

/* "embedding", "word_embed", "emb", "tok_emb": what nn.Embedding is called. */
static bool looks_like_embedding(const char *prefix)
{
    const char *dot = strrchr(prefix, '.');
    char name[MAX_NAME + 1];
    size_t n = 0;
    for (const char *c = dot ? dot + 1 : prefix; *c && n < MAX_NAME; c++)
        name[n++] = (char)tolower((unsigned char)*c);
    name[n] = '\0';
    return strstr(name, "embed") || strcmp(name, "emb") == 0 || strncmp(name, "emb_", 4) == 0 ||
           (n > 4 && strcmp(name + n - 4, "_emb") == 0);
}

static bool read_embedding(struct torch_module *module, struct import_error *error)
{
    const struct named_tensor *weight = module->weight;
    module->type = MODEL_EMBEDDING;
    if (weight->rank != 2)
        return refuse_tensor(weight, "an embedding's table has two dimensions", error);
    if (module->bias)
        return refuse_tensor(module->bias, "an embedding has no bias; is it a dense layer? Then give "
                             "its \"type\" under \"modules\" in --spec", error);
    module->input = 1;
    module->output = (uint32_t)weight->dims[1];
    return true;
}

static bool read_dense(struct torch_module *module, struct import_error *error)
{
    const struct named_tensor *weight = module->weight;
    bool one_tap = weight->rank == 3 && weight->dims[2] == 1; /* nn.Conv1d(…, 1) is a dense layer */
    module->type = MODEL_DENSE;
    if (weight->rank != 2 && !one_tap)
        return refuse_tensor(weight, "a dense layer's weight has two dimensions; other layers are not "
                             "known by their names", error);
    module->input = (uint32_t)weight->dims[1];
    module->output = (uint32_t)weight->dims[0];
    return !module->bias || expect_shape(module->bias, weight->dims[0], 0, error);
}

static bool read_norm(struct torch_module *module, bool by_spec, struct import_error *error)
{
    const struct named_tensor *weight = module->weight;
    module->type = MODEL_LAYER_NORM;
    if (weight->rank != 1)
        return refuse_tensor(weight, "a layer_norm's weight has one dimension", error);
    if (!module->bias && !by_spec)
        return refuse_tensor(weight, "a weight of one dimension without a bias; if it is a layer_norm, "
                             "give its \"type\" under \"modules\" in --spec", error);
    module->input = module->output = (uint32_t)weight->dims[0];
    return !module->bias || expect_shape(module->bias, weight->dims[0], 0, error);
}

/* For the size of the model's input; more than the outputs cannot be. */
static uint32_t groups_of(const struct torch_module *module)
{
    json_int_t groups = json_integer_value(json_object_get(module->hints, "groups"));
    return groups > 0 && groups <= (json_int_t)module->weight->dims[0] ? (uint32_t)groups : 1;
}

static bool read_conv(struct torch_module *module, struct import_error *error)
{
    const struct named_tensor *weight = module->weight;
    module->type = MODEL_CONV1D;
    if (weight->rank != 3)
        return refuse_tensor(weight, "a convolution's weight has three dimensions", error);
    module->input = (uint32_t)weight->dims[1] * groups_of(module);
    module->output = (uint32_t)weight->dims[0];
    return !module->bias || expect_shape(module->bias, weight->dims[0], 0, error);
}

static bool read_batch_norm(struct torch_module *module, struct import_error *error)
{
    const struct named_tensor *mean = module->mean;
    module->type = MODEL_SCALE;
    if (!mean || !module->variance)
        return refuse_tensor(mean ? mean : module->variance, "a batch_norm has both running_mean and "
                             "running_var", error);
    if (mean->rank != 1)
        return refuse_tensor(mean, "a batch_norm's mean has one dimension", error);
    module->input = module->output = (uint32_t)mean->dims[0];
    return expect_shape(module->variance, mean->dims[0], 0, error) &&
           (!module->weight || expect_shape(module->weight, mean->dims[0], 0, error)) &&
           (!module->bias || expect_shape(module->bias, mean->dims[0], 0, error));
}

static bool place_frame_tensors(struct torch_module *module, const struct group *group,
                                struct import_error *error)
{
    const struct named_tensor *tracked = NULL;
    for (size_t i = 0; i < group->n_parts; i++) {
        const struct part *part = &group->parts[i];
        switch (part->role) {
        case TORCH_WEIGHT: module->weight = part->tensor; break;
        case TORCH_BIAS: module->bias = part->tensor; break;
        case TORCH_MEAN: module->mean = part->tensor; break;
        case TORCH_VARIANCE: module->variance = part->tensor; break;
        case TORCH_TRACKED: tracked = part->tensor; break;
        default:
            return refuse_tensor(part->tensor, "not part of any layer known here; if the model works "
                                 "without it, list it under \"ignore\" in --spec", error);
        }
    }
    if (tracked && !module->mean)
        return refuse_tensor(tracked, "belongs to a batch_norm, but there is no running_mean beside it; if "
                                      "the "
                             "model works without it, list it under \"ignore\" in --spec", error);
    if (!module->weight && !module->mean && !module->variance)
        return refuse_tensor(module->bias, "a bias without a weight of the same name", error);
    return true;
}

static bool read_frame_module(struct torch_module *module, const char *type,
                              const struct group *group, struct import_error *error)
{
    if (!place_frame_tensors(module, group, error))
        return false;
    if (module->mean || module->variance)
        return read_batch_norm(module, error);
    if (type ? strcmp(type, "embedding") == 0
             : module->weight->rank == 2 && looks_like_embedding(module->prefix))
        return read_embedding(module, error);
    if (type ? strcmp(type, "layer_norm") == 0 : module->weight->rank == 1)
        return read_norm(module, type != NULL, error);
    if (type ? strcmp(type, "conv1d") == 0 || strcmp(type, "temporal_conv") == 0 : module->weight->rank == 3)
        return read_conv(module, error);
    return read_dense(module, error);
}

/* ---- what the spec says of a module -------------------------------------- */

const char *torch_type_name(const struct torch_module *module)
{
    static const struct { uint32_t type; const char *word; } rows[] = {
        {MODEL_LSTM, "lstm"},   {MODEL_GRU, "gru"},             {MODEL_RNN, "rnn"},
        {MODEL_DENSE, "dense"}, {MODEL_EMBEDDING, "embedding"}, {MODEL_LAYER_NORM, "layer_norm"},
        {MODEL_SCALE, "batch_norm"}, {MODEL_CONV1D, "conv1d"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].type == module->type)
            return rows[i].word;
    return "unknown";
}

/* Keys that mean something to a module of each type, but for "type". */
static bool hint_applies(const char *key, uint32_t type)
{
    bool recurrent = import_gate_count(type) != 0;
    if (strcmp(key, "activation") == 0 || strcmp(key, "alpha") == 0 || strcmp(key, "beta") == 0)
        return type == MODEL_DENSE || type == MODEL_RNN || type == MODEL_CONV1D;
    if (strcmp(key, "epsilon") == 0)
        return type == MODEL_LAYER_NORM || type == MODEL_SCALE;
    if (strcmp(key, "stride") == 0 || strcmp(key, "dilation") == 0 || strcmp(key, "padding") == 0 ||
        strcmp(key, "padding_mode") == 0 || strcmp(key, "groups") == 0)
        return type == MODEL_CONV1D;
    if (strcmp(key, "hidden_size") == 0)
        return recurrent;
    if (strcmp(key, "reset_after") == 0)
        return type == MODEL_GRU;
    return true;
}

static bool check_hints(const struct torch_module *module, struct import_error *error)
{
    json_t *hints = module->hints;
    const char *type = json_string_value(json_object_get(hints, "type")), *key;
    json_t *hidden = json_object_get(hints, "hidden_size"), *unused;
    bool conv = module->type == MODEL_CONV1D && type && strcmp(type, "temporal_conv") == 0;
    if (type && !conv && strcmp(type, torch_type_name(module)) != 0)
        return spec_fail(error, "$.modules.%s.type: \"%s\", but its tensors are those of type %s",
                         module->prefix, type, torch_type_name(module));
    json_object_foreach(hints, key, unused) {
        if (!hint_applies(key, module->type))
            return spec_fail(error, "$.modules.%s.%s: means nothing to type %s", module->prefix, key,
                             torch_type_name(module));
    }
    if (hidden && json_integer_value(hidden) != (json_int_t)module->hidden)
        return spec_fail(error, "$.modules.%s.hidden_size: %lld, but its tensors have %u hidden "
                         "units", module->prefix, (long long)json_integer_value(hidden),
                         module->hidden);
    return true;
}

static bool is_cell_part(const struct part *part)
{
    return part->role <= TORCH_W_HR;
}

/* A class that the file names but that is not known here: its tensors may look like another's. */
static bool check_class(const char *prefix, const json_t *hints, struct import_error *error)
{
    const char *class = json_string_value(json_object_get(hints, "class"));
    if (!class || json_object_get(hints, "type"))
        return true;
    return import_fail(error, "module '%s' is a %s, which is not supported; if one of the supported types "
                       "computes the same, give its \"type\" under \"modules\" in --spec", prefix, class);
}

/* The file's hints with the spec's over them. */
static json_t *join_hints(const struct sources *from, const char *prefix)
{
    json_t *given = json_object_get(json_object_get(from->spec, "modules"), prefix);
    json_t *known = json_object_get(json_object_get(from->facts, "modules"), prefix);
    json_t *hints = known ? json_copy(known) : json_object();
    if (hints && given && json_object_update(hints, given)) {
        json_decref(hints);
        return NULL;
    }
    return hints;
}

/* Fill module from the parts of one prefix. */
static bool read_module(struct torch_module *module, const struct group *group, const struct sources *from,
                        struct import_error *error)
{
    const char *prefix = group->parts[0].prefix, *type;
    bool recurrent = false, good;
    module->prefix = calloc(strlen(prefix) + 1, 1);
    module->hints = join_hints(from, prefix);
    if (!module->prefix || !module->hints)
        return import_fail(error, "out of memory");
    strcpy(module->prefix, prefix);
    if (!check_class(prefix, module->hints, error))
        return false;
    json_object_del(module->hints, "class");
    type = json_string_value(json_object_get(module->hints, "type"));
    for (size_t i = 0; i < group->n_parts; i++)
        recurrent |= is_cell_part(&group->parts[i]);
    good = recurrent ? read_recurrent(module, group, error)
                     : read_frame_module(module, type, group, error);
    return good && check_hints(module, error);
}

/* ---- the whole file ------------------------------------------------------ */

/* "ignore" entries are names, or with a '*' at the end the start of names. */
static bool matches(const char *pattern, const char *name)
{
    size_t n = strlen(pattern);
    if (n && pattern[n - 1] == '*')
        return strncmp(pattern, name, n - 1) == 0;
    return strcmp(pattern, name) == 0;
}

static bool is_ignored(const json_t *ignore, const char *name)
{
    size_t i;
    json_t *pattern;
    json_array_foreach(ignore, i, pattern)
        if (matches(json_string_value(pattern), name))
            return true;
    return false;
}

static bool ignores_something(const struct named_tensors *file, const char *pattern)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        if (matches(pattern, file->tensors[i].name))
            return true;
    return false;
}

enum { MAX_IGNORE = 256 }; /* patterns: each is tried on each tensor */

static bool check_ignore(const struct named_tensors *file, const json_t *ignore,
                         struct import_error *error)
{
    size_t i;
    json_t *pattern;
    if (json_array_size(ignore) > MAX_IGNORE)
        return spec_fail(error, "$.ignore: %zu names, at most %d are read; a '*' at the end "
                         "stands for anything", json_array_size(ignore), MAX_IGNORE);
    json_array_foreach(ignore, i, pattern)
        if (!ignores_something(file, json_string_value(pattern)))
            return spec_fail(error, "$.ignore[%zu]: no tensor is named '%s'", i,
                             json_string_value(pattern));
    return true;
}

static bool check_numbers(const struct part *part, struct import_error *error)
{
    const struct named_tensor *tensor = part->tensor;
    bool floats = tensor->dtype == NT_F32 || tensor->dtype == NT_F16 || tensor->dtype == NT_BF16 ||
                  tensor->dtype == NT_F64;
    if (part->role == TORCH_TRACKED)
        return true;
    if (!floats)
        return refuse_tensor(tensor, "its type is not F32, F16, BF16 or F64; if the model works without "
                             "it, list it under \"ignore\" in --spec", error);
    for (uint32_t i = 0; i < tensor->rank; i++)
        if (tensor->dims[i] == 0 || tensor->dims[i] > MODEL_MAX_DIM)
            return refuse_tensor(tensor, "dimensions must be from 1 to 16777216", error);
    return true;
}

/* Take all names apart; *n_out counts the parts begun, so that they can be freed. */
static bool read_parts(const struct named_tensors *file, const json_t *ignore, struct part *parts,
                       size_t *n_out, struct import_error *error)
{
    for (size_t i = 0; i < file->n_tensors; i++) {
        const struct named_tensor *tensor = &file->tensors[i];
        if (is_ignored(ignore, tensor->name))
            continue;
        struct part *part = &parts[(*n_out)++];
        if (!read_name(tensor, part, error) || !check_numbers(part, error))
            return false;
    }
    qsort(parts, *n_out, sizeof *parts, compare_parts);
    return true;
}

static bool read_modules(const struct part *parts, size_t n_parts, const struct sources *from,
                         struct torch_modules *out, struct import_error *error)
{
    for (size_t i = 0; i < n_parts;) {
        struct group group = {parts + i, 1};
        while (i + group.n_parts < n_parts &&
               strcmp(parts[i + group.n_parts].prefix, parts[i].prefix) == 0)
            group.n_parts++;
        if (!read_module(&out->modules[out->n_modules++], &group, from, error))
            return false;
        i += group.n_parts;
    }
    return true;
}

/* Hints for modules that are not there are mistakes. */
static bool check_hinted(const struct torch_modules *modules, const json_t *spec,
                         struct import_error *error)
{
    const char *prefix;
    json_t *unused;
    json_object_foreach(json_object_get(spec, "modules"), prefix, unused) {
        if (!torch_modules_get(modules, prefix))
            return spec_fail(error, "$.modules.%s: the file has no module of that name", prefix);
    }
    return true;
}

bool torch_modules_find(const struct named_tensors *tensors, const json_t *spec,
                        struct torch_modules *out, struct import_error *error)
{
    const struct sources from = {spec, tensors->facts};
    const json_t *ignore = json_object_get(spec, "ignore");
    struct part *parts = calloc(tensors->n_tensors + 1, sizeof *parts);
    size_t n_parts = 0;
    bool good;
    memset(out, 0, sizeof *out);
    out->modules = calloc(tensors->n_tensors + 1, sizeof *out->modules);
    good = parts && out->modules ? true : import_fail(error, "out of memory");
    good = good && check_ignore(tensors, ignore, error) &&
           read_parts(tensors, ignore, parts, &n_parts, error) &&
           read_modules(parts, n_parts, &from, out, error) && check_hinted(out, spec, error);
    for (size_t i = 0; i < n_parts; i++)
        free(parts[i].prefix);
    free(parts);
    if (!good)
        torch_modules_free(out);
    return good;
}

void torch_modules_free(struct torch_modules *modules)
{
    for (size_t i = 0; i < modules->n_modules; i++) {
        free(modules->modules[i].prefix);
        free(modules->modules[i].cells);
        json_decref(modules->modules[i].hints);
    }
    free(modules->modules);
    memset(modules, 0, sizeof *modules);
}

static int compare_prefix(const void *prefix, const void *module)
{
    return import_compare_names(prefix, ((const struct torch_module *)module)->prefix);
}

const struct torch_module *torch_modules_get(const struct torch_modules *modules, const char *prefix)
{
    return bsearch(prefix, modules->modules, modules->n_modules, sizeof *modules->modules,
                   compare_prefix);
}
