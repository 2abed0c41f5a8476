/* SPDX-License-Identifier: MIT
 *
 * LSTM, GRU and RNN nodes with all their attributes and optional inputs. ONNX keeps the
 * weights as [directions][gates · hidden][…]; see onnx/defs/rnn in the specification.
 */
#include "formats/onnx/onnx_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { IN_X, IN_W, IN_R, IN_B, IN_LENGTHS, IN_H, IN_C, IN_P };
enum { OUT_Y, OUT_H, OUT_C };

struct rnn {
    uint32_t type, direction, n_directions, n_gates, hidden, input;
    bool batch_first;   /* layout = 1 */
    bool step_by_step;  /* each call of the graph is one step of a stream */
    uint32_t time, batch; /* their places among X's axes */
    struct onnx_frames x;
    const float *w, *r, *b, *p;
};

/* ---- weights ------------------------------------------------------------- */

/* Input `i` as constant floats of this shape; NULL and true if absent. */
static bool weights(struct onnx_import *import, uint32_t i, const char *role, uint32_t rank,
                    const uint64_t *dims, const float **out)
{
    const struct onnx_value *value = onnx_input(import, i);
    const struct onnx_const *c = value ? &value->as.constant : NULL;
    *out = NULL;
    if (!value)
        return true;
    if (value->kind != ONNX_CONST && value->input)
        return onnx_fail(import, "%s is the graph's input '%s'; weights must be stored in the file "
                         "(as initialisers or constants)", role, value->name);
    if (value->kind != ONNX_CONST || c->is_int)
        return onnx_fail(import, "%s ('%s') is no constant of floats: weights that are computed at run "
                         "time are not supported", role, value->name);
    if (c->rank != rank)
        return onnx_fail(import, "%s ('%s') has %u dimensions, not %u", role, value->name, c->rank, rank);
    for (uint32_t k = 0; k < rank; k++)
        if (!onnx_is_plain(c->dims[k]) || (uint64_t)c->dims[k].offset != dims[k])
            return onnx_fail(import, "%s ('%s') has %" PRId64 " along axis %u; %" PRIu64
                             " was expected", role, value->name, c->dims[k].offset, k, dims[k]);
    *out = c->floats;
    return true;
}

static bool read_weights(struct onnx_import *import, struct rnn *rnn)
{
    const uint64_t D = rnn->n_directions, H = rnn->hidden, rows = rnn->n_gates * H;
    if (!weights(import, IN_W, "W", 3, (const uint64_t[]){D, rows, rnn->input}, &rnn->w) ||
        !weights(import, IN_R, "R", 3, (const uint64_t[]){D, rows, H}, &rnn->r) ||
        !weights(import, IN_B, "B", 2, (const uint64_t[]){D, 2 * rows}, &rnn->b))
        return false;
    if (rnn->type == MODEL_LSTM &&
        !weights(import, IN_P, "P", 2, (const uint64_t[]){D, 3 * H}, &rnn->p))
        return false;
    return (rnn->w && rnn->r) || onnx_fail(import, "input W or R is missing");
}

/* hidden_size may be left out; R says it too. */
static bool read_hidden(struct onnx_import *import, struct rnn *rnn)
{
    const struct onnx_value *r = onnx_input(import, IN_R);
    int64_t said = onnx_attribute_int(import, "hidden_size", 0), stored = 0;
    if (r && r->kind == ONNX_CONST && r->as.constant.rank == 3)
        stored = r->as.constant.dims[2].offset;
    if (said != 0 && stored != 0 && said != stored)
        return onnx_fail(import, "hidden_size is %" PRId64 ", but R has %" PRId64 " columns", said, stored);
    if (said == 0)
        said = stored;
    if (said < 1 || said > MODEL_MAX_DIM)
        return onnx_fail(import, "hidden_size is %" PRId64 "; 1 to %d is supported, and R must be a "
                         "constant", said, MODEL_MAX_DIM);
    rnn->hidden = (uint32_t)said;
    return true;
}

/* ---- X ------------------------------------------------------------------- */

