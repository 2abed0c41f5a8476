/* SPDX-License-Identifier: MIT
 *
 * The ONNX importer: what the seeds become, and files that are damaged, wrong or hostile.
 * Numbers against ONNX Runtime are in frameworks/onnx_nodes.py and onnx_export.py.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/failing_malloc.h"
#include "tests/onnx_files.h"

static const char if_spec[] = "{\"constants\": {\"sr\": 16000}, \"input\": {\"size\": 1, \"context\": 1}}";
static const struct {
    const char *name, *spec;
} seeds[] = {{"gru", NULL},  {"layers", NULL}, {"lstm", NULL}, {"rnn", NULL},
             {"cell", NULL}, {"conv", NULL},   {"if", if_spec}, {"loop", NULL},
             {"stride", NULL}, {"unrolled", NULL}, {"byhand", NULL}, {"while", NULL}};
enum { N_SEEDS = sizeof seeds / sizeof *seeds };

static Onnx__NodeProto *find_node(Onnx__ModelProto *model, const char *op)
{
    for (size_t i = 0; i < model->graph->n_node; i++)
        if (strcmp(model->graph->node[i]->op_type, op) == 0)
            return model->graph->node[i];
    cr_assert(false, "no node %s", op);
    return NULL;
}

static Onnx__AttributeProto *find_attribute(Onnx__NodeProto *node, const char *name)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (strcmp(node->attribute[i]->name, name) == 0)
            return node->attribute[i];
    cr_assert(false, "no attribute %s", name);
    return NULL;
}

/* ---- what seeds become --------------------------------------------------- */

