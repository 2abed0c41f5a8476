/* SPDX-License-Identifier: MIT
 *
 * Recurrent cells that were written out in an ONNX graph: the weights that come of them, and graphs
 * that look like a loop over a cell but are none. Numbers against ONNX Runtime are in
 * frameworks/onnx_cells.py and onnx_export.py.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/onnx_files.h"

enum { H = 3, I = 2 };

/* ---- weights ------------------------------------------------------------- */

struct cell_tensors {
    struct model_layer layer;
    const float *w, *bias; /* [gate][unit][h, x] and [gate][unit] */
};

static struct cell_tensors tensors_of(const struct imported *imported, uint32_t layer)
{
    struct cell_tensors out;
    struct model_tensor w, b;
    model_get_layer(&imported->view, layer, &out.layer);
    model_get_tensor(&imported->view, out.layer.tensors[MODEL_SLOT_W], &w);
    model_get_tensor(&imported->view, out.layer.tensors[MODEL_SLOT_BIAS], &b);
    out.w = (const float *)w.data;
    out.bias = (const float *)b.data;
    return out;
}

/* The gates of the written-out cells come in PyTorch's order; W is (q - 100) / 16. */
Test(import_onnx_cells, weights_of_a_cell)
{
    struct imported imported = import_seed("cell", NULL);
    struct cell_tensors lstm = tensors_of(&imported, 0);
    for (size_t row = 0; row < 4 * H; row++) {
        const float *columns = lstm.w + row * (H + I);
        for (size_t k = 0; k < H; k++)
            cr_expect_eq(columns[k], seed_number(row * H + k), "R %zu %zu", row, k);
        for (size_t k = 0; k < I; k++)
            cr_expect_eq(columns[H + k], ((float)(row * I + k) - 100) / 16, "W %zu %zu", row, k);
        cr_expect_eq(lstm.bias[row], 2 * seed_number(row), "bias %zu", row);
    }
    imported_free(&imported);
}

/* Each gate has weights [x, h][units] and a bias of its own, gate k with 2^k times the numbers. */
Test(import_onnx_cells, weights_by_gates_of_x_beside_h)
{
    struct imported imported = import_seed("byhand", NULL);
    struct cell_tensors lstm = tensors_of(&imported, 0);
    for (size_t gate = 0; gate < 4; gate++)
        for (size_t u = 0; u < H; u++) {
            const float *columns = lstm.w + (gate * H + u) * (H + I);
            float factor = (float)(1 << gate);
            for (size_t k = 0; k < H; k++)
                cr_expect_eq(columns[k], factor * seed_number((I + k) * H + u), "R %zu %zu %zu", gate, u, k);
            for (size_t k = 0; k < I; k++)
                cr_expect_eq(columns[H + k], factor * seed_number(k * H + u), "W %zu %zu %zu", gate, u, k);
            cr_expect_eq(lstm.bias[gate * H + u], factor * seed_number(u), "bias %zu %zu", gate, u);
        }
    imported_free(&imported);
}

/* One product of x beside h for all gates of an unrolled loop, which begins with given states. */
Test(import_onnx_cells, weights_and_states_of_a_loop_of_x_beside_h)
{
    struct imported imported = import_seed("beside", NULL);
    struct cell_tensors lstm = tensors_of(&imported, 0);
    for (size_t row = 0; row < 4 * H; row++)
        for (size_t k = 0; k < H + I; k++)
            cr_expect_eq(lstm.w[row * (H + I) + k], seed_number((k < H ? I + k : k - H) * 4 * H + row), "%zu %zu",
                         row, k);
    for (uint32_t c = 0; c < 2; c++) {
        struct model_tensor state;
        model_get_tensor(&imported.view, lstm.layer.tensors[c ? MODEL_SLOT_C0 : MODEL_SLOT_H0], &state);
        for (size_t u = 0; u < H; u++)
            cr_expect_eq(((const float *)state.data)[u], (float)(1 + c) * seed_number(u), "%u %zu", c, u);
    }
    imported_free(&imported);
}

