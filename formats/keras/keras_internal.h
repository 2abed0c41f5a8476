/* SPDX-License-Identifier: MIT
 *
 * What the files of the Keras importer share. import_keras.c finds configuration and
 * weights, keras_graph.c walks the layers of a model, keras_layers.c has the table of
 * classes, and the other files hold its functions.
 */
#ifndef LSTMRUN_FORMATS_KERAS_INTERNAL_H
#define LSTMRUN_FORMATS_KERAS_INTERNAL_H

#include <jansson.h>

#include "formats/keras/hdf5_file.h"
#include "formats/import.h"

enum {
    KERAS_MAX_WEIGHTS = 16, /* arrays of one layer */
    KERAS_MAX_NAME = 200,   /* bytes of a name in the model file */
    KERAS_MAX_NESTING = 16, /* models and wrappers inside one another */
    KERAS_MAX_MASKS = 256,
    KERAS_PATH = HDF5_MAX_PATH,
};

/* A tensor of Keras's graph: frames of the model file and what is known of them. */
struct keras_tensor {
    uint32_t value;
    uint32_t mask;  /* a value, or MODEL_NONE */
    bool has_time;  /* axis 1 is the steps of a run */
    bool scalar;    /* shape [batch, steps]: whole numbers for an embedding, frames [1] */
};

/* A mask layer that is there already: what it reads and compares with. */
struct keras_made_mask {
    uint32_t source, bits, value;
};

struct keras_work {
    const struct import_source *source;
    struct model_builder *builder;
    struct import_error *error;
    const struct hdf5_file *file;
    bool *used;           /* [file->n_arrays] */
    int major;            /* of Keras: 2, 3; 0: unknown */
    bool in_order;        /* the names in the file must be those of the configuration */
    const char *output;   /* the layer whose output is wanted, or NULL */
    bool has_input;
    uint32_t n_layers, n_tensors;
    struct keras_made_mask masks[KERAS_MAX_MASKS];
    uint32_t n_masks;
};

/* Where the weights of a layer are. Keras 3 keeps them by path, one group for each object.
 * Before, a layer of the outermost model has a list, all that can be trained first. */
struct keras_place {
    char path[KERAS_PATH];             /* "" in lists */
    const struct hdf5_array **list;    /* or NULL */
    size_t n_list, *next, *next_frozen;
};

/* One layer, as the functions of the table see it. */
struct keras_layer {
    const char *class_name, *name;
    const json_t *config;
    const struct keras_place *place;
    const struct hdf5_array *weights[KERAS_MAX_WEIGHTS];
    uint32_t n_weights;
    unsigned nesting;
};

struct keras_row {
    const char *class_name;
    /* How many weights of either kind the configuration asks for; NULL: none. */
    void (*count)(const json_t *config, unsigned *trained, unsigned *frozen);
    /* Emit layers; *out is preset to *in. */
    bool (*add)(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                struct keras_tensor *out);
    /* The same for layers with several inputs; NULL: it has one. */
    bool (*join)(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                 size_t n_in, struct keras_tensor *out);
    bool takes_weights; /* wrappers and models look for those of what they hold by themselves */
};

/* ---- keras_config.c: configurations and sentences ------------------------- */

