/* SPDX-License-Identifier: MIT
 *
 * The rules of FORMAT.md that concern the meaning of layers (F60 and on): one change
 * to a good layer, and the model is refused with that rule's number.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/session.h"

enum { WIDTH = 6, HIDDEN = 4 };

/* What to change in a good layer. */
enum change {
    NOTHING,
    TYPE,
    N_INPUTS,
    N_TENSORS,
    TENSOR_GONE,  /* slot `index` becomes NONE */
    TENSOR_ODD,   /* slot `index` gets a tensor [7] */
    WORD,         /* parameter word `index` = `value` */
    RANK,
    DIM,
    ONCE,         /* the output is marked */
    INPUT_ONCE,   /* input `index` becomes a value that is once */
    INPUT_MATRIX, /* input 0 becomes a value of rank 2 */
};

struct bad_case {
    uint32_t rule, type;
    enum change change;
    uint32_t index, value;
};

#define NAN_BITS 0x7fc00000u
#define INFINITY_BITS 0x7f800000u
#define ONE_BITS 0x3f800000u
#define MINUS_ONE_BITS 0xbf800000u

static const struct bad_case bad_cases[] = {
    {60, MODEL_DENSE, TYPE, 0, 99},
    {61, MODEL_LSTM, N_INPUTS, 0, 3},
    {61, MODEL_GRU, N_INPUTS, 0, 3},
    {61, MODEL_RNN, N_INPUTS, 0, 3},
    {201, MODEL_LSTM, N_INPUTS, 0, 2}, /* a mask of more than one number */
    {202, MODEL_GRU, N_INPUTS, 0, 2},
    {203, MODEL_RNN, N_INPUTS, 0, 2},
    {61, MODEL_MASK, N_INPUTS, 0, 2},
    {62, MODEL_MASK, N_TENSORS, 0, 1},
    {64, MODEL_MASK, WORD, 1, 1},
    {66, MODEL_MASK, ONCE, 0, 1},
    {130, MODEL_MASK, WORD, 0, NAN_BITS},
    {130, MODEL_MASK, WORD, 0, INFINITY_BITS},
    {230, MODEL_MASK, DIM, 0, 2},
    {230, MODEL_MASK, RANK, 0, 2},
    {61, MODEL_L2_NORM, N_INPUTS, 0, 2},
    {62, MODEL_L2_NORM, N_TENSORS, 0, 2},
    {64, MODEL_L2_NORM, WORD, 1, 1},
    {66, MODEL_L2_NORM, ONCE, 0, 1},
    {131, MODEL_L2_NORM, WORD, 0, MINUS_ONE_BITS},
    {131, MODEL_L2_NORM, WORD, 0, INFINITY_BITS},
    {231, MODEL_L2_NORM, DIM, 0, 2},
    {61, MODEL_ATTENTION, N_INPUTS, 0, 1},
    {254, MODEL_ATTENTION, N_INPUTS, 0, 2},
    {61, MODEL_DENSE, N_INPUTS, 0, 2},
    {61, MODEL_EMBEDDING, N_INPUTS, 0, 2},
    {61, MODEL_ACTIVATION, N_INPUTS, 0, 2},
    {61, MODEL_SOFTMAX, N_INPUTS, 0, 2},
    {61, MODEL_LAYER_NORM, N_INPUTS, 0, 2},
    {61, MODEL_ADD, N_INPUTS, 0, 1},
    {61, MODEL_MUL, N_INPUTS, 0, 1},
    {61, MODEL_CONCAT, N_INPUTS, 0, 1},
    {61, MODEL_SLICE, N_INPUTS, 0, 2},
    {61, MODEL_RESHAPE, N_INPUTS, 0, 2},
    {61, MODEL_SCALE, N_INPUTS, 0, 2},
    {61, MODEL_LAST, N_INPUTS, 0, 2},
    {62, MODEL_LSTM, N_TENSORS, 0, 5},
    {62, MODEL_LSTM, N_TENSORS, 0, 12},
    {62, MODEL_GRU, N_TENSORS, 0, 1},
    {62, MODEL_RNN, N_TENSORS, 0, 2},
    {62, MODEL_DENSE, N_TENSORS, 0, 1},
    {62, MODEL_DENSE, N_TENSORS, 0, 3},
    {62, MODEL_EMBEDDING, N_TENSORS, 0, 2},
    {62, MODEL_ACTIVATION, N_TENSORS, 0, 1},
    {62, MODEL_LAYER_NORM, N_TENSORS, 0, 1},
    {62, MODEL_SCALE, N_TENSORS, 0, 3},
    {62, MODEL_MEAN, N_TENSORS, 0, 1},
    {63, MODEL_LSTM, TENSOR_GONE, 0, 0},
    {63, MODEL_GRU, TENSOR_GONE, 0, 0},
    {63, MODEL_GRU, TENSOR_ODD, 2, 0}, /* reset before: no second bias */
    {63, MODEL_GRU, TENSOR_ODD, 3, 0},
    {63, MODEL_GRU, TENSOR_ODD, 5, 0},
    {63, MODEL_RNN, TENSOR_GONE, 0, 0},
    {63, MODEL_RNN, TENSOR_ODD, 2, 0},
    {63, MODEL_RNN, TENSOR_ODD, 3, 0},
    {63, MODEL_RNN, TENSOR_ODD, 5, 0},
    {63, MODEL_DENSE, TENSOR_GONE, 0, 0},
    {63, MODEL_EMBEDDING, TENSOR_GONE, 0, 0},
    {63, MODEL_SCALE, TENSOR_GONE, 0, 0}, /* it has no shift either */
    {64, MODEL_LSTM, WORD, 11, 1},
    {64, MODEL_LSTM, WORD, 18, 1},
    {64, MODEL_LSTM, WORD, 4, 0x01020201}, /* the byte after h */
    {64, MODEL_LSTM, WORD, 2, 2}, /* another type's flag */
    {64, MODEL_LSTM, WORD, 2, 4},
    {64, MODEL_GRU, WORD, 2, 1},
    {64, MODEL_RNN, WORD, 2, 1},
    {64, MODEL_GRU, WORD, 4, 0x00010201},
    {64, MODEL_GRU, WORD, 9, ONE_BITS},
    {64, MODEL_RNN, WORD, 4, 0x00000102},
    {64, MODEL_DENSE, WORD, 3, 1},
    {64, MODEL_EMBEDDING, WORD, 0, 1},
    {64, MODEL_ACTIVATION, WORD, 23, 1},
    {64, MODEL_SOFTMAX, WORD, 0, 1},
    {64, MODEL_LAYER_NORM, WORD, 1, 1},
    {64, MODEL_ADD, WORD, 0, 1},
    {64, MODEL_MUL, WORD, 5, 1},
    {64, MODEL_CONCAT, WORD, 1, 1},
    {64, MODEL_SLICE, WORD, 4, 1},
    {64, MODEL_RESHAPE, WORD, 0, 1},
    {64, MODEL_SCALE, WORD, 0, 1},
    {64, MODEL_LAST, WORD, 0, 1},
    {64, MODEL_MEAN, WORD, 0, 1},
    {64, MODEL_MAX, WORD, 0, 1},
    {64, MODEL_FIRST, WORD, 0, 1},
    {65, MODEL_LSTM, WORD, 4, 0x0002020c},
    {65, MODEL_LSTM, WORD, 4, 0x00ff0201},
    {65, MODEL_LSTM, WORD, 5, ONE_BITS}, /* the logistic function has no alpha */
    {65, MODEL_GRU, WORD, 4, 0x00000c01},
    {65, MODEL_RNN, WORD, 4, 0x0000000c},
    {65, MODEL_DENSE, WORD, 0, MODEL_ACT_COUNT},
    {65, MODEL_DENSE, WORD, 1, ONE_BITS},
    {65, MODEL_ACTIVATION, WORD, 0, MODEL_ACT_COUNT},
    {65, MODEL_ACTIVATION, WORD, 1, NAN_BITS},
    {66, MODEL_LSTM, INPUT_ONCE, 0, 0},
    {66, MODEL_GRU, INPUT_ONCE, 0, 0},
    {66, MODEL_RNN, INPUT_ONCE, 0, 0},
    {66, MODEL_LSTM, ONCE, 0, 1},
    {66, MODEL_DENSE, ONCE, 0, 1},
    {66, MODEL_DENSE, INPUT_ONCE, 0, 0}, /* and the output is not marked */
    {66, MODEL_EMBEDDING, ONCE, 0, 1},
    {66, MODEL_SOFTMAX, ONCE, 0, 1},
    {66, MODEL_ADD, INPUT_ONCE, 1, 0},
    {66, MODEL_CONCAT, INPUT_ONCE, 1, 0},
    {66, MODEL_SLICE, ONCE, 0, 1},
    {66, MODEL_RESHAPE, ONCE, 0, 1},
    {66, MODEL_SCALE, ONCE, 0, 1},
    {66, MODEL_LAST, ONCE, 0, 0},
    {66, MODEL_MEAN, ONCE, 0, 0},
    {66, MODEL_MAX, ONCE, 0, 0},
    {66, MODEL_FIRST, ONCE, 0, 0},
    {66, MODEL_MEAN, INPUT_ONCE, 0, 0},
    {101, MODEL_LSTM, WORD, 0, 0},
    {101, MODEL_LSTM, WORD, 0, 1 << 25},
    {101, MODEL_LSTM, WORD, 1, 3},
    {101, MODEL_LSTM, WORD, 3, MINUS_ONE_BITS},
    {101, MODEL_LSTM, WORD, 3, NAN_BITS},
    {101, MODEL_LSTM, WORD, 3, INFINITY_BITS},
    {102, MODEL_GRU, WORD, 0, 0},
    {102, MODEL_GRU, WORD, 1, 3},
    {102, MODEL_GRU, WORD, 3, NAN_BITS},
    {103, MODEL_RNN, WORD, 0, 0},
    {103, MODEL_RNN, WORD, 1, 9},
    {103, MODEL_RNN, WORD, 3, INFINITY_BITS},
    {120, MODEL_LAYER_NORM, WORD, 0, MINUS_ONE_BITS},
    {120, MODEL_LAYER_NORM, WORD, 0, NAN_BITS},
    {120, MODEL_LAYER_NORM, WORD, 0, INFINITY_BITS},
    {123, MODEL_CONCAT, WORD, 0, 1},
    {124, MODEL_SLICE, WORD, 0, 1},
    {124, MODEL_SLICE, WORD, 1, WIDTH},
    {124, MODEL_SLICE, WORD, 2, 0},
    {124, MODEL_SLICE, WORD, 2, 0xffffffff},
    {124, MODEL_SLICE, WORD, 3, 0},
    {124, MODEL_SLICE, WORD, 3, 5},
    {124, MODEL_SLICE, WORD, 3, 0xffffffff},
    {201, MODEL_LSTM, TENSOR_ODD, 0, 0},
    {201, MODEL_LSTM, TENSOR_ODD, 1, 0},
    {201, MODEL_LSTM, TENSOR_ODD, 2, 0},
    {201, MODEL_LSTM, TENSOR_ODD, 3, 0},
    {201, MODEL_LSTM, TENSOR_ODD, 4, 0},
    {201, MODEL_LSTM, TENSOR_ODD, 5, 0},
    {201, MODEL_LSTM, WORD, 0, HIDDEN + 1},
    {201, MODEL_LSTM, DIM, 0, HIDDEN + 1},
    {201, MODEL_LSTM, INPUT_MATRIX, 0, 0},
    {202, MODEL_GRU, TENSOR_ODD, 0, 0},
    {202, MODEL_GRU, TENSOR_ODD, 1, 0},
    {202, MODEL_GRU, TENSOR_ODD, 4, 0},
    {202, MODEL_GRU, RANK, 0, 2},
    {203, MODEL_RNN, TENSOR_ODD, 0, 0},
    {203, MODEL_RNN, TENSOR_ODD, 1, 0},
    {203, MODEL_RNN, TENSOR_ODD, 4, 0},
    {203, MODEL_RNN, DIM, 0, 2 * HIDDEN},
    {216, MODEL_DENSE, TENSOR_ODD, 0, 0},
    {216, MODEL_DENSE, TENSOR_ODD, 1, 0},
    {216, MODEL_DENSE, DIM, 0, 2},
    {216, MODEL_DENSE, RANK, 0, 2},
    {217, MODEL_EMBEDDING, TENSOR_ODD, 0, 0},
    {217, MODEL_EMBEDDING, DIM, 1, 3},
    {217, MODEL_EMBEDDING, RANK, 0, 1},
    {217, MODEL_EMBEDDING, INPUT_MATRIX, 0, 0},
    {218, MODEL_ACTIVATION, DIM, 0, 5},
    {219, MODEL_SOFTMAX, DIM, 0, 5},
    {220, MODEL_LAYER_NORM, TENSOR_ODD, 0, 0},
    {220, MODEL_LAYER_NORM, TENSOR_ODD, 1, 0},
    {220, MODEL_LAYER_NORM, DIM, 0, 5},
    {221, MODEL_ADD, DIM, 0, 5},
    {221, MODEL_ADD, INPUT_MATRIX, 0, 0},
    {222, MODEL_MUL, RANK, 0, 2},
    {222, MODEL_MUL, INPUT_MATRIX, 0, 0},
    {223, MODEL_CONCAT, DIM, 0, WIDTH},
    {223, MODEL_CONCAT, INPUT_MATRIX, 0, 0},
    {224, MODEL_SLICE, DIM, 0, 3},
    {225, MODEL_RESHAPE, DIM, 0, 3},
    {226, MODEL_SCALE, TENSOR_ODD, 0, 0},
    {226, MODEL_SCALE, TENSOR_ODD, 1, 0},
    {226, MODEL_SCALE, DIM, 0, 5},
    {248, MODEL_LAST, DIM, 0, 5},
    {249, MODEL_MEAN, DIM, 0, 5},
    {250, MODEL_MAX, RANK, 0, 2},
    {253, MODEL_FIRST, DIM, 0, 5},
    {61, MODEL_TEMPORAL_POOL, N_INPUTS, 0, 2},
    {62, MODEL_TEMPORAL_POOL, N_TENSORS, 0, 1},
    {64, MODEL_TEMPORAL_POOL, WORD, 6, 1},
    {66, MODEL_TEMPORAL_POOL, ONCE, 0, 1},
    {66, MODEL_TEMPORAL_POOL, INPUT_ONCE, 0, 0},
    {156, MODEL_TEMPORAL_POOL, WORD, MODEL_CONV_STRIDE, 0},
    {156, MODEL_TEMPORAL_POOL, WORD, MODEL_CONV_DILATION, 0},
    {156, MODEL_TEMPORAL_POOL, WORD, MODEL_CONV_DILATION, 2},
    {156, MODEL_TEMPORAL_POOL, WORD, MODEL_CONV_PAD_AFTER, 1},
    {156, MODEL_TEMPORAL_POOL, WORD, MODEL_CONV_PAD_AFTER, 0xffffffff},
    {156, MODEL_TEMPORAL_POOL, WORD, MODEL_POOL_KIND, 3},
    {156, MODEL_TEMPORAL_POOL, WORD, MODEL_POOL_TAPS, 0},
    {156, MODEL_TEMPORAL_POOL, WORD, MODEL_POOL_TAPS, 0xffffffff},
    {256, MODEL_TEMPORAL_POOL, DIM, 0, 5},
    /* convolutions and what goes with them */
    {61, MODEL_CONV1D, N_INPUTS, 0, 2},
    {61, MODEL_TEMPORAL_CONV, N_INPUTS, 0, 2},
    {61, MODEL_MAGNITUDE, N_INPUTS, 0, 2},
    {61, MODEL_TRANSPOSE, N_INPUTS, 0, 2},
    {61, MODEL_REVERSE, N_INPUTS, 0, 2},
    {61, MODEL_DELAY, N_INPUTS, 0, 2},
    {62, MODEL_CONV1D, N_TENSORS, 0, 1},
    {62, MODEL_TEMPORAL_CONV, N_TENSORS, 0, 3},
    {62, MODEL_DELAY, N_TENSORS, 0, 1},
    {63, MODEL_CONV1D, TENSOR_GONE, 0, 0},
    {63, MODEL_TEMPORAL_CONV, TENSOR_GONE, 0, 0},
    {64, MODEL_CONV1D, WORD, 9, 1},
    {64, MODEL_TEMPORAL_CONV, WORD, 23, 1},
    {64, MODEL_MAGNITUDE, WORD, 0, 1},
    {64, MODEL_TRANSPOSE, WORD, 2, 2},
    {64, MODEL_REVERSE, WORD, 0, 1},
    {64, MODEL_DELAY, WORD, 1, 1},
    {65, MODEL_CONV1D, WORD, MODEL_CONV_ACT, MODEL_ACT_COUNT},
    {65, MODEL_TEMPORAL_CONV, WORD, MODEL_CONV_ACT + 1, ONE_BITS},
    {66, MODEL_CONV1D, ONCE, 0, 1},
    {66, MODEL_TEMPORAL_CONV, ONCE, 0, 1},
    {66, MODEL_TEMPORAL_CONV, INPUT_ONCE, 0, 0},
    {66, MODEL_MAGNITUDE, ONCE, 0, 1},
    {66, MODEL_TRANSPOSE, ONCE, 0, 1},
    {66, MODEL_REVERSE, INPUT_ONCE, 0, 0},
    {66, MODEL_DELAY, INPUT_ONCE, 0, 0},
    {67, MODEL_DELAY, WORD, 0, 0xffffffff},
    {67, MODEL_DELAY, WORD, 0, (1 << 24) / WIDTH + 1},
    {127, MODEL_CONV1D, WORD, MODEL_CONV_STRIDE, 0},
    {127, MODEL_CONV1D, WORD, MODEL_CONV_DILATION, 0},
    {127, MODEL_CONV1D, WORD, MODEL_CONV_PADDING, 3},
    {127, MODEL_CONV1D, WORD, MODEL_CONV_GROUPS, 0},
    {127, MODEL_CONV1D, WORD, MODEL_CONV_GROUPS, 2},
    {129, MODEL_TRANSPOSE, WORD, 0, 0},
    {129, MODEL_TRANSPOSE, WORD, 1, 33},
    {152, MODEL_TEMPORAL_CONV, WORD, MODEL_CONV_STRIDE, 0},
    {152, MODEL_TEMPORAL_CONV, WORD, MODEL_CONV_DILATION, 0},
    {152, MODEL_TEMPORAL_CONV, WORD, MODEL_CONV_PAD_AFTER, 1},
    {152, MODEL_TEMPORAL_CONV, WORD, MODEL_CONV_PADDING, 3},
    {152, MODEL_TEMPORAL_CONV, WORD, MODEL_CONV_GROUPS, 4},
    {155, MODEL_DELAY, WORD, 0, 0},
    {227, MODEL_CONV1D, WORD, MODEL_CONV_DILATION, 3},
    {227, MODEL_CONV1D, WORD, MODEL_CONV_PAD_AFTER, 0xffffffff},
    {227, MODEL_CONV1D, TENSOR_ODD, 0, 0},
    {227, MODEL_CONV1D, TENSOR_ODD, 1, 0},
    {227, MODEL_CONV1D, DIM, 0, 3},
    {227, MODEL_CONV1D, DIM, 1, 4},
    {227, MODEL_CONV1D, RANK, 0, 1},
    {228, MODEL_MAGNITUDE, DIM, 0, WIDTH},
    {229, MODEL_TRANSPOSE, DIM, 0, 3},
    {251, MODEL_REVERSE, DIM, 0, 5},
    {252, MODEL_TEMPORAL_CONV, TENSOR_ODD, 0, 0},
    {252, MODEL_TEMPORAL_CONV, TENSOR_ODD, 1, 0},
    {252, MODEL_TEMPORAL_CONV, RANK, 0, 2},
    {252, MODEL_TEMPORAL_CONV, INPUT_MATRIX, 0, 0},
    {255, MODEL_DELAY, DIM, 0, 5},
};