static bool is_state(const struct onnx_value *value)
{
    return value && value->kind == ONNX_OPAQUE && value->as.opaque.role == ROLE_STATE;
}

/* A sequence of one made inside the graph, or exported with states as inputs: then the
 * caller carries the states from call to call, as a stream does. */
static bool read_steps(struct onnx_import *import, struct rnn *rnn)
{
    bool carried = is_state(onnx_input(import, IN_H)) &&
                   (rnn->type != MODEL_LSTM || is_state(onnx_input(import, IN_C)));
    bool real_time = rnn->x.axes[rnn->time].kind == AXIS_TIME;
    rnn->step_by_step = !real_time || (import->frozen_time == 1 && carried);
    if (!real_time && !carried)
        return onnx_fail(import, "runs over a single step without states from outside, so each call "
                         "starts anew; such a graph has no sequence");
    if (rnn->step_by_step && rnn->direction != MODEL_FORWARD)
        return onnx_fail(import, "direction = reverse or bidirectional in a graph that is called step by "
                         "step is not supported");
    return true;
}

static bool read_x(struct onnx_import *import, struct rnn *rnn)
{
    const struct onnx_axis *axes = rnn->x.axes;
    rnn->time = rnn->batch_first;
    rnn->batch = !rnn->batch_first;
    if (rnn->x.n_axes != 3)
        return onnx_fail(import, "X ('%s') has %u dimensions, not 3", onnx_input(import, IN_X)->name,
                         rnn->x.n_axes);
    for (uint32_t i = 0; i < 2; i++) {
        enum onnx_axis_kind wanted = i == rnn->time ? AXIS_TIME : AXIS_BATCH;
        if (axes[i].kind != wanted && (axes[i].kind != AXIS_FEATURE || axes[i].size != 1))
            return onnx_fail(import, "axis %u of X ('%s') is not the %s", i,
                             onnx_input(import, IN_X)->name, i == rnn->time ? "sequence" : "batch");
    }
    if (axes[2].kind != AXIS_FEATURE)
        return onnx_fail(import, "axis 2 of X ('%s') is not the features", onnx_input(import, IN_X)->name);
    if (rnn->x.is_int || rnn->x.once)
        return onnx_fail(import, "X ('%s') is %s", onnx_input(import, IN_X)->name,
                         rnn->x.once ? "one frame of the whole sequence, no sequence" : "of tokens");
    rnn->input = axes[2].size;
    return onnx_shaped(import, &rnn->x, 1, &rnn->input);
}

/* ONNX stops each item at its own length; lstmrun's items have their own numbers of steps.
 * So lengths from outside, or lengths that are all of the sequence, need nothing. */
static bool check_lengths(struct onnx_import *import, const struct rnn *rnn)
{
    const struct onnx_value *value = onnx_input(import, IN_LENGTHS);
    const struct onnx_axis *axis = &rnn->x.axes[rnn->time];
    struct onnx_int time = onnx_axis_size(*axis);
    int64_t frozen = onnx_frozen_time(import, axis->pace);
    if (value && value->kind == ONNX_OPAQUE && value->as.opaque.role == ROLE_LENGTHS && axis->pace)
        return onnx_fail(import, "sequence_lens ('%s') is an input of the graph and counts the steps that a "
                         "convolution left, which is not supported: lstmrun's items have their own numbers "
                         "of steps before it", value->name);
    if (!value || (value->kind == ONNX_OPAQUE && value->as.opaque.role == ROLE_LENGTHS))
        return true;
    if (value->kind != ONNX_CONST || !value->as.constant.is_int)
        return onnx_fail(import, "sequence_lens ('%s') is computed at run time, which is not supported; "
                         "it may be absent, an input of the graph, or the length of the sequence",
                         value->name);
    for (size_t i = 0; i < value->as.constant.count; i++) {
        struct onnx_int length = value->as.constant.ints[i];
        if (!onnx_same(length, time) && !(frozen && onnx_same(length, onnx_plain(frozen))))
            return onnx_fail(import, "sequence_lens ('%s') has a constant length that is not known to be "
                             "the whole sequence", value->name);
    }
    return true;
}