/* z is what is taken of the new state there, so its numbers change their sign; n's product has r ⊗ h. */
Test(import_onnx_cells, weights_of_a_gru_with_another_z)
{
    struct imported imported = import_seed("byhand", NULL);
    struct cell_tensors gru = tensors_of(&imported, 1);
    cr_expect_eq(gru.layer.params[MODEL_RNN_FLAGS] & MODEL_FLAG_RESET_AFTER, 0);
    for (size_t row = 0; row < 3 * H; row++) {
        const float *columns = gru.w + row * 2 * H;
        bool n = row >= 2 * H;
        float sign = row / H == 1 ? -1 : 1;
        for (size_t k = 0; k < H; k++) {
            size_t at = n ? k * H + row - 2 * H : row * H + k;
            cr_expect_eq(columns[k], sign * (n ? 4 : 2) * seed_number(at), "R %zu %zu", row, k);
            cr_expect_eq(columns[H + k], sign * (n ? 8 : 1) * seed_number(at), "W %zu %zu", row, k);
        }
        cr_expect_eq(gru.bias[row], n ? 4 * seed_number(row - 2 * H) : sign * seed_number(row), "bias %zu", row);
    }
    imported_free(&imported);
}

/* The product with all steps at once is the cell's own; of the two layers one runs backward. */
Test(import_onnx_cells, weights_of_unrolled_directions)
{
    enum { UNITS = 2 };
    struct imported imported = import_seed("unrolled", NULL);
    for (uint32_t d = 0; d < 2; d++) {
        struct cell_tensors rnn = tensors_of(&imported, d);
        float factor = d ? 2 : 1;
        cr_expect_eq(rnn.layer.params[MODEL_RNN_DIRECTION], d ? MODEL_REVERSED : MODEL_FORWARD);
        cr_expect_eq(rnn.layer.inputs[0], 0, "reads the model's input");
        for (size_t u = 0; u < UNITS; u++) {
            for (size_t k = 0; k < UNITS; k++) {
                cr_expect_eq(rnn.w[u * (UNITS + I) + k], factor * seed_number(k * UNITS + u));
                cr_expect_eq(rnn.w[u * (UNITS + I) + UNITS + k], factor * seed_number(k * UNITS + u));
            }
            cr_expect_eq(rnn.bias[u], 1.5f * seed_number(u));
        }
    }
    cr_expect(strstr(imported.notes, "exported for 3 steps only"), "%s", imported.notes);
    imported_free(&imported);
}

/* ---- what looks like a cell ---------------------------------------------- */

static void other_bias(Onnx__ModelProto *m) { rename_to(&find_output(m, "zi1")->input[2], ""); }
static void other_order(Onnx__ModelProto *m) { rename_to(&find_output(m, "x1")->input[1], "at0"); }
static void other_fold(Onnx__ModelProto *m) { find_tensor(m, "folded")->raw_data.data[3] ^= 64; }
static void other_state(Onnx__ModelProto *m) { rename_to(&find_output(m, "fc1")->input[1], "c0"); }
static void other_update(Onnx__ModelProto *m) { rename_to(&find_output(m, "c_1")->op_type, "Sub"); }

static void bias_of_a_step(Onnx__ModelProto *m) { rename_to(&find_output(m, "bzf2")->input[1], "bx"); }
static void older_state(Onnx__ModelProto *m) { rename_to(&find_output(m, "uzf2")->input[0], "hf0"); }
static void relu_in_a_step(Onnx__ModelProto *m) { rename_to(&find_output(m, "hf1")->op_type, "Relu"); }
static void sign_of_a_step(Onnx__ModelProto *m) { rename_to(&find_output(m, "zf2")->op_type, "Sub"); }
static void twice_in_a_list(Onnx__ModelProto *m) { rename_to(&find_output(m, "xb1")->input[1], "n0"); }
static void list_of_features(Onnx__ModelProto *m) { find_output(m, "list")->attribute[0]->i = 2; }
static void list_in_a_sum(Onnx__ModelProto *m) { rename_to(&find_output(m, "zf1")->input[1], "list"); }
static void other_steps(Onnx__ModelProto *m) { rename_to(&find_output(m, "yf")->input[0], "hf2"); }

static void steps_changed_places(Onnx__ModelProto *m)
{
    Onnx__NodeProto *one = find_output(m, "sxf1"), *two = find_output(m, "sxf2");
    for (size_t i = 1; i < 3; i++) {
        char *name = one->input[i];
        one->input[i] = two->input[i];
        two->input[i] = name;
    }
}