static uint32_t zeros(struct model_builder *builder, uint32_t rank, const uint32_t *dims)
{
    static const float data[400];
    return model_add_tensor(builder, NULL, rank, dims, data);
}

/* A layer whose tensors are not made yet: the writer refuses those that nothing names. */
struct draft {
    struct model_layer_spec spec;
    struct {
        uint32_t rank, dims[3]; /* rank 0: none */
    } slots[MODEL_MAX_LAYER_TENSORS];
};

static void want_slot(struct draft *draft, uint32_t slot, uint32_t rank, const uint32_t *dims)
{
    draft->slots[slot].rank = rank;
    memcpy(draft->slots[slot].dims, dims, rank * sizeof *dims);
}

static void make_slots(struct model_builder *builder, struct draft *draft)
{
    for (uint32_t j = 0; j < draft->spec.n_tensors; j++)
        draft->spec.tensors[j] = draft->slots[j].rank
                                     ? zeros(builder, draft->slots[j].rank, draft->slots[j].dims)
                                     : MODEL_NONE;
}

static void fill_recurrent(struct draft *draft)
{
    struct model_layer_spec *spec = &draft->spec;
    uint32_t gates = spec->type == MODEL_LSTM ? 4 : spec->type == MODEL_GRU ? 3 : 1;
    spec->n_tensors = MODEL_RNN_SLOTS;
    spec->params[MODEL_RNN_HIDDEN] = spec->dims[0] = HIDDEN;
    spec->params[MODEL_RNN_ACTS] = gates == 4 ? 0x020201 : gates == 3 ? 0x0201 : 2;
    want_slot(draft, 0, 3, (uint32_t[]){gates, HIDDEN, HIDDEN + WIDTH});
    want_slot(draft, 1, 2, (uint32_t[]){gates, HIDDEN});
}