Test(import_onnx, layers_of_the_seeds)
{
    static const struct {
        const char *name;
        uint32_t n, types[10];
        const char *spec;
    } rows[] = {
        {"gru", 3, {MODEL_GRU, MODEL_LAYER_NORM, MODEL_LAST}, NULL},
        {"lstm", 3, {MODEL_LSTM, MODEL_DENSE, MODEL_SOFTMAX}, NULL},
        {"rnn", 4, {MODEL_EMBEDDING, MODEL_RNN, MODEL_LAST, MODEL_DENSE}, NULL},
        {"layers", 10, {MODEL_SLICE, MODEL_SLICE, MODEL_SLICE, MODEL_ACTIVATION, MODEL_MUL, MODEL_CONCAT,
                        MODEL_SCALE, MODEL_SCALE, MODEL_ADD, MODEL_MEAN}, NULL},
        {"loop", 1, {MODEL_LSTM}, NULL},
        {"while", 1, {MODEL_RNN}, NULL},
        {"unrolled", 3, {MODEL_RNN, MODEL_RNN, MODEL_CONCAT}, NULL},
        {"byhand", 3, {MODEL_LSTM, MODEL_GRU, MODEL_SCALE}, NULL},
        {"stride", 4, {MODEL_TEMPORAL_CONV, MODEL_ACTIVATION, MODEL_ADD, MODEL_GRU}, NULL},
        {"cell", 3, {MODEL_LSTM, MODEL_GRU, MODEL_RNN}, NULL},
        {"conv", 6, {MODEL_RESHAPE, MODEL_CONV1D, MODEL_MAGNITUDE, MODEL_CONV1D, MODEL_L2_NORM,
                     MODEL_ACTIVATION}, NULL},
        {"if", 6, {MODEL_SLICE, MODEL_DELAY, MODEL_CONCAT, MODEL_ACTIVATION, MODEL_ACTIVATION, MODEL_LSTM},
         if_spec},
        {"if", 3, {MODEL_ACTIVATION, MODEL_ACTIVATION, MODEL_LSTM},
         "{\"constants\": {\"sr\": 16000}, \"input\": {\"size\": 2}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct imported imported = import_seed(rows[i].name, rows[i].spec);
        expect_types(&imported, rows[i].n, rows[i].types);
        imported_free(&imported);
    }
}

Test(import_onnx, gates_of_an_lstm)
{
    enum { H = 3, I = 2 };
    static const size_t block[] = {0, 2, 3, 1}; /* of i, f, g, o among ONNX's i, o, f, c */
    static const size_t peephole[] = {0, 2, 1}; /* of i, f, o among i, o, f */
    struct imported imported = import_seed("lstm", NULL);
    struct model_layer layer;
    struct model_tensor w, b, p;
    model_get_layer(&imported.view, 0, &layer);
    model_get_tensor(&imported.view, layer.tensors[MODEL_SLOT_W], &w);
    model_get_tensor(&imported.view, layer.tensors[MODEL_SLOT_BIAS], &b);
    model_get_tensor(&imported.view, layer.tensors[MODEL_SLOT_PEEPHOLE], &p);
    for (size_t g = 0; g < 4; g++) {
        for (size_t u = 0; u < H; u++) {
            const float *row = (const float *)w.data + (g * H + u) * (H + I);
            size_t from = block[g] * H + u;
            for (size_t k = 0; k < H; k++)
                cr_expect_eq(row[k], seed_number(from * H + k), "R %zu %zu %zu", g, u, k);
            for (size_t k = 0; k < I; k++)
                cr_expect_eq(row[H + k], seed_number(from * I + k), "W %zu %zu %zu", g, u, k);
            cr_expect_eq(((const float *)b.data)[g * H + u], seed_number(from) + seed_number(4 * H + from));
        }
    }
    for (size_t g = 0; g < 3; g++)
        for (size_t u = 0; u < H; u++)
            cr_expect_eq(((const float *)p.data)[g * H + u], seed_number(peephole[g] * H + u));
    imported_free(&imported);
}

Test(import_onnx, attributes_of_an_lstm)
{
    struct imported imported = import_seed("lstm", NULL);
    struct model_layer layer;
    model_get_layer(&imported.view, 0, &layer);
    cr_expect_eq(layer.params[MODEL_RNN_HIDDEN], 3);
    cr_expect_eq(layer.params[MODEL_RNN_FLAGS], MODEL_FLAG_COUPLED);
    cr_expect_eq(model_bits_float(layer.params[MODEL_RNN_CLIP]), 2.0f);
    cr_expect_eq(layer.params[MODEL_RNN_ACTS],
                 MODEL_ACT_HARD_SIGMOID | MODEL_ACT_TANH << 8 | MODEL_ACT_AFFINE << 16);
    static const float numbers[] = {0.25f, 0.5f, 0, 0, 2, 0.125f};
    for (size_t i = 0; i < 6; i++)
        cr_expect_eq(model_bits_float(layer.params[MODEL_RNN_ACTS + 1 + i]), numbers[i], "%zu", i);
    cr_expect(strstr(imported.notes, "'h0'") && strstr(imported.notes, "'hn'"), "%s", imported.notes);
    imported_free(&imported);
}

/* ONNX has [out][in / groups][positions], the model file [out][positions][in / groups]. */
Test(import_onnx, weights_of_a_convolution)
{
    struct imported imported = import_seed("conv", NULL);
    struct model_layer layer;
    struct model_tensor w;
    static const uint32_t words[] = {2, 1, 1, 3, MODEL_PAD_REFLECT, 1, MODEL_ACT_IDENTITY};
    model_get_layer(&imported.view, 1, &layer);
    model_get_tensor(&imported.view, layer.tensors[0], &w);
    cr_expect(w.rank == 3 && w.dims[0] == 6 && w.dims[1] == 4 && w.dims[2] == 1);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        cr_expect_eq(layer.params[i], words[i], "word %zu", i);
    for (size_t k = 0; k < 24; k++)
        cr_expect_eq(((const float *)w.data)[k], seed_number(k), "%zu", k);
    model_get_layer(&imported.view, 3, &layer);
    cr_expect_eq(layer.params[MODEL_CONV_GROUPS], 3);
    cr_expect_eq(layer.params[MODEL_CONV_ACT], MODEL_ACT_RELU);
    imported_free(&imported);
}

Test(import_onnx, metadata_and_spec)
{
    static const char spec[] = "{\"output\": \"y\", \"author\": \"me\", \"labels\": [\"a\", \"b\"]}";
    struct imported imported = import_seed("lstm", spec);
    bool author = false, labels = false;
    for (uint32_t i = 0; i < imported.view.n_metadata; i++) {
        struct model_string key, value;
        model_get_metadata(&imported.view, i, &key, &value);
        author |= strcmp(key.text, "author") == 0 && strcmp(value.text, "me") == 0;
        labels |= strcmp(key.text, "labels") == 0 && strcmp(value.text, "a\nb") == 0;
    }
    cr_expect(author && labels, "the spec's author and labels are in the file");
    imported_free(&imported);
}

/* ---- damaged bytes ------------------------------------------------------- */

Test(import_onnx, cut_off_anywhere, .timeout = 120)
{
    enum { METADATA = 16 }; /* {"author": "seed"} */
    for (size_t s = 0; s < N_SEEDS; s++) {
        struct file file = read_seed(seeds[s].name);
        for (size_t n = 0; n < file.n_bytes; n++) {
            uint8_t *copy = malloc(n + 1); /* its own block: reading beyond it shows */
            struct imported imported;
            memcpy(copy, file.bytes, n);
            import_bytes(copy, n, seeds[s].spec, &imported);
            /* Metadata comes last and may be missing; nothing says that it was there. */
            cr_assert(imported.good ? n == file.n_bytes - METADATA : imported.error[0], "%s cut to %zu bytes",
                      seeds[s].name, n);
            imported_free(&imported);
            free(copy);
        }
        free(file.bytes);
    }
}

Test(import_onnx, one_bit_wrong, .timeout = 120)
{
    for (size_t s = 0; s < N_SEEDS; s++) {
        struct file file = read_seed(seeds[s].name);
        for (size_t i = 0; i < 8 * file.n_bytes; i += 3) {
            struct imported imported;
            file.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
            import_bytes(file.bytes, file.n_bytes, seeds[s].spec, &imported);
            cr_assert(imported.good || imported.error[0]);
            cr_assert(strncmp(imported.error, "finish", 6) != 0 && strncmp(imported.error, "read:", 5) != 0,
                      "%s, bit %zu: %s", seeds[s].name, i, imported.error);
            imported_free(&imported);
            file.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        }
        free(file.bytes);
    }
}

/* ---- wrong models -------------------------------------------------------- */

static void drop_weights(Onnx__ModelProto *m) { rename_to(&find_tensor(m, "W")->name, "V"); }
static void short_dims(Onnx__ModelProto *m) { find_tensor(m, "R")->dims[1]--; }
static void other_dims(Onnx__ModelProto *m)
{
    int64_t *dims = find_tensor(m, "R")->dims, d = dims[1];
    dims[1] = dims[2];
    dims[2] = d;
}
static void huge_dims(Onnx__ModelProto *m) { find_tensor(m, "W")->dims[0] = INT64_C(1) << 40; }
static void negative_dims(Onnx__ModelProto *m) { find_tensor(m, "W")->dims[0] = -1; }
static void strings(Onnx__ModelProto *m) { find_tensor(m, "W")->data_type = 8; }
static void ints_for_floats(Onnx__ModelProto *m) { find_tensor(m, "W")->data_type = 6; }
static void external(Onnx__ModelProto *m)
{
    find_tensor(m, "W")->has_data_location = true;
    find_tensor(m, "W")->data_location = 1;
}
static void not_finite(Onnx__ModelProto *m)
{
    const float number = NAN;
    memcpy(find_tensor(m, "W")->raw_data.data + 8, &number, sizeof number);
}
static void unknown_op(Onnx__ModelProto *m) { rename_to(&find_node(m, "Softmax")->op_type, "Frobnicate"); }
static void other_domain(Onnx__ModelProto *m) { rename_to(&find_node(m, "Softmax")->domain, "com.example"); }
static void unknown_attribute(Onnx__ModelProto *m)
{
    rename_to(&find_node(m, "Softmax")->attribute[0]->name, "axle");
}
static void attribute_type(Onnx__ModelProto *m) { find_node(m, "Softmax")->attribute[0]->type = 1; }
static void hidden_size(Onnx__ModelProto *m) { find_attribute(find_node(m, "LSTM"), "hidden_size")->i = 4; }
static void few_betas(Onnx__ModelProto *m)
{
    find_attribute(find_node(m, "LSTM"), "activation_beta")->n_floats = 1;
}
static void few_activations(Onnx__ModelProto *m)
{
    Onnx__AttributeProto *a = find_attribute(find_node(m, "LSTM"), "activations");
    free(a->strings[--a->n_strings].data);
}
static void bad_clip(Onnx__ModelProto *m) { find_attribute(find_node(m, "LSTM"), "clip")->f = -1; }
static void twice(Onnx__ModelProto *m) { rename_to(&find_node(m, "MatMul")->output[0], "s"); }
static void disorder(Onnx__ModelProto *m)
{
    Onnx__NodeProto **nodes = m->graph->node, *first = nodes[0];
    nodes[0] = nodes[1];
    nodes[1] = first;
}
static void old_opset(Onnx__ModelProto *m) { m->opset_import[0]->version = 6; }
static void no_opset(Onnx__ModelProto *m) { rename_to(&m->opset_import[0]->domain, "other"); }
static void no_features(Onnx__ModelProto *m)
{
    m->graph->input[0]->type->tensor_type->shape->dim[2]->has_dim_value = false;
}
static void half_input(Onnx__ModelProto *m) { m->graph->input[0]->type->tensor_type->elem_type = 10; }
static void no_output(Onnx__ModelProto *m) { rename_to(&m->graph->output[0]->name, "z"); }
static void wide_dense(Onnx__ModelProto *m)
{
    find_tensor(m, "dense")->dims[0] = 2;
    find_tensor(m, "dense")->dims[1] = 3;
}

static const struct {
    void (*edit)(Onnx__ModelProto *model);
    const char *words[3];
} wrong[] = {
    {drop_weights, {"'cell' (LSTM)", "'W'", "not in the graph"}},
    {short_dims, {"'R'", "33", "36"}},
    {other_dims, {"'cell' (LSTM)", "hidden_size is 3", "12"}},
    {huge_dims, {"'W'", "dimension"}},
    {negative_dims, {"'W'", "-1"}},
    {strings, {"'W'", "type 8"}},
    {ints_for_floats, {"'cell' (LSTM)", "W ('W')", "floats"}},
    {external, {"'W'", "another file"}},
    {not_finite, {"'W'", "nan", "finite"}},
    {unknown_op, {"'y' (Frobnicate)", "not supported"}},
    {other_domain, {"'y' (Softmax)", "com.example"}},
    {unknown_attribute, {"'y' (Softmax)", "'axle'"}},
    {attribute_type, {"'y' (Softmax)", "'axis'", "type"}},
    {hidden_size, {"'cell' (LSTM)", "hidden_size is 4", "3"}},
    {few_betas, {"'cell' (LSTM)", "affine", "activation_beta"}},
    {few_activations, {"'cell' (LSTM)", "activations has 2", "3"}},
    {bad_clip, {"'cell' (LSTM)", "clip = -1"}},
    {twice, {"'s'", "twice"}},
    {disorder, {"'s' (Squeeze)", "'Y'", "order"}},
    {old_opset, {"operator set 6"}},
    {no_opset, {"operator set 0"}},
    {no_features, {"'x'", "features"}},
    {half_input, {"'x'", "type 10"}},
    {no_output, {"'z'"}},
    {wide_dense, {"'m' (MatMul)", "2 features", "3"}},
};

Test(import_onnx, wrong_models)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Onnx__ModelProto *model = unpack_seed("lstm");
        struct imported imported;
        struct file file;
        wrong[i].edit(model);
        file = pack(model);
        import_bytes(file.bytes, file.n_bytes, NULL, &imported);
        cr_expect(!imported.good, "row %zu was accepted", i);
        for (size_t k = 0; k < 3 && wrong[i].words[k]; k++)
            cr_expect(strstr(imported.error, wrong[i].words[k]), "row %zu: no \"%s\" in: %s", i,
                      wrong[i].words[k], imported.error);
        imported_free(&imported);
        free(file.bytes);
        onnx__model_proto__free_unpacked(model, NULL);
    }
}