/* ---- attributes ---------------------------------------------------------- */

static bool read_direction(struct onnx_import *import, struct rnn *rnn)
{
    static const char *const names[] = {"forward", "reverse", "bidirectional"};
    const Onnx__AttributeProto *a = onnx_attribute(import, "direction");
    rnn->direction = MODEL_FORWARD;
    for (uint32_t i = 0; a && i <= 3; i++) {
        if (i == 3)
            return onnx_fail(import, "direction = '%.*s'; forward, reverse and bidirectional are known",
                             (int)(a->s.len < 40 ? a->s.len : 40), (const char *)a->s.data);
        rnn->direction = i;
        if (a->s.len == strlen(names[i]) && memcmp(a->s.data, names[i], a->s.len) == 0)
            break;
    }
    rnn->n_directions = rnn->direction == MODEL_BIDIRECTIONAL ? 2 : 1;
    return true;
}

struct activation_row {
    const char *name;
    uint32_t activation;
    uint32_t n_numbers; /* alpha, beta */
    bool has_defaults;  /* else the standard and the runtimes disagree */
    float alpha, beta;
};

static const struct activation_row activation_rows[] = {
    {"sigmoid", MODEL_ACT_SIGMOID, 0, true, 0, 0},
    {"tanh", MODEL_ACT_TANH, 0, true, 0, 0},
    {"relu", MODEL_ACT_RELU, 0, true, 0, 0},
    {"leakyrelu", MODEL_ACT_LEAKY_RELU, 1, true, 0.01f, 0},
    {"thresholdedrelu", MODEL_ACT_THRESHOLDED_RELU, 1, false, 0, 0},
    {"scaledtanh", MODEL_ACT_SCALED_TANH, 2, false, 0, 0},
    {"hardsigmoid", MODEL_ACT_HARD_SIGMOID, 2, true, 0.2f, 0.5f},
    {"elu", MODEL_ACT_ELU, 1, true, 1, 0},
    {"softsign", MODEL_ACT_SOFTSIGN, 0, true, 0, 0},
    {"softplus", MODEL_ACT_SOFTPLUS, 0, true, 0, 0},
    {"affine", MODEL_ACT_AFFINE, 2, false, 0, 0},
};

static bool same_name(ProtobufCBinaryData text, const char *name)
{
    if (text.len != strlen(name))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (tolower(text.data[i]) != name[i])
            return false;
    return true;
}

/* The next number of activation_alpha or activation_beta: activations that take one use
 * the lists up in their order. */
static bool next_number(struct onnx_import *import, const struct activation_row *row,
                        const char *list, size_t *at, float otherwise, float *out)
{
    const Onnx__AttributeProto *a = onnx_attribute(import, list);
    *out = otherwise;
    if (a && *at < a->n_floats)
        *out = a->floats[(*at)++];
    else if (!row->has_defaults)
        return onnx_fail(import, "activation %s needs a number in %s: runtimes differ in its default",
                         row->name, list);
    return isfinite(*out) || onnx_fail(import, "%s has a number that is not finite", list);
}

static bool read_activation(struct onnx_import *import, ProtobufCBinaryData text, size_t at[2],
                            uint32_t *activation_out, uint32_t numbers_out[2])
{
    float numbers[2] = {0, 0};
    for (size_t i = 0; i < sizeof activation_rows / sizeof *activation_rows; i++) {
        const struct activation_row *row = &activation_rows[i];
        if (!same_name(text, row->name))
            continue;
        if (row->n_numbers > 0 &&
            !next_number(import, row, "activation_alpha", &at[0], row->alpha, &numbers[0]))
            return false;
        if (row->n_numbers > 1 &&
            !next_number(import, row, "activation_beta", &at[1], row->beta, &numbers[1]))
            return false;
        *activation_out = row->activation;
        numbers_out[0] = model_float_bits(numbers[0]);
        numbers_out[1] = model_float_bits(numbers[1]);
        return true;
    }
    return onnx_fail(import, "activations has '%.*s', which is not supported",
                     (int)(text.len < 40 ? text.len : 40), (const char *)text.data);
}