static void fill_conv(struct draft *draft)
{
    struct model_layer_spec *spec = &draft->spec;
    const bool temporal = spec->type == MODEL_TEMPORAL_CONV;
    spec->n_tensors = 2;
    spec->params[MODEL_CONV_STRIDE] = spec->params[MODEL_CONV_DILATION] = 1;
    spec->params[MODEL_CONV_GROUPS] = 1;
    spec->params[MODEL_CONV_PAD_BEFORE] = temporal ? 1 : 0;
    spec->rank = temporal ? 1 : 2;
    memcpy(spec->dims, (uint32_t[]){temporal ? 3 : 2, temporal ? 0 : 3}, 2 * sizeof *spec->dims);
    want_slot(draft, 0, 3, (uint32_t[]){3, 2, temporal ? WIDTH : 2});
}

/* These read a frame [3][2], the others one of WIDTH numbers. */
static bool reads_matrix(uint32_t type)
{
    return type == MODEL_CONV1D || type == MODEL_TRANSPOSE;
}

/* A layer of this type over value 0, as it should be. */
static struct draft good_layer(uint32_t type)
{
    struct draft draft = {.spec = {.type = type, .n_inputs = 1, .rank = 1, .dims = {WIDTH}}};
    struct model_layer_spec *spec = &draft.spec;
    switch (type) {
    case MODEL_LSTM:
    case MODEL_GRU:
    case MODEL_RNN: fill_recurrent(&draft); break;
    case MODEL_DENSE:
        spec->n_tensors = 2;
        spec->dims[0] = 3;
        want_slot(&draft, 0, 2, (uint32_t[]){3, WIDTH});
        break;
    case MODEL_EMBEDDING:
        spec->n_tensors = 1;
        spec->rank = spec->dims[1] = 2;
        want_slot(&draft, 0, 2, (uint32_t[]){5, 2});
        break;
    case MODEL_ACTIVATION: spec->params[0] = MODEL_ACT_ELU; break;
    case MODEL_LAYER_NORM: spec->n_tensors = 2; break;
    case MODEL_MASK: spec->dims[0] = 1; break;
    case MODEL_SCALE:
        spec->n_tensors = 2;
        want_slot(&draft, 0, 1, (uint32_t[]){WIDTH});
        break;
    case MODEL_ADD:
    case MODEL_MUL: spec->n_inputs = 2; break;
    case MODEL_CONCAT: spec->n_inputs = 2, spec->dims[0] = 2 * WIDTH; break;
    case MODEL_SLICE:
        memcpy(spec->params, (uint32_t[]){0, 1, 2, 2}, 4 * sizeof(uint32_t));
        spec->dims[0] = 2;
        break;
    case MODEL_CONV1D:
    case MODEL_TEMPORAL_CONV: fill_conv(&draft); break;
    case MODEL_MAGNITUDE: spec->dims[0] = WIDTH / 2; break;
    case MODEL_TRANSPOSE:
        spec->params[0] = 1;
        spec->rank = spec->dims[0] = 2, spec->dims[1] = 3;
        break;
    case MODEL_DELAY: spec->params[0] = 2; break;
    case MODEL_TEMPORAL_POOL:
        memcpy(spec->params, (uint32_t[]){1, 1, 1, 0, 0, 2}, 6 * sizeof(uint32_t));
        break;
    case MODEL_RESHAPE: spec->rank = 2, spec->dims[0] = 2, spec->dims[1] = 3; break;
    case MODEL_LAST:
    case MODEL_FIRST:
    case MODEL_ATTENTION:
    case MODEL_MEAN:
    case MODEL_MAX: spec->once = true; break;
    default: break;
    }
    return draft;
}