static void rename_mode(Onnx__ModelProto *model, const char *mode)
{
    ProtobufCBinaryData *text = &find_attribute(find_node(model, "Pad"), "mode")->s;
    free(text->data);
    text->len = strlen(mode);
    text->data = malloc(text->len + 1);
    memcpy(text->data, mode, text->len + 1);
}

static void negative_pads(Onnx__ModelProto *m)
{
    find_attribute(find_output(m, "d"), "pads")->ints[0] = -1;
}
static void huge_conv_pads(Onnx__ModelProto *m)
{
    find_attribute(find_output(m, "d"), "pads")->ints[0] = INT64_C(1) << 60;
}
static void huge_pads(Onnx__ModelProto *m)
{
    const int64_t many = INT64_C(1) << 62;
    memcpy(find_tensor(m, "pads")->raw_data.data + 24, &many, sizeof many);
}
static void long_pads(Onnx__ModelProto *m)
{
    const int64_t many = 1 << 24;
    rename_mode(m, "constant");
    memcpy(find_tensor(m, "pads")->raw_data.data + 24, &many, sizeof many);
}
static void wide_reflection(Onnx__ModelProto *m)
{
    const int64_t many = 9;
    memcpy(find_tensor(m, "pads")->raw_data.data + 24, &many, sizeof many);
}
static void other_mode(Onnx__ModelProto *m) { rename_mode(m, "wrap"); }
static void no_stride(Onnx__ModelProto *m) { find_attribute(find_output(m, "d"), "strides")->ints[0] = 0; }
static void more_strides(Onnx__ModelProto *m) { find_attribute(find_output(m, "d"), "strides")->n_ints = 0; }
static void two_groups(Onnx__ModelProto *m) { find_attribute(find_output(m, "d"), "group")->i = 2; }
static void conv_of_two(Onnx__ModelProto *m) { find_tensor(m, "k")->n_dims = 2; }
static void pad_alone(Onnx__ModelProto *m) { rename_to(&find_node(m, "Unsqueeze")->op_type, "Relu"); }
static void cube(Onnx__ModelProto *m)
{
    const float three = 3;
    memcpy(find_tensor(m, "two")->raw_data.data, &three, sizeof three);
}
static void same_halves(Onnx__ModelProto *m)
{
    rename_to(&find_output(m, "im")->input[1], "from");
    rename_to(&find_output(m, "im")->input[2], "half");
}
static void other_clip(Onnx__ModelProto *m)
{
    const float two = 2;
    memcpy(find_tensor(m, "hi")->raw_data.data, &two, sizeof two);
}
static void pooling(Onnx__ModelProto *m) { rename_to(&find_node(m, "Relu")->op_type, "LpPool"); }
static void other_axis(Onnx__ModelProto *m) { find_attribute(find_node(m, "ReduceL2"), "axes")->ints[0] = 1; }

