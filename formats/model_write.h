/* SPDX-License-Identifier: MIT
 *
 * Building a model in memory and writing it as a model file. Used by the importers
 * and the tests; not part of the installed library.
 *
 * The first failure sticks: later calls do nothing and model_finish reports it, so
 * importers need not test each call. Everything passed in is copied.
 */
#ifndef LSTMRUN_FORMATS_MODEL_WRITE_H
#define LSTMRUN_FORMATS_MODEL_WRITE_H

#include "formats/model_file.h"
#include "formats/pace.h"

struct model_builder;

struct model_builder *model_builder_create(void); /* NULL: out of memory */
void model_builder_destroy(struct model_builder *builder);

/* A layer to add. Zero-initialise; unused names may be NULL. */
struct model_layer_spec {
    uint32_t type;
    const char *name;
    uint32_t n_inputs, n_tensors;
    uint32_t inputs[MODEL_MAX_INPUTS];
    uint32_t tensors[MODEL_MAX_LAYER_TENSORS];
    uint32_t params[MODEL_PARAMS];
    uint32_t rank; /* shape of the output frame */
    uint32_t dims[MODEL_MAX_RANK];
    bool once;
};

/* The input frame; call once, before the first layer. */
void model_set_input(struct model_builder *builder, const char *name, uint32_t rank,
                     const uint32_t *dims);

/* An f32 tensor; returns its index. Denormals are stored as they are. */
uint32_t model_add_tensor(struct model_builder *builder, const char *name, uint32_t rank,
                          const uint32_t *dims, const float *data);

/* Returns the value that holds the layer's output. */
uint32_t model_add_layer(struct model_builder *builder, const struct model_layer_spec *spec);

/* The same key twice: the later value stays. */
void model_set_metadata(struct model_builder *builder, const char *key, const char *value);

/* The value that is the model's output; default: the last layer's. */
void model_set_output(struct model_builder *builder, uint32_t value);

/* Self-test vectors: [steps][input size] and [output steps][output size]. */
void model_set_reference(struct model_builder *builder, uint32_t steps, const float *input,
                         uint32_t output_steps, const float *output);

/* What is known of a value, for importers: its frame shape. False if there is none. */
bool model_builder_value(const struct model_builder *builder, uint32_t value,
                         struct model_value *out);

/* How many steps it has: importers join only values of equal paces. The input's for what is there once. */
struct pace model_builder_pace(const struct model_builder *builder, uint32_t value);

/* The file's bytes (malloc'd, for the caller to free). False: `error` has the reason
 * (rule 0: out of memory). What it makes is accepted by model_read. */
bool model_finish(struct model_builder *builder, void **bytes_out, size_t *n_bytes_out,
                  struct format_error *error);

/* Float to parameter word and back. */
uint32_t model_float_bits(float value);
float model_bits_float(uint32_t bits);

#endif