static void change_layer(struct model_builder *builder, struct draft *draft,
                         const struct bad_case *bad)
{
    struct model_layer_spec *spec = &draft->spec;
    switch (bad->change) {
    case NOTHING: break;
    case TYPE: spec->type = bad->value; break;
    case N_INPUTS: spec->n_inputs = bad->value; break;
    case N_TENSORS: spec->n_tensors = bad->value; break;
    case TENSOR_GONE: draft->slots[bad->index].rank = 0; break;
    case TENSOR_ODD: want_slot(draft, bad->index, 1, (uint32_t[]){7}); break;
    case WORD: spec->params[bad->index] = bad->value; break;
    case RANK:
        spec->rank = bad->value;
        spec->dims[1] = bad->value > 1 ? 1 : 0;
        break;
    case DIM: spec->dims[bad->index] = bad->value; break;
    case ONCE: spec->once = bad->value; break;
    case INPUT_ONCE: spec->inputs[bad->index] = build_pooling(builder, 0, MODEL_LAST); break;
    case INPUT_MATRIX: spec->inputs[0] = build_reshape(builder, 0, 2, (uint32_t[]){2, 3}); break;
    }
}

static void open_case(const struct bad_case *bad, lstm_status *status_out, lstm_error *error)
{
    char text[100];
    struct model_builder *builder = model_builder_create();
    const uint32_t matrix[] = {3, WIDTH / 3}, width = WIDTH;
    lstm_model *model;
    snprintf(text, sizeof text, "type %u change %d index %u value %#x", bad->type, bad->change,
             bad->index, bad->value);
    if (reads_matrix(bad->type))
        model_set_input(builder, NULL, 2, matrix);
    else
        model_set_input(builder, NULL, 1, &width);
    struct draft draft = good_layer(bad->type);
    change_layer(builder, &draft, bad);
    make_slots(builder, &draft);
    model_add_layer(builder, &draft.spec);
    struct test_model file = test_model_finish(builder, text);
    *status_out = lstm_model_open_memory(file.bytes, file.n_bytes, &model, error);
    cr_assert((*status_out == LSTM_OK) == (model != NULL), "%s", text);
    lstm_model_close(model);
    test_model_free(&file);
}