bool keras_fail(const struct keras_work *work, const struct keras_layer *layer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool keras_out_of_memory(const struct keras_work *work);
void keras_note(const struct keras_work *work, const struct keras_layer *layer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether a key is there and not null. */
bool keras_has(const json_t *config, const char *key);
/* For counting weights, where wrong types are refused later. */
bool keras_is_on(const json_t *config, const char *key, bool otherwise);
bool keras_flag(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                bool otherwise,
                bool *out);
bool keras_number(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                  double otherwise, double *out);
bool keras_count(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                 uint32_t *out);
/* "int or list of one int", as kernel_size and strides are. */
bool keras_one_of_list(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                       uint32_t otherwise, uint32_t *out);
/* The key must be missing, null, false or the word. */
bool keras_only(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                const char *word);
/* An axis that must be the last one of `rank` (frame, without batch and time). */
bool keras_last_axis(const struct keras_work *work, const struct keras_layer *layer,
                     const struct keras_tensor *in, const char *key);

/* y = gain · act(x) + offset, or act(x) · x; or softmax. */
struct keras_activation {
    uint32_t code;
    float alpha, beta, gain, offset;
    bool times_x, softmax;
};
/* From a name or a serialised object; missing: `otherwise`. */
bool keras_activation(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                      const char *otherwise, struct keras_activation *out);
/* From a layer's own class: ReLU, LeakyReLU, ELU, Softmax …; *known_out false: no such class. */
bool keras_activation_of_class(const struct keras_work *work, const struct keras_layer *layer,
                               struct keras_activation *out, bool *known_out);
bool keras_is_plain(const struct keras_activation *activation);

/* ---- keras_emit.c: layers and tensors of the model file -------------------- */

struct model_value keras_frame(const struct keras_work *work, uint32_t value);
bool keras_emit(struct keras_work *work, const struct keras_layer *layer, struct model_layer_spec *spec,
                uint32_t *value_out);
/* A layer of one input that keeps the frame's shape. */
struct model_layer_spec keras_like(const struct keras_work *work, uint32_t type, uint32_t value);
bool keras_emit_plain(struct keras_work *work, const struct keras_layer *layer, uint32_t type,
                      uint32_t value, uint32_t *value_out);
bool keras_emit_pair(struct keras_work *work, const struct keras_layer *layer, uint32_t type,
                     const uint32_t values[2], uint32_t *value_out);
bool keras_emit_act(struct keras_work *work, const struct keras_layer *layer,
                    const struct keras_activation *activation, uint32_t *value);
/* What an activation is beyond what a dense layer's words can say. */
bool keras_emit_rest(struct keras_work *work, const struct keras_layer *layer,
                     const struct keras_activation *activation, uint32_t before, uint32_t *value);
bool keras_emit_reshape(struct keras_work *work, const struct keras_layer *layer, uint32_t rank,
                        const uint32_t *dims, uint32_t *value);
/* [1]: 1 where a frame of `source` differs from `number`; the same one when asked again. */
bool keras_mask(struct keras_work *work, const struct keras_layer *layer, uint32_t source, float number,
                uint32_t *value_out);

/* The numbers of weight `index` with that shape, malloc'd; NULL: said why. */
float *keras_weight(struct keras_work *work, const struct keras_layer *layer, uint32_t index, uint32_t rank,
                    const uint32_t *dims);
bool keras_add_tensor(struct keras_work *work, const struct keras_layer *layer, const char *suffix,
                      uint32_t rank,
                      const uint32_t *dims, float *data, uint32_t *index_out);
/* The builder's name for a layer: bounded, without control characters. */
const char *keras_name(const struct keras_layer *layer, char text[KERAS_MAX_NAME + 1]);

/* ---- keras_weights.c ------------------------------------------------------ */

/* The group of an object below `place`: for lists the place itself. */
bool keras_place_below(const struct keras_work *work, const struct keras_place *place, const char *name,
                       struct keras_place *out);
/* Fill layer->weights from its place by the table's counts. */
bool keras_find_weights(struct keras_work *work, const struct keras_row *row, struct keras_layer *layer);
bool keras_check_all_used(const struct keras_work *work);
/* Places of the layers of the outermost model. */
struct keras_top {
    const char *root;            /* "model_weights", "layers", … */
    bool lists;
    const struct hdf5_array **list; /* of one layer at a time */
    size_t next, next_frozen;
};
bool keras_find_top(const struct keras_work *work, struct keras_top *top);
bool keras_top_place(const struct keras_work *work, struct keras_top *top, const json_t *entry,
                     struct keras_place *out);
void keras_count_weights(const json_t *entry, unsigned nesting, unsigned *trained, unsigned *frozen);
/* "SimpleRNN" to "simple_rnn", as Keras names its groups. */
void keras_snake_case(const char *class_name, char *out, size_t n_out);

/* ---- keras_graph.c -------------------------------------------------------- */

/* What a model reads: nothing yet (the outermost one), or a tensor. */
struct keras_model {
    const char *class_name;
    const json_t *config;
    const struct keras_place *place; /* NULL: the outermost model's */
    unsigned nesting;
};
bool keras_is_model(const char *class_name);
/* Both are sequences with the same number of steps, or neither is one. */
bool keras_keep_step(const struct keras_work *work, const struct keras_layer *layer,
                     const struct keras_tensor *a, const struct keras_tensor *b);
bool keras_add_model(struct keras_work *work, const struct keras_model *model, const struct keras_tensor *in,
                     struct keras_tensor *out);
/* Any layer by its entry {"class_name", "config"}. */
bool keras_add_entry(struct keras_work *work, const json_t *entry, const struct keras_place *place,
                     unsigned nesting, const struct keras_tensor *in, size_t n_in, struct keras_tensor *out);

/* ---- keras_nodes.c: the edges of a functional model ------------------------ */

struct keras_argument {
    bool is_tensor;
    size_t layer; /* index in the list of layers */
    double number;
};
struct keras_node {
    struct keras_argument *arguments;
    size_t n_arguments;
    bool has_mask, no_mask; /* a mask is given; none is, in so many words */
    size_t mask;            /* layer */
};
bool keras_read_nodes(const struct keras_work *work, const json_t *layers, struct keras_node **nodes_out);
void keras_free_nodes(struct keras_node *nodes, size_t n);
/* The one layer that a list of tensors (input_layers, output_layers) names. */
bool keras_one_layer(const struct keras_work *work, const json_t *layers, const json_t *config,
                     const char *key,
                     size_t *index_out);

/* ---- keras_ops.c: operations on tensors that are no layers ------------------ */

/* A result that is a truth for each step: what Keras 3 writes to compute masks. */
enum keras_truth { KERAS_NO_TRUTH, KERAS_FALSE, KERAS_TRUE, KERAS_MASK };
struct keras_result {
    struct keras_tensor tensor;
    enum keras_truth truth; /* KERAS_MASK: tensor.value is the mask */
};
bool keras_is_op(const json_t *entry);
/* The same for classes that are layers too, where the module is not known: by the inputs. */
bool keras_like_op(const json_t *entry, const struct keras_node *node, const struct keras_result *results);
bool keras_add_op(struct keras_work *work, const struct keras_layer *layer, const struct keras_node *node,
                  const struct keras_result *results, struct keras_result *out);

/* ---- the table ------------------------------------------------------------ */

const struct keras_row *keras_row(const char *class_name);

/* keras_rnn.c */
void keras_count_rnn(const json_t *config, unsigned *trained, unsigned *frozen);
void keras_count_cudnn(const json_t *config, unsigned *trained, unsigned *frozen);
void keras_count_rnn_of_cell(const json_t *config, unsigned *trained, unsigned *frozen);
bool keras_add_rnn(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                   struct keras_tensor *out);
bool keras_add_bidirectional(struct keras_work *work, const struct keras_layer *layer,
                             const struct keras_tensor *in, struct keras_tensor *out);

/* keras_frames.c: what looks at one frame and has weights */
void keras_count_bias(const json_t *config, unsigned *trained, unsigned *frozen);
void keras_count_one(const json_t *config, unsigned *trained, unsigned *frozen);
void keras_count_norm(const json_t *config, unsigned *trained, unsigned *frozen);
void keras_count_batch_norm(const json_t *config, unsigned *trained, unsigned *frozen);
void keras_count_normalization(const json_t *config, unsigned *trained, unsigned *frozen);
bool keras_add_dense(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                     struct keras_tensor *out);
bool keras_add_embedding(struct keras_work *work, const struct keras_layer *layer,
                         const struct keras_tensor *in,
                         struct keras_tensor *out);
bool keras_add_conv1d(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                      struct keras_tensor *out);
bool keras_add_pool(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                    struct keras_tensor *out);
bool keras_add_attention_average(struct keras_work *work, const struct keras_layer *layer,
                                 const struct keras_tensor *in, struct keras_tensor *out);

/* keras_norm.c */
bool keras_add_batch_norm(struct keras_work *work, const struct keras_layer *layer,
                          const struct keras_tensor *in, struct keras_tensor *out);
bool keras_add_layer_norm(struct keras_work *work, const struct keras_layer *layer,
                          const struct keras_tensor *in, struct keras_tensor *out);
bool keras_add_normalization(struct keras_work *work, const struct keras_layer *layer,
                             const struct keras_tensor *in, struct keras_tensor *out);

/* ---- what the tests call too ------------------------------------------------ */

struct keras_parts {
    json_t *model;        /* {"class_name", "config"} or a bare config */
    const char *version;  /* of Keras, or NULL */
    const struct hdf5_file *weights;
    bool in_order;
    const char *output;   /* the layer whose output is wanted, or NULL */
};
/* *value_out is the model's output. */
bool keras_build(const struct import_source *source, const struct keras_parts *parts,
                 struct model_builder *builder, uint32_t *value_out, struct import_error *error);

#endif
