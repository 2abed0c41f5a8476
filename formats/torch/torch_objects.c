/* SPDX-License-Identifier: MIT
 *
 * Pickled modules (torch.save(model)) and TorchScript: their tensors, and what their classes
 * and attributes tell of layers. Code is neither there nor run.
 */
#include <stdio.h>
#include <string.h>

#include "formats/torch/torch_collect.h"

enum { MAX_MODULE_DEPTH = 64, MAX_LOOKED = 1 << 23, PATH = TORCH_MAX_NAME };

/* The way through an nn.Sequential: the module with weights that was passed last, "": none. */
struct chain {
    char last[PATH];
};

/* One module on the walk. */
struct visit {
    const struct pickle_value *object, *attributes;
    const char *path;     /* "head.0" */
    char class[200];      /* "torch.nn.modules.linear.Linear" */
    const char *own_name; /* "Linear" in it if the class is PyTorch's, else "" */
    struct chain *chain;
};

static bool out_of_memory(const struct torch_collector *work)
{
    return import_fail(work->error, "out of memory");
}

/* ---- objects ------------------------------------------------------------- */

const struct pickle_value *torch_attributes(const struct torch_file *file, const struct pickle_value *value)
{
    const struct pickle_value *state;
    if (!value || value->type != PICKLE_RECORD)
        return NULL;
    state = pickle_get(&file->pickle, value->as.record.state);
    if (state && state->type == PICKLE_TUPLE) /* (attributes, slots) */
        state = pickle_item(&file->pickle, state, 0);
    return state && state->type == PICKLE_DICT ? state : NULL;
}

static bool begins_with(const char *text, size_t n, const char *start)
{
    return n >= strlen(start) && memcmp(text, start, strlen(start)) == 0;
}

/* The class of an object. Legacy files keep a class with its source text as something of their own:
 * ("module", class, file, text). */
static const struct pickle_value *class_of(const struct torch_file *file, const struct pickle_value *value)
{
    const struct pickle_value *class = pickle_callee_of(&file->pickle, value);
    if (class && class->type == PICKLE_PERSISTENT)
        class = pickle_item(&file->pickle, pickle_get(&file->pickle, class->as.record.arguments), 1);
    return class && class->type == PICKLE_GLOBAL ? class : NULL;
}

static bool is_script(const struct torch_file *file, const struct pickle_value *value)
{
    const struct pickle_value *class = class_of(file, value);
    return class && begins_with(class->as.global.module, class->as.global.n_module, "__torch__");
}

bool torch_is_module(const struct torch_file *file, const struct pickle_value *value)
{
    const struct pickle_value *attributes = torch_attributes(file, value);
    if (!attributes)
        return false;
    return is_script(file, value) || (pickle_lookup(&file->pickle, attributes, "_parameters") &&
                                      pickle_lookup(&file->pickle, attributes, "_modules"));
}

const struct pickle_value *torch_submodule(const struct torch_file *file, const struct pickle_value *value,
                                           const char *path, size_t *n_out)
{
    const struct pickle_value *attributes = torch_attributes(file, value);
    const struct pickle_value *modules = pickle_lookup(&file->pickle, attributes, "_modules");
    char name[PATH];
    *n_out = strcspn(path, ".");
    snprintf(name, sizeof name, "%.*s", (int)(*n_out < PATH ? *n_out : PATH), path);
    return modules ? pickle_lookup(&file->pickle, modules, name) : NULL;
}

/* "__torch__.torch.nn.modules.rnn.___torch_mangle_3" and "LSTM" as "torch.nn.modules.rnn.LSTM". */
static void name_class(const struct torch_file *file, struct visit *visit)
{
    static const char script[] = "__torch__.", mangled[] = ".___torch_mangle";
    char *found;
    pickle_describe(&file->pickle, class_of(file, visit->object), visit->class, sizeof visit->class);
    if (strncmp(visit->class, script, strlen(script)) == 0)
        memmove(visit->class, visit->class + strlen(script), strlen(visit->class) - strlen(script) + 1);
    found = strstr(visit->class, mangled);
    if (found) {
        char *rest = strrchr(visit->class, '.');
        memmove(found, rest, strlen(rest) + 1);
    }
    found = strrchr(visit->class, '.');
    visit->own_name = strncmp(visit->class, "torch.nn.", 9) == 0 && found ? found + 1 : "";
}