Test(model, good_layers_open)
{
    static const uint32_t types[] = {
        MODEL_LSTM, MODEL_GRU, MODEL_RNN, MODEL_DENSE, MODEL_EMBEDDING, MODEL_ACTIVATION,
        MODEL_SOFTMAX, MODEL_LAYER_NORM, MODEL_ADD, MODEL_MUL, MODEL_CONCAT, MODEL_SLICE,
        MODEL_RESHAPE, MODEL_SCALE, MODEL_LAST, MODEL_MEAN, MODEL_MAX, MODEL_FIRST,
        MODEL_MASK, MODEL_L2_NORM,
        MODEL_CONV1D, MODEL_TEMPORAL_CONV, MODEL_MAGNITUDE, MODEL_TRANSPOSE, MODEL_REVERSE,
        MODEL_DELAY, MODEL_TEMPORAL_POOL,
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct bad_case good = {0, types[i], NOTHING, 0, 0};
        lstm_status status;
        lstm_error error;
        open_case(&good, &status, &error);
        cr_assert_eq(status, LSTM_OK, "type %u: %s", types[i], error.text);
    }
}

Test(model, broken_rules_are_named)
{
    int failures = 0;
    for (size_t i = 0; i < sizeof bad_cases / sizeof *bad_cases; i++) {
        const struct bad_case *bad = &bad_cases[i];
        lstm_status status;
        lstm_error error;
        open_case(bad, &status, &error);
        if (status == LSTM_E_FORMAT && error.rule == bad->rule && error.text[0])
            continue;
        failures++;
        fprintf(stderr, "case %zu: type %u, change %d of %u to %#x: %s, rule %u, expected rule %u: %s\n",
                i, bad->type, bad->change, bad->index, bad->value, lstm_status_text(status),
                status ? error.rule : 0, bad->rule, status ? error.text : "");
    }
    cr_assert_eq(failures, 0);
}