static const struct {
    void (*edit)(Onnx__ModelProto *model);
    const char *words[3];
} wrong_convs[] = {
    {negative_pads, {"'d' (Conv)", "pads", "-1"}},
    {huge_conv_pads, {"'d' (Conv)", "pads", "1152921504606846976"}},
    {huge_pads, {"'p' (Pad)", "4611686018427387904", "16777216"}},
    {long_pads, {"'p' (Pad)", "longer than 16777216"}},
    {wide_reflection, {"'p' (Pad)", "reflects 1 and 9 of 9"}},
    {other_mode, {"'p' (Pad)", "mode = 'wrap'", "reflect"}},
    {no_stride, {"'d' (Conv)", "strides"}},
    {more_strides, {"'d' (Conv)", "strides has 0"}},
    {two_groups, {"'d' (Conv)", "2 groups of 1", "has 3"}},
    {conv_of_two, {"'k'", "dimensions"}},
    {pad_alone, {"'u' (Relu)", "'p'", "Pad"}},
    {cube, {"'re2' (Pow)", "exponent"}},
    {same_halves, {"'mag' (Sqrt)", "halves"}},
    {other_clip, {"'y' (Clip)", "0 … 2"}},
    {pooling, {"'r' (LpPool)", "not supported"}},
    {other_axis, {"'l' (ReduceL2)", "last axis"}},
};