/* ---- attributes ---------------------------------------------------------- */

static const struct pickle_value *attribute(const struct torch_collector *work, const struct visit *visit,
                                            const char *name)
{
    return pickle_lookup(&work->file->pickle, visit->attributes, name);
}

static bool number_of(const struct torch_collector *work, const struct visit *visit, const char *name,
                      double *out)
{
    const struct pickle_value *value = attribute(work, visit, name);
    if (!value || (value->type != PICKLE_FLOAT && value->type != PICKLE_INT))
        return false;
    *out = value->type == PICKLE_FLOAT ? value->as.number : (double)value->as.integer;
    return *out >= -1e30 && *out <= 1e30;
}

/* "(3,)" or 3. */
static bool size_of(const struct torch_collector *work, const struct visit *visit, const char *name,
                    int64_t *out)
{
    const struct pickle_value *value = attribute(work, visit, name);
    if (value && value->type == PICKLE_TUPLE)
        value = pickle_item(&work->file->pickle, value, 0);
    if (!value || value->type != PICKLE_INT || value->as.integer < 0 || value->as.integer > 1 << 20)
        return false;
    *out = value->as.integer;
    return true;
}

/* ---- what classes tell --------------------------------------------------- */

/* The module cannot be used as it looks unless the spec says what it is. */
static bool doubt(const struct torch_collector *work, json_t *hints, const char *what)
{
    json_object_del(hints, "type");
    return json_object_set_new(hints, "class", json_string(what)) == 0 || out_of_memory(work);
}

static bool hint_epsilon(struct torch_collector *work, const struct visit *visit, json_t *hints)
{
    double epsilon;
    if (!number_of(work, visit, "eps", &epsilon))
        return true;
    return json_object_set_new(hints, "epsilon", json_real(epsilon)) == 0 || out_of_memory(work);
}

static bool hint_rnn(struct torch_collector *work, const struct visit *visit, json_t *hints)
{
    const struct pickle_value *kind = attribute(work, visit, "nonlinearity");
    const struct pickle_value *mode = attribute(work, visit, "mode");
    bool relu = pickle_is_text(kind, "relu") || pickle_is_text(mode, "RNN_RELU");
    bool tanh = pickle_is_text(kind, "tanh") || pickle_is_text(mode, "RNN_TANH");
    if (!relu && !tanh)
        return doubt(work, hints, "plain RNN, and whether of tanh or relu only its code tells");
    return json_object_set_new(hints, "activation", json_string(relu ? "relu" : "tanh")) == 0 ||
           out_of_memory(work);
}

static bool hint_embedding(struct torch_collector *work, const struct visit *visit, json_t *hints)
{
    const struct pickle_value *most = attribute(work, visit, "max_norm");
    return !most || most->type == PICKLE_NONE || doubt(work, hints, "torch.nn.Embedding with max_norm");
}

/* "same" leaves as many positions as there were, one more behind where it cannot be even. */
static json_t *padding_of(const struct torch_collector *work, const struct visit *visit)
{
    const struct pickle_value *text = attribute(work, visit, "padding");
    int64_t padding, taps, dilation;
    if (size_of(work, visit, "padding", &padding))
        return json_integer(padding);
    if (pickle_is_text(text, "valid"))
        return json_integer(0);
    if (!pickle_is_text(text, "same") || !size_of(work, visit, "kernel_size", &taps) || taps < 1 ||
        !size_of(work, visit, "dilation", &dilation) || (taps - 1) * dilation > MODEL_MAX_DIM)
        return NULL;
    padding = (taps - 1) * dilation;
    return json_pack("[I,I]", (json_int_t)(padding / 2), (json_int_t)(padding - padding / 2));
}