/* ---- projection and two directions, which the table does not reach ---------------- */

static lstm_status open_projection(const uint32_t projection[2], uint32_t second_rows,
                                   uint32_t columns, uint32_t out, lstm_error *error)
{
    struct model_builder *builder = model_builder_create();
    uint32_t width = WIDTH;
    lstm_model *model;
    model_set_input(builder, NULL, 1, &width);
    struct draft draft = good_layer(MODEL_LSTM);
    draft.spec.params[MODEL_RNN_DIRECTION] = MODEL_BIDIRECTIONAL;
    draft.spec.params[MODEL_RNN_ACTS + MODEL_RNN_ACTS_STRIDE] = 0x020201;
    draft.spec.n_tensors = 2 * MODEL_RNN_SLOTS;
    for (uint32_t d = 0; d < 2; d++) {
        uint32_t first = d * MODEL_RNN_SLOTS;
        want_slot(&draft, first, 3, (uint32_t[]){4, HIDDEN, columns});
        want_slot(&draft, first + 3, 2, (uint32_t[]){d ? second_rows : projection[0], projection[1]});
    }
    draft.spec.dims[0] = out;
    make_slots(builder, &draft);
    model_add_layer(builder, &draft.spec);
    struct test_model file = test_model_finish(builder, "projection");
    lstm_status status = lstm_model_open_memory(file.bytes, file.n_bytes, &model, error);
    lstm_model_close(model);
    test_model_free(&file);
    return status;
}

Test(model, projections_have_one_size)
{
    static const uint32_t good[2] = {2, HIDDEN}, narrow[2] = {2, HIDDEN - 1};
    lstm_error error;
    cr_assert_eq(open_projection(good, 2, 2 + WIDTH, 4, &error), LSTM_OK, "%s", error.text);
    cr_assert_eq(open_projection(good, 1, 2 + WIDTH, 4, &error), LSTM_E_FORMAT);
    cr_assert_eq(error.rule, 201);
    cr_assert_eq(open_projection(good, 2, HIDDEN + WIDTH, 4, &error), LSTM_E_FORMAT);
    cr_assert_eq(error.rule, 201);
    cr_assert_eq(open_projection(good, 2, 2 + WIDTH, 8, &error), LSTM_E_FORMAT);
    cr_assert_eq(error.rule, 201);
    cr_assert_eq(open_projection(narrow, 2, 2 + WIDTH, 4, &error), LSTM_E_FORMAT);
    cr_assert_eq(error.rule, 201);
}