Test(import_onnx, wrong_convolutions)
{
    for (size_t i = 0; i < sizeof wrong_convs / sizeof *wrong_convs; i++) {
        Onnx__ModelProto *model = unpack_seed("conv");
        struct imported imported;
        struct file file;
        wrong_convs[i].edit(model);
        file = pack(model);
        import_bytes(file.bytes, file.n_bytes, "{\"input\": {\"size\": 9}}", &imported);
        cr_expect(!imported.good, "row %zu was accepted", i);
        for (size_t k = 0; k < 3 && wrong_convs[i].words[k]; k++)
            cr_expect(strstr(imported.error, wrong_convs[i].words[k]), "row %zu: no \"%s\" in: %s", i,
                      wrong_convs[i].words[k], imported.error);
        imported_free(&imported);
        free(file.bytes);
        onnx__model_proto__free_unpacked(model, NULL);
    }
}

/* ---- fewer steps ----------------------------------------------------------- */

static void wide_pads(Onnx__ModelProto *m) { find_attribute(find_output(m, "d"), "pads")->ints[1] = 2; }
static void same_upper(Onnx__ModelProto *m)
{
    ProtobufCBinaryData *text = &find_attribute(find_output(m, "d"), "auto_pad")->s;
    free(text->data);
    text->len = 10;
    text->data = malloc(text->len);
    memcpy(text->data, "SAME_UPPER", text->len);
}
static void one_pace(Onnx__ModelProto *m) { rename_to(&find_output(m, "sum")->input[1], "e"); }
static void two_paces(Onnx__ModelProto *m)
{
    one_pace(m);
    find_attribute(find_output(m, "e"), "pads")->ints[0] = 0;
}
static void steps_of_input(Onnx__ModelProto *m) { rename_to(&find_output(m, "sizes")->input[0], "xt"); }
static void given_lengths(Onnx__ModelProto *m) { rename_to(&find_node(m, "GRU")->input[4], "lengths"); }
static void export_steps(Onnx__ModelProto *m, int64_t steps)
{
    Onnx__TensorShapeProto *shape = m->graph->input[0]->type->tensor_type->shape;
    shape->dim[2]->has_dim_value = 1;
    shape->dim[2]->dim_value = steps;
}
static void too_short(Onnx__ModelProto *m)
{
    export_steps(m, 2);
    find_attribute(find_output(m, "d"), "pads")->ints[0] = 0;
}
/* Of 9 steps the convolution leaves 4; the Reshape asks for numbers. */
static void ask_for(Onnx__ModelProto *m, int64_t steps)
{
    export_steps(m, 9);
    memcpy(find_tensor(m, "as_exported")->raw_data.data, &steps, sizeof steps);
    rename_to(&find_node(m, "Reshape")->input[1], "as_exported");
}
static void steps_exported(Onnx__ModelProto *m) { ask_for(m, 9); }
static void steps_left(Onnx__ModelProto *m) { ask_for(m, 4); }