static bool hint_conv(struct torch_collector *work, const struct visit *visit, json_t *hints)
{
    const struct pickle_value *mode = attribute(work, visit, "padding_mode");
    json_t *padding = padding_of(work, visit);
    int64_t stride, dilation, groups;
    if (!padding)
        return true; /* TorchScript: only the code tells, so the spec has to */
    if (json_object_set_new(hints, "padding", padding))
        return out_of_memory(work);
    if (size_of(work, visit, "stride", &stride) && json_object_set_new(hints, "stride", json_integer(stride)))
        return out_of_memory(work);
    if (size_of(work, visit, "dilation", &dilation) &&
        json_object_set_new(hints, "dilation", json_integer(dilation)))
        return out_of_memory(work);
    if (size_of(work, visit, "groups", &groups) && json_object_set_new(hints, "groups", json_integer(groups)))
        return out_of_memory(work);
    if (pickle_is_text(mode, "circular"))
        return doubt(work, hints, "torch.nn.Conv1d with circular padding");
    if (pickle_is_text(mode, "reflect") || pickle_is_text(mode, "replicate"))
        return json_object_set_new(hints, "padding_mode",
                                   json_stringn(mode->as.bytes.start, mode->as.bytes.n)) == 0 ||
               out_of_memory(work);
    return true;
}

static const struct {
    const char *class, *type;
    bool (*hint)(struct torch_collector *work, const struct visit *visit, json_t *hints);
} with_weights[] = {
    {"LSTM", "lstm", NULL},
    {"LSTMCell", "lstm", NULL},
    {"GRU", "gru", NULL},
    {"GRUCell", "gru", NULL},
    {"RNN", "rnn", hint_rnn},
    {"RNNCell", "rnn", hint_rnn},
    {"Linear", "dense", NULL},
    {"NonDynamicallyQuantizableLinear", "dense", NULL},
    {"Embedding", "embedding", hint_embedding},
    {"LayerNorm", "layer_norm", hint_epsilon},
    {"BatchNorm1d", "batch_norm", hint_epsilon},
    {"Conv1d", NULL, hint_conv},
};

/* What is known of a module with tensors of its own. */
static bool add_hints(struct torch_collector *work, const struct visit *visit)
{
    json_t *hints = json_object();
    bool known = *visit->own_name == '\0', good = hints != NULL;
    for (size_t i = 0; good && i < sizeof with_weights / sizeof *with_weights; i++) {
        if (strcmp(visit->own_name, with_weights[i].class) != 0)
            continue;
        known = true;
        if (with_weights[i].type)
            good = json_object_set_new(hints, "type", json_string(with_weights[i].type)) == 0;
        good = good && (!with_weights[i].hint || with_weights[i].hint(work, visit, hints));
    }
    if (good && !known)
        good = doubt(work, hints, visit->class);
    good = good && json_object_set(json_object_get(work->out->facts, "modules"), visit->path, hints) == 0;
    json_decref(hints);
    return good || out_of_memory(work);
}

/* ---- layers without weights ---------------------------------------------- */

static const struct {
    const char *class, *activation, *alpha; /* the attribute */
} activations[] = {
    {"ReLU", "relu", NULL},           {"Tanh", "tanh", NULL},
    {"Sigmoid", "sigmoid", NULL},     {"Softsign", "softsign", NULL},
    {"LeakyReLU", "leaky_relu", "negative_slope"}, {"ELU", "elu", "alpha"},
    {"Hardsigmoid", "hard_sigmoid", NULL},
};

static bool is_nothing(const struct visit *visit)
{
    static const char *const nothings[] = {"Dropout", "Dropout1d", "AlphaDropout", "FeatureAlphaDropout",
                                           "Identity",
                                           "ModuleList", "ModuleDict", "Sequential", "ParameterList",
                                           "ParameterDict"};
    size_t n = strlen(visit->own_name);
    for (size_t i = 0; i < sizeof nothings / sizeof *nothings; i++)
        if (strcmp(visit->own_name, nothings[i]) == 0)
            return true;
    return n > 4 && strcmp(visit->own_name + n - 4, "Loss") == 0; /* for training */
}

/* Softplus(beta 1) is linear beyond its threshold, where f32 cannot tell the difference. */
static bool is_softplus(const struct torch_collector *work, const struct visit *visit)
{
    double beta, threshold;
    return strcmp(visit->own_name, "Softplus") == 0 && number_of(work, visit, "beta", &beta) && beta == 1 &&
           number_of(work, visit, "threshold", &threshold) && threshold >= 18;
}