static bool read_activations(struct onnx_import *import, const struct rnn *rnn, uint32_t *params)
{
    const Onnx__AttributeProto *a = onnx_attribute(import, "activations");
    const char *const lists[] = {"activation_alpha", "activation_beta"};
    uint32_t n_each = rnn->type == MODEL_LSTM ? 3 : rnn->type == MODEL_GRU ? 2 : 1;
    size_t at[2] = {0, 0};
    if (a && a->n_strings != n_each * rnn->n_directions)
        return onnx_fail(import, "activations has %zu names, %u are needed", a->n_strings,
                         n_each * rnn->n_directions);
    for (uint32_t i = 0; a && i < a->n_strings; i++) {
        uint32_t *words = params + MODEL_RNN_ACTS + i / n_each * MODEL_RNN_ACTS_STRIDE;
        uint32_t k = i % n_each, activation = 0;
        if (!read_activation(import, a->strings[i], at, &activation, words + 1 + 2 * k))
            return false;
        words[0] = (words[0] & ~(UINT32_C(255) << 8 * k)) | activation << 8 * k;
    }
    for (uint32_t i = 0; i < 2; i++) {
        const Onnx__AttributeProto *list = onnx_attribute(import, lists[i]);
        if (list && list->n_floats > at[i])
            return onnx_fail(import, "%s has %zu numbers, its activations take %zu", lists[i],
                             list->n_floats, at[i]);
    }
    return true;
}

static bool read_params(struct onnx_import *import, const struct rnn *rnn, uint32_t *params)
{
    bool coupled = onnx_attribute_int(import, "input_forget", 0) != 0;
    bool reset_after = onnx_attribute_int(import, "linear_before_reset", 0) != 0;
    float clip = onnx_attribute_float(import, "clip", 0);
    import_rnn_params(params, rnn->type, rnn->hidden, rnn->direction,
                      (coupled ? MODEL_FLAG_COUPLED : 0) | (reset_after ? MODEL_FLAG_RESET_AFTER : 0));
    if (onnx_attribute(import, "clip") && !(clip > 0 && isfinite(clip)))
        return onnx_fail(import, "clip = %g; a finite number above 0 is needed", (double)clip);
    params[MODEL_RNN_CLIP] = model_float_bits(clip);
    return read_activations(import, rnn, params);
}

/* ---- initial states ------------------------------------------------------ */

static bool shape_of_state(const struct onnx_import *import, const struct rnn *rnn,
                           const struct onnx_const *c)
{
    uint32_t batch = !rnn->batch_first, direction = rnn->batch_first;
    return !c->is_int && c->rank == 3 && c->count > 0 &&
           onnx_same(c->dims[direction], onnx_plain(rnn->n_directions)) &&
           onnx_same(c->dims[2], onnx_plain(rnn->hidden)) &&
           (onnx_same(c->dims[batch], onnx_axis_size(onnx_run_time(AXIS_BATCH, 0))) ||
            onnx_same(c->dims[batch], onnx_plain(1)) ||
            (!import->frozen_batch && onnx_is_plain(c->dims[batch])) || /* only this one runs */
            onnx_same(c->dims[batch], onnx_plain(import->frozen_batch)));
}

/* The state of direction d, the same for each item of the batch; NULL in *out if zero. */
static bool state_of(struct onnx_import *import, const struct rnn *rnn, const struct onnx_const *c,
                     uint32_t d, const float **out)
{
    size_t H = rnn->hidden, D = rnn->n_directions, B = c->count / (H * D);
    const float *first = c->floats + d * (rnn->batch_first ? 1 : B) * H;
    bool zero = true;
    *out = NULL;
    for (size_t b = 1; b < B; b++)
        if (memcmp(first, first + b * (rnn->batch_first ? D : 1) * H, H * sizeof *first))
            return onnx_fail(import, "a constant initial state differs between the items of the batch, "
                             "which is not supported");
    for (size_t i = 0; i < H; i++)
        zero = zero && first[i] == 0;
    if (!zero) {
        float *clean = onnx_alloc(import, H, sizeof *clean);
        if (!clean)
            return false;
        memcpy(clean, first, H * sizeof *clean);
        if (!import_clean(&import->source, import->node->name, clean, H, import->error))
            return false;
        *out = clean;
    }
    return true;
}