Test(import_onnx, fewer_steps)
{
    static const struct {
        void (*edit)(Onnx__ModelProto *model);
        const char *words[3];
    } rows[] = {
        {wide_pads, {"'d' (Conv)", "pads 1 and 2", "must not have more steps"}},
        {same_upper, {"'d' (Conv)", "SAME_UPPER with strides = 2", "number of steps"}},
        {two_paces, {"'sum' (Add)", "different numbers of steps"}},
        {one_pace, {NULL}},
        {steps_of_input, {"'y' (Reshape)", "does not fit"}},
        {given_lengths, {"'Y' (GRU)", "'lengths'", "a convolution left"}},
        {too_short, {"'d' (Conv)", "longer than the 2 steps"}},
        {steps_exported, {"'y' (Reshape)", "does not fit"}},
        {steps_left, {NULL}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Onnx__ModelProto *model = unpack_seed("stride");
        struct imported imported;
        struct file file;
        rows[i].edit(model);
        file = pack(model);
        import_bytes(file.bytes, file.n_bytes, NULL, &imported);
        cr_expect_eq(imported.good, !rows[i].words[0], "row %zu: %s", i, imported.error);
        for (size_t k = 0; k < 3 && rows[i].words[k]; k++)
            cr_expect(strstr(imported.error, rows[i].words[k]), "row %zu: no \"%s\" in: %s", i,
                      rows[i].words[k], imported.error);
        imported_free(&imported);
        free(file.bytes);
        onnx__model_proto__free_unpacked(model, NULL);
    }
}

/* ---- Ifs ----------------------------------------------------------------- */

static void expect_refusal(const struct file *file, const char *spec, const char *words)
{
    struct imported imported;
    import_bytes(file->bytes, file->n_bytes, spec, &imported);
    cr_expect(!imported.good && strstr(imported.error, words), "no \"%s\" in: %s", words, imported.error);
    imported_free(&imported);
}

Test(import_onnx, ifs_that_cannot_be_decided)
{
    static const char other[] = "{\"constants\": {\"sr\": 8000}, \"input\": {\"size\": 2}}";
    struct file file = read_seed("if");
    Onnx__ModelProto *model = unpack_seed("if");
    expect_refusal(&file, NULL, "'sr' decides which branch");
    expect_refusal(&file, other, "'u' (Frobnicate)"); /* only now is the other branch looked at */
    free(file.bytes);
    rename_to(&find_node(model, "If")->input[0], "x");
    file = pack(model);
    expect_refusal(&file, other, "its condition ('x') is not known");
    free(file.bytes);
    rename_to(&find_node(model, "If")->attribute[0]->name, "then");
    file = pack(model);
    expect_refusal(&file, other, "has no else_branch");
    free(file.bytes);
    onnx__model_proto__free_unpacked(model, NULL);
}

/* An If in an If in an If …: `depth` of them, around a Relu. */
static struct file nested_ifs(size_t depth)
{
    Onnx__ModelProto *model = unpack_seed("if");
    Onnx__NodeProto *outer = find_node(model, "If");
    Onnx__AttributeProto *then = find_attribute(outer, "then_branch");
    struct file file;
    for (size_t i = 0; i < depth; i++) {
        Onnx__GraphProto *graph = onnx__graph_proto__unpack(NULL, then->g.len, then->g.data);
        Onnx__NodeProto *inner = NULL;
        for (size_t k = 0; k < graph->n_node; k++)
            if (strcmp(graph->node[k]->op_type, "If") == 0)
                inner = graph->node[k];
        cr_assert(inner);
        for (size_t k = 0; k < inner->n_attribute; k++) {
            if (strcmp(inner->attribute[k]->name, "then_branch") != 0)
                continue;
            free(inner->attribute[k]->g.data);
            inner->attribute[k]->g.len = then->g.len;
            inner->attribute[k]->g.data = malloc(then->g.len);
            memcpy(inner->attribute[k]->g.data, then->g.data, then->g.len);
        }
        free(then->g.data);
        then->g.len = onnx__graph_proto__get_packed_size(graph);
        then->g.data = malloc(then->g.len);
        onnx__graph_proto__pack(graph, then->g.data);
        onnx__graph_proto__free_unpacked(graph, NULL);
    }
    file = pack(model);
    onnx__model_proto__free_unpacked(model, NULL);
    return file;
}

Test(import_onnx, ifs_inside_ifs, .timeout = 20)
{
    struct file few = nested_ifs(10), many = nested_ifs(15), most = nested_ifs(1000);
    struct imported imported;
    import_bytes(few.bytes, few.n_bytes, if_spec, &imported);
    cr_expect(imported.good, "%s", imported.error);
    imported_free(&imported);
    expect_refusal(&many, if_spec, "more than 16 deep");
    expect_refusal(&most, if_spec, "more than 16 deep");
    free(few.bytes);
    free(many.bytes);
    free(most.bytes);
}

Test(import_onnx, wrong_specs)
{
    static const char *const rows[][2] = {
        {"{\"output\": \"z\"}", "'z'"}, {"{\"order\": [\"a\"]}", "order"}, {"{\"output\": 3}", "$.output"},
        {"[", "spec JSON"}, {"{\"output\": \"z\"}", "spec $.output: the graph has no output 'z'"},
        {"{\"labels\": [\"a\"]}", "spec $.labels: 1 name for 2 outputs"},
        {"{\"input\": {\"context\": 1}}", "spec $.input.context: needs also \"size\""},
        {"{\"input\": {\"size\": 1, \"context\": 2}}", "spec $.input.context: 2 of frames of 1"},
        {"{\"input\": {\"size\": 3}}", "'x'"}, {"{\"input\": {\"mean\": 3}}", "$.input.mean: means nothing"},
        {"{\"constants\": {\"x\": 1}}", "no input of the graph reaches"},
    };
    struct file file = read_seed("lstm");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct imported imported;
        import_bytes(file.bytes, file.n_bytes, rows[i][0], &imported);
        cr_expect(!imported.good && strstr(imported.error, rows[i][1]), "%s: %s", rows[i][0], imported.error);
        imported_free(&imported);
    }
    free(file.bytes);
}