/* The entry of "layers" for a module without weights; NULL: unknown. */
static json_t *entry_of(const struct torch_collector *work, const struct visit *visit)
{
    double number;
    if (strcmp(visit->own_name, "Softmax") == 0 && number_of(work, visit, "dim", &number) && number == -1)
        return json_pack("{s:s}", "type", "softmax");
    if (is_softplus(work, visit))
        return json_pack("{s:s, s:s}", "type", "activation", "activation", "softplus");
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
        if (strcmp(visit->own_name, activations[i].class) != 0)
            continue;
        if (!activations[i].alpha)
            return json_pack("{s:s, s:s}", "type", "activation", "activation", activations[i].activation);
        if (number_of(work, visit, activations[i].alpha, &number))
            return json_pack("{s:s, s:s, s:f}", "type", "activation", "activation", activations[i].activation,
                             "alpha",
                             number);
    }
    return NULL;
}

/* Runs right behind the module passed last, if this is a Sequential and there was one. */
static bool place_weightless(struct torch_collector *work, const struct visit *visit)
{
    json_t *behind = json_object_get(work->out->facts, "behind"), *entry, *list;
    if (is_nothing(visit))
        return true;
    entry = entry_of(work, visit);
    if (!entry || !visit->chain || !*visit->chain->last) {
        char text[PATH + 220];
        json_decref(entry);
        snprintf(text, sizeof text, "'%s' (%s)", visit->path, visit->class);
        return json_array_append_new(json_object_get(work->out->facts, "unplaced"), json_string(text)) == 0 ||
               out_of_memory(work);
    }
    list = json_object_get(behind, visit->chain->last);
    if (!list && json_object_set_new(behind, visit->chain->last, json_array()) == 0)
        list = json_object_get(behind, visit->chain->last);
    return (json_object_set_new(entry, "name", json_string(visit->path)) == 0 && list &&
            json_array_append_new(list, entry) == 0) || out_of_memory(work);
}

/* ---- the walk ------------------------------------------------------------ */

static bool walk(struct torch_collector *work, const struct pickle_value *object, const char *path,
                 unsigned depth,
                 struct chain *chain);

/* "path.key", or the key alone. */
static bool join(struct torch_collector *work, const char *path, const struct pickle_value *key, char *out)
{
    char name[PATH];
    return (torch_key_text(key, name, sizeof name) &&
            snprintf(out, PATH, "%s%s%s", path, *path ? "." : "", name) < PATH) ||
           import_fail(work->error, "a name inside module '%.100s' is no text or too long", path);
}

static bool is_in_set(struct torch_collector *work, const struct pickle_value *set,
                      const struct pickle_value *text)
{
    const struct pickle *pickle = &work->file->pickle;
    char name[PATH];
    if (!set || !torch_key_text(text, name, sizeof name))
        return false;
    work->n_looked += set->n_items;
    for (uint32_t i = 0; i < set->n_items && work->n_looked <= MAX_LOOKED; i++)
        if (pickle_is_text(pickle_item(pickle, set, i), name))
            return true;
    return false;
}

/* The tensors of a dict of parameters, buffers or attributes. */
static bool add_tensors(struct torch_collector *work, const struct visit *visit,
                        const struct pickle_value *dict,
                        const struct pickle_value *but, size_t *n)
{
    const struct pickle *pickle = &work->file->pickle;
    for (uint32_t i = 0; dict && i + 1 < dict->n_items; i += 2) {
        const struct pickle_value *value = pickle_item(pickle, dict, i + 1);
        char name[PATH];
        if (!torch_is_tensor(work->file, value) || is_in_set(work, but, pickle_item(pickle, dict, i)))
            continue;
        if (!join(work, visit->path, pickle_item(pickle, dict, i), name) ||
            !torch_collect_tensor(work, name, value))
            return false;
        ++*n;
    }
    return true;
}