static bool read_state(struct onnx_import *import, const struct rnn *rnn, uint32_t i,
                       const char *role, const float *states[2])
{
    const struct onnx_value *value = onnx_input(import, i);
    states[0] = states[1] = NULL;
    if (value && is_state(value) && value->as.opaque.n_last && value->as.opaque.n_last != rnn->hidden)
        return onnx_fail(import, "%s ('%s') has %u numbers an item, the node %u hidden units; PyTorch's exporter "
                         "loses the projection of an LSTM with proj_size", role, value->name,
                         value->as.opaque.n_last, rnn->hidden);
    if (!value || is_state(value))
        return true;
    if (value->kind != ONNX_CONST)
        return onnx_fail(import, "%s ('%s') is computed at run time, which is not supported; it may be "
                         "absent, a constant or an input of the graph", role, value->name);
    if (!shape_of_state(import, rnn, &value->as.constant))
        return onnx_fail(import, "%s ('%s') does not have the shape [directions %u][batch][hidden %u]; PyTorch's "
                         "exporter loses the projection of an LSTM with proj_size", role, value->name,
                         rnn->n_directions, rnn->hidden);
    for (uint32_t d = 0; d < rnn->n_directions; d++)
        if (!state_of(import, rnn, &value->as.constant, d, &states[d]))
            return false;
    return true;
}

/* ---- the layer ----------------------------------------------------------- */

/* ONNX orders peepholes i, o, f. */
static const float *peephole_of(struct onnx_import *import, const struct rnn *rnn, uint32_t d)
{
    static const uint32_t order[] = {0, 2, 1};
    size_t H = rnn->hidden;
    float *out = onnx_alloc(import, 3 * H, sizeof *out);
    for (uint32_t k = 0; out && k < 3; k++)
        memcpy(out + k * H, rnn->p + (3 * d + order[k]) * H, H * sizeof *out);
    return out;
}

static bool fill_cell(struct onnx_import *import, const struct rnn *rnn, uint32_t d,
                      struct import_cell *cell)
{
    static const struct import_gate_order single = {{0, 0, 0, 0}};
    size_t rows = (size_t)rnn->n_gates * rnn->hidden;
    cell->type = rnn->type;
    cell->hidden = cell->recurrent = rnn->hidden;
    cell->input = rnn->input;
    cell->reset_after = onnx_attribute_int(import, "linear_before_reset", 0) != 0;
    cell->order = rnn->type == MODEL_LSTM  ? import_order_onnx_lstm
                  : rnn->type == MODEL_GRU ? import_order_onnx_gru
                                           : single;
    cell->w_input = rnn->w + d * rows * rnn->input;
    cell->w_recurrent = rnn->r + d * rows * rnn->hidden;
    if (rnn->b) {
        cell->bias_input = rnn->b + 2 * d * rows;
        cell->bias_recurrent = cell->bias_input + rows;
    }
    cell->peephole = rnn->p ? peephole_of(import, rnn, d) : NULL;
    return !rnn->p || cell->peephole;
}

static bool add_recurrent(struct onnx_import *import, struct rnn *rnn, uint32_t *value_out)
{
    struct onnx_layer *layer = onnx_layer_on(import, rnn->type, rnn->x.value);
    const float *h[2], *c[2] = {NULL, NULL};
    if (!layer || !read_params(import, rnn, layer->spec.params) ||
        !read_state(import, rnn, IN_H, "initial_h", h))
        return false;
    if (rnn->type == MODEL_LSTM && !read_state(import, rnn, IN_C, "initial_c", c))
        return false;
    layer->n_cells = rnn->n_directions;
    for (uint32_t d = 0; d < rnn->n_directions; d++) {
        if (!fill_cell(import, rnn, d, &layer->cells[d]))
            return false;
        layer->cells[d].h0 = h[d];
        layer->cells[d].c0 = c[d];
    }
    layer->spec.dims[0] = rnn->n_directions * rnn->hidden;
    *value_out = onnx_layer_add(import, layer);
    return *value_out != MODEL_NONE;
}