/* ---- limits -------------------------------------------------------------- */

/* A few bytes must not make the importer ask for gigabytes. */
Test(import_onnx, constants_that_explode, .timeout = 20)
{
    Onnx__ModelProto *model = unpack_seed("gru");
    struct imported imported;
    struct file file;
    /* ConstantOfShape of [2][b][3] becomes [2^30][b][3]. */
    int64_t many = INT64_C(1) << 30;
    memcpy(find_tensor(model, "d")->raw_data.data, &many, sizeof many);
    file = pack(model);
    import_bytes(file.bytes, file.n_bytes, NULL, &imported);
    cr_expect(!imported.good && strstr(imported.error, "memory"), "%s", imported.error);
    imported_free(&imported);
    free(file.bytes);
    onnx__model_proto__free_unpacked(model, NULL);
}

/* Two bytes each, and a structure of a hundred in memory. */
Test(import_onnx, a_million_empty_nodes, .timeout = 20)
{
    enum { N = 1000000, HEAD = 7 };
    struct file file = {calloc(HEAD + 2 * N, 1), HEAD + 2 * N};
    struct imported imported;
    size_t length = 2 * N;
    cr_assert(file.bytes);
    memcpy(file.bytes, (const uint8_t[]){0x08, 0x08, 0x3a}, 3); /* ir_version 8, graph */
    for (size_t i = 3; i < HEAD; i++, length >>= 7)
        file.bytes[i] = (uint8_t)((length & 127) | (i + 1 < HEAD ? 128 : 0));
    for (size_t i = 0; i < N; i++)
        file.bytes[HEAD + 2 * i] = 0x0a; /* node, 0 bytes */
    import_bytes(file.bytes, file.n_bytes, NULL, &imported);
    cr_expect(!imported.good && imported.error[0]);
    imported_free(&imported);
    free(file.bytes);
}

Test(import_onnx, out_of_memory_anywhere, .timeout = 120)
{
    for (size_t s = 0; s < N_SEEDS; s++) {
        struct file file = read_seed(seeds[s].name);
        for (size_t n = 1;; n++) {
            struct imported imported;
            failing_malloc_arm(n);
            import_bytes(file.bytes, file.n_bytes, seeds[s].spec, &imported);
            size_t asked = failing_malloc_disarm();
            cr_assert(imported.good || strstr(imported.error, "memory"), "%s, allocation %zu: %s",
                      seeds[s].name, n, imported.error);
            imported_free(&imported);
            if (asked < n)
                break;
        }
        free(file.bytes);
    }
}