/* In both items of the batch, so that it is a first state like any other. */
static void other_first_product(Onnx__ModelProto *m)
{
    uint8_t *bytes = find_tensor(m, "folded")->raw_data.data;
    bytes[3] ^= 64;
    bytes[11] ^= 64;
}

static void gate_without_state(Onnx__ModelProto *m) { rename_to(&find_output(m, "pg")->input[0], "x"); }
static void lstm_difference(Onnx__ModelProto *m) { rename_to(&find_output(m, "c2")->op_type, "Sub"); }
static void gru_difference(Onnx__ModelProto *m) { rename_to(&find_output(m, "k2")->op_type, "Sub"); }
static void two_for_one(Onnx__ModelProto *m) { find_tensor(m, "one")->raw_data.data[3] = 64; }
static void empty_gate(Onnx__ModelProto *m) { rename_to(&find_output(m, "gz")->input[2], "n3"); }
static void wide_gate(Onnx__ModelProto *m) { rename_to(&find_output(m, "gz")->input[1], "n0"); }
static void gates_of_the_batch(Onnx__ModelProto *m) { find_output(m, "xh")->attribute[0]->i = 0; }

/* As many rows as x has features: none are left for h. */
static void weights_of_x_alone(Onnx__ModelProto *m)
{
    Onnx__TensorProto *w = find_tensor(m, "w");
    w->dims[0] = I;
    w->raw_data.len = I * 4 * H * sizeof(float);
}

/* And gates of no rows, which would be as many as units. */
static void cell_of_nothing(Onnx__ModelProto *m)
{
    static const char *const gates[] = {"zi0", "zf0", "zg0", "zo0"};
    weights_of_x_alone(m);
    for (size_t i = 0; i < 4; i++)
        rename_to(&find_output(m, gates[i])->input[2], "n0");
}

Test(import_onnx_cells, no_cells)
{
    static const struct {
        const char *seed;
        void (*edit)(Onnx__ModelProto *model);
        const char *words;
    } rows[] = {
        {"loop", other_bias, "is not what a cell's first state of zeros gives"},
        {"loop", other_order, "step 0 of a loop does not continue the step before it, but step 0"},
        {"loop", other_fold, "'folded', which is added in a cell, differs"},
        {"loop", other_state, "'folded'"},
        {"loop", other_update, "'folded'"},
        {"unrolled", bias_of_a_step, "step 2 of a loop has another input or other weights"},
        {"unrolled", older_state, "step 2 of a loop does not continue the step before it, but step 0"},
        {"unrolled", relu_in_a_step, "step 1 of a loop has another input or other weights"},
        {"unrolled", sign_of_a_step, "'hf2' (Tanh): step 2 of a loop has another input or other weights"},
        {"unrolled", twice_in_a_list, "'hb1' (Tanh): step 2 of a loop does not continue"},
        {"unrolled", steps_changed_places, "'hf1' (Tanh): step 2 of a loop does not continue"},
        {"unrolled", other_first_product, "'folded' is not what a cell's first state of zeros gives"},
        {"unrolled", list_of_features, "makes a list of something else"},
        {"unrolled", list_in_a_sum, "list"},
        {"unrolled", other_steps, "'yf' (Concat): takes some steps"},
        {"byhand", gate_without_state, "several outputs"},
        {"byhand", lstm_difference, "several outputs"},
        {"byhand", gru_difference, "several outputs"},
        {"byhand", two_for_one, "several outputs"},
        {"byhand", empty_gate, "a gate has 0 numbers"},
        {"byhand", wide_gate, "a gate has 6 numbers"},
        {"byhand", gates_of_the_batch, "several outputs"},
        {"beside", weights_of_x_alone, "the weights 'w' of a cell take 2 features, its input has 2"},
        {"beside", cell_of_nothing, "the weights 'w' of a cell take 2 features, its input has 2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Onnx__ModelProto *model = unpack_seed(rows[i].seed);
        struct imported imported;
        struct file file;
        rows[i].edit(model);
        file = pack(model);
        import_bytes(file.bytes, file.n_bytes, NULL, &imported);
        cr_expect(!imported.good && strstr(imported.error, rows[i].words), "row %zu: %s", i, imported.error);
        imported_free(&imported);
        free(file.bytes);
        onnx__model_proto__free_unpacked(model, NULL);
    }
}