/* ---- outputs ------------------------------------------------------------- */

static void give_steps(struct onnx_import *import, const struct rnn *rnn, uint32_t value)
{
    struct onnx_axis time = rnn->x.axes[rnn->time], batch = rnn->x.axes[rnn->batch];
    struct onnx_axis directions = onnx_feature(rnn->n_directions);
    struct onnx_frames y = {.value = value, .n_axes = 4};
    y.axes[0] = rnn->batch_first ? batch : time;
    y.axes[1] = rnn->batch_first ? time : directions;
    y.axes[2] = rnn->batch_first ? directions : batch;
    y.axes[3] = onnx_feature(rnn->hidden);
    onnx_set_frames(onnx_output(import, OUT_Y), &y);
}

/* Y_h is what each direction ends with: forward at the last step, reverse at the first. */
static bool give_final(struct onnx_import *import, const struct rnn *rnn, uint32_t value)
{
    struct onnx_axis batch = rnn->x.axes[rnn->batch];
    struct onnx_axis directions = onnx_feature(rnn->n_directions);
    struct onnx_frames out = {.value = value, .n_axes = 3}, parts[2];
    out.axes[0] = rnn->batch_first ? batch : directions;
    out.axes[1] = rnn->batch_first ? directions : batch;
    out.axes[2] = onnx_feature(rnn->hidden);
    for (uint32_t d = 0; !rnn->step_by_step && d < rnn->n_directions; d++) {
        uint32_t type = d || rnn->direction == MODEL_REVERSED ? MODEL_FIRST : MODEL_LAST;
        parts[d] = out;
        if (rnn->n_directions == 2 &&
            !onnx_emit_slice(import, &parts[d], rnn->batch_first, (const uint32_t[3]){d, 1, 1}))
            return false;
        if (!onnx_emit_sequence(import, &parts[d], type))
            return false;
    }
    if (!rnn->step_by_step &&
        !onnx_emit_concat(import, parts, rnn->n_directions, rnn->batch_first, &out))
        return false;
    onnx_set_frames(onnx_output(import, OUT_H), &out);
    return true;
}

bool onnx_lay_rnn(struct onnx_import *import)
{
    const char *op = import->node->proto->op_type;
    struct onnx_value *x = onnx_input(import, IN_X);
    struct rnn rnn = {.type = op[0] == 'L' ? MODEL_LSTM : op[0] == 'G' ? MODEL_GRU : MODEL_RNN};
    int64_t layout = onnx_attribute_int(import, "layout", 0);
    uint32_t value;
    if (!x || x->kind != ONNX_FRAMES)
        return onnx_fail(import, "X ('%s') does not depend on the model's input", x ? x->name : "");
    if (layout != 0 && layout != 1)
        return onnx_fail(import, "layout = %" PRId64 "; 0 and 1 are known", layout);
    rnn.x = x->as.frames;
    rnn.batch_first = layout == 1;
    rnn.n_gates = import_gate_count(rnn.type);
    if (!read_direction(import, &rnn) || !read_hidden(import, &rnn) || !read_x(import, &rnn) ||
        !read_steps(import, &rnn))
        return false;
    import->progress++; /* the input's axes have been understood */
    if (!check_lengths(import, &rnn) || !read_weights(import, &rnn) ||
        !add_recurrent(import, &rnn, &value))
        return false;
    give_steps(import, &rnn, value);
    if (onnx_output(import, OUT_C)) {
        onnx_output(import, OUT_C)->kind = ONNX_OPAQUE;
        onnx_output(import, OUT_C)->as.opaque = (struct onnx_opaque){.role = ROLE_CELL};
    }
    return !onnx_used(import, OUT_H) || give_final(import, &rnn, value);
}
