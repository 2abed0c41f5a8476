/* SPDX-License-Identifier: MIT
 *
 * What importers share: numbers of other types to clean f32, and recurrent cells of
 * any gate order to the model file's one canonical form.
 */
#ifndef LSTMRUN_FORMATS_IMPORT_COMMON_H
#define LSTMRUN_FORMATS_IMPORT_COMMON_H

#include "formats/import.h"

/* Tell the person running the conversion something that is no error. */
void import_note(const struct import_source *source, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum import_dtype { IMPORT_F32, IMPORT_F64, IMPORT_F16, IMPORT_BF16 };

/* `count` little-endian numbers at `bytes` (any alignment) as f32. NaN, infinity and
 * what f32 cannot hold are refused by `name` and index; denormals become 0 and are
 * told in a note. */
bool import_numbers(const struct import_source *source, const char *name,
                    enum import_dtype dtype, const void *bytes, size_t count, float *out,
                    struct import_error *error);

/* The same checks on numbers that are f32 already (computed by an importer, say). */
bool import_clean(const struct import_source *source, const char *name, float *numbers,
                  size_t count, struct import_error *error);

/* 4, 3 or 1 for MODEL_LSTM, MODEL_GRU, MODEL_RNN; else 0. */
uint32_t import_gate_count(uint32_t type);

/* Where another framework keeps canonical gate g (i,f,g,o / r,z,n): its block
 * order[g]. */
struct import_gate_order {
    uint8_t of_gate[4];
};
extern const struct import_gate_order import_order_torch;     /* i,f,g,o and r,z,n */
extern const struct import_gate_order import_order_onnx_lstm; /* i,o,f,c */
extern const struct import_gate_order import_order_onnx_gru;  /* z,r,h (Keras too) */

/* One direction of one recurrent layer as a framework stores it. Pointers may be NULL
 * where said; weights are row-major. */
struct import_cell {
    const char *name; /* for tensor names and messages */
    uint32_t type;    /* MODEL_LSTM, MODEL_GRU, MODEL_RNN */
    uint32_t hidden, input, recurrent; /* H, I, R */
    bool reset_after;                  /* gru */
    struct import_gate_order order;
    const float *w_input;     /* [G·H][I], blocks in `order` */
    const float *w_recurrent; /* [G·H][R] */
    const float *bias_input;  /* [G·H] or NULL */
    const float *bias_recurrent;
    const float *peephole;   /* [3][H], already i, f, o; or NULL */
    const float *projection; /* [R][H] or NULL */
    const float *h0;         /* [R] or NULL */
    const float *c0;         /* [H] or NULL */
};

/* Add the cell's tensors to the builder in canonical form and write their indices (or
 * MODEL_NONE) to slots_out[MODEL_RNN_SLOTS]. Biases are summed, but for a GRU with reset
 * after the product n's recurrent bias goes to the peephole slot, as model_file.h says. */
bool import_add_cell(const struct import_source *source, struct model_builder *builder,
                     const struct import_cell *cell, uint32_t *slots_out,
                     struct import_error *error);

/* Parameter words of a recurrent layer with its usual activations (sigmoid, tanh, tanh;
 * sigmoid, tanh; tanh) in each direction it has. */
void import_rnn_params(uint32_t *params, uint32_t type, uint32_t hidden, uint32_t direction,
                       uint32_t flags);

/* "sigmoid", "leaky_relu" … of enum model_activation; false: no such name. Compared
 * without case; '-' and ' ' count as '_', and "none" and "linear" are identity. */
bool import_activation(const char *name, uint32_t *activation_out);

/* Orders names as people do: runs of digits by their value ("l2" before "l10"). */
int import_compare_names(const char *a, const char *b);

#endif