static bool walk_children(struct torch_collector *work, const struct visit *visit,
                          const struct pickle_value *dict,
                          unsigned depth, size_t *n)
{
    const struct pickle *pickle = &work->file->pickle;
    bool sequential = strcmp(visit->own_name, "Sequential") == 0;
    struct chain own = {""}, *chain = visit->chain ? visit->chain : &own;
    for (uint32_t i = 0; dict && i + 1 < dict->n_items; i += 2) {
        const struct pickle_value *child = pickle_item(pickle, dict, i + 1);
        char path[PATH];
        if (!torch_is_module(work->file, child))
            continue;
        if (!join(work, visit->path, pickle_item(pickle, dict, i), path) ||
            !walk(work, child, path, depth + 1, sequential ? chain : NULL))
            return false;
        ++*n;
    }
    return true;
}

/* Tensors and children of one module, counted. */
static bool visit_parts(struct torch_collector *work, const struct visit *visit, unsigned depth,
                        size_t *n_tensors,
                        size_t *n_children)
{
    const struct pickle_value *children = visit->attributes, *not_saved = NULL;
    bool script = is_script(work->file, visit->object), good;
    if (script) {
        good = add_tensors(work, visit, visit->attributes, NULL, n_tensors);
    } else {
        children = attribute(work, visit, "_modules");
        not_saved = attribute(work, visit, "_non_persistent_buffers_set");
        if (not_saved && not_saved->type == PICKLE_RECORD) /* set([…]) of protocol 2 */
            not_saved = pickle_item(&work->file->pickle,
                                    pickle_get(&work->file->pickle, not_saved->as.record.arguments), 0);
        good = add_tensors(work, visit, attribute(work, visit, "_parameters"), NULL, n_tensors) &&
               add_tensors(work, visit, attribute(work, visit, "_buffers"), not_saved, n_tensors);
    }
    if (good && *n_tensors && visit->chain)
        snprintf(visit->chain->last, PATH, "%s", visit->path);
    return good && walk_children(work, visit, children, depth, n_children);
}

static bool walk(struct torch_collector *work, const struct pickle_value *object, const char *path,
                 unsigned depth,
                 struct chain *chain)
{
    struct visit visit = {.object = object, .path = path, .chain = chain,
                          .attributes = torch_attributes(work->file, object)};
    size_t n_tensors = 0, n_children = 0;
    work->n_looked += 1 + visit.attributes->n_items;
    if (depth > MAX_MODULE_DEPTH || work->n_looked > MAX_LOOKED)
        return import_fail(work->error, "module '%.100s': too many modules, or more than %d inside each "
                                        "other", path,
                           MAX_MODULE_DEPTH);
    name_class(work->file, &visit);
    if (!visit_parts(work, &visit, depth, &n_tensors, &n_children))
        return false;
    if (n_tensors)
        return add_hints(work, &visit);
    if (n_children == 0)
        return place_weightless(work, &visit);
    if (chain && strcmp(visit.own_name, "Sequential") != 0)
        chain->last[0] = '\0'; /* what runs in there, and in which order, is not known */
    return true;
}

/* What only passes calls on to its one child. */
static const struct pickle_value *unwrap(const struct torch_file *file, const struct pickle_value *module)
{
    static const struct { const char *class, *child; } wrappers[] = {
        {"torch.nn.parallel.data_parallel.DataParallel", "module"},
        {"torch.nn.parallel.distributed.DistributedDataParallel", "module"},
        {"torch._dynamo.eval_frame.OptimizedModule", "_orig_mod"},
    };
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++) {
        char class[200];
        size_t n;
        if (strcmp(pickle_describe(&file->pickle, class_of(file, module), class, sizeof class),
                   wrappers[i].class) == 0) {
            const struct pickle_value *child = torch_submodule(file, module, wrappers[i].child, &n);
            return child && torch_is_module(file, child) ? child : module;
        }
    }
    return module;
}

bool torch_collect_module(struct torch_collector *work, const struct pickle_value *module)
{
    if (!walk(work, unwrap(work->file, module), "", 0, NULL))
        return false;
    return work->out->n_tensors > 0 ||
           import_fail(work->error, "the module in the file has no tensors (TorchScript that was frozen "
                                    "keeps none by name)");
}
