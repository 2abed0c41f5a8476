/* SPDX-License-Identifier: MIT
 *
 * Keras's layers with weights that are no recurrent ones and no normalisations: Dense,
 * Embedding, Conv1D, and the attention of textgenrnn. See keras_internal.h.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/keras/keras_internal.h"

void keras_count_bias(const json_t *config, unsigned *trained, unsigned *frozen)
{
    (void)frozen;
    *trained += 1 + keras_is_on(config, "use_bias", true);
}

void keras_count_one(const json_t *config, unsigned *trained, unsigned *frozen)
{
    (void)config, (void)frozen;
    *trained += 1;
}

/* [rows][columns] to [columns][rows]. */
static float *transposed(const float *numbers, size_t rows, size_t columns)
{
    float *out = calloc(rows * columns, sizeof *out);
    for (size_t row = 0; out && row < rows; row++)
        for (size_t column = 0; column < columns; column++)
            out[column * rows + row] = numbers[row * columns + column];
    return out;
}

/* A kernel [rows][columns] with the sizes `dims` as the tensor [columns][rows], of which
 * `out_rank` sizes are `out_dims`. */
struct kernel {
    uint32_t rank, dims[3];
    size_t rows, columns;
    uint32_t out_rank, out_dims[3];
};

static bool add_kernel(struct keras_work *work, const struct keras_layer *layer, const struct kernel *kernel,
                       uint32_t *slot)
{
    float *numbers = keras_weight(work, layer, 0, kernel->rank, kernel->dims);
    float *turned = numbers ? transposed(numbers, kernel->rows, kernel->columns) : NULL;
    bool good = turned != NULL;
    if (numbers && !turned)
        keras_out_of_memory(work);
    free(numbers);
    good = good && keras_add_tensor(work, layer, "weight", kernel->out_rank, kernel->out_dims, turned, slot);
    free(turned);
    return good;
}

/* Weight 1, [n], unless there is none. */
static bool add_bias(struct keras_work *work, const struct keras_layer *layer, uint32_t n, uint32_t *slot)
{
    float *numbers;
    bool good;
    *slot = MODEL_NONE;
    if (layer->n_weights < 2)
        return true;
    numbers = keras_weight(work, layer, 1, 1, &n);
    good = numbers && keras_add_tensor(work, layer, "bias", 1, &n, numbers, slot);
    free(numbers);
    return good;
}

/* An activation goes into the words of the layer, what is left of it into layers after it. */
static bool emit_with_act(struct keras_work *work, const struct keras_layer *layer,
                          struct model_layer_spec *spec,
                          unsigned word, const struct keras_activation *activation, uint32_t *value)
{
    if (activation->times_x)
        return keras_emit(work, layer, spec, value) && keras_emit_act(work, layer, activation, value);
    spec->params[word] = activation->code;
    spec->params[word + 1] = model_float_bits(activation->alpha);
    spec->params[word + 2] = model_float_bits(activation->beta);
    return keras_emit(work, layer, spec, value) && keras_emit_rest(work, layer, activation, *value, value);
}

/* ---- dense --------------------------------------------------------------- */

bool keras_add_dense(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                     struct keras_tensor *out)
{
    struct model_layer_spec spec = keras_like(work, MODEL_DENSE, in->value);
    uint32_t n = spec.dims[spec.rank - 1], units;
    struct keras_activation activation;
    struct kernel kernel;
    if (!keras_count(work, layer, "units", &units) || !keras_only(work, layer, "lora_rank", NULL) ||
        !keras_activation(work, layer, "activation", "linear", &activation))
        return false;
    kernel = (struct kernel){2, {n, units}, n, units, 2, {units, n}};
    spec.dims[spec.rank - 1] = units;
    spec.n_tensors = 2;
    return add_kernel(work, layer, &kernel, &spec.tensors[0]) &&
        add_bias(work, layer, units, &spec.tensors[1]) &&
           emit_with_act(work, layer, &spec, 0, &activation, &out->value);
}

/* ---- embedding ----------------------------------------------------------- */

/* Frames [n] of word numbers become [n][E]. A frame of one number is [1] here, where Keras
 * tells [batch, steps] from [batch, steps, 1]. */
bool keras_add_embedding(struct keras_work *work, const struct keras_layer *layer,
                         const struct keras_tensor *in,
                         struct keras_tensor *out)
{
    struct model_layer_spec spec = keras_like(work, MODEL_EMBEDDING, in->value);
    uint32_t n = spec.dims[0], words, size;
    bool masks, good;
    float *table;
    if (!keras_count(work, layer, "input_dim", &words) || !keras_count(work, layer, "output_dim", &size) ||
        !keras_flag(work, layer, "mask_zero", false, &masks) || !keras_only(work, layer, "lora_rank", NULL))
        return false;
    if (spec.rank != 1)
        return keras_fail(work, layer, "its input has %u dimensions a step, expected 1", (unsigned)spec.rank);
    if (masks && !in->scalar)
        return keras_fail(work, layer, "mask_zero is supported for inputs [batch, steps] only");
    spec.n_tensors = 1;
    spec.rank = n > 1 ? 2 : 1;
    spec.dims[0] = n > 1 ? n : size;
    spec.dims[1] = n > 1 ? size : 0;
    table = keras_weight(work, layer, 0, 2, (const uint32_t[]){words, size});
    good = table && keras_add_tensor(work, layer, "table", 2, (const uint32_t[]){words, size}, table,
                                     &spec.tensors[0]) &&
           keras_emit(work, layer, &spec, &out->value);
    free(table);
    out->scalar = false;
    if (good && !in->scalar && n == 1)
        good = keras_emit_reshape(work, layer, 2, (const uint32_t[]){1, size}, &out->value);
    return good && (!masks || keras_mask(work, layer, in->value, 0, &out->mask));
}

/* ---- convolution --------------------------------------------------------- */

struct conv {
    uint32_t kernel, stride, dilation, groups, filters, channels;
    const char *padding;
};

static bool read_conv(const struct keras_work *work, const struct keras_layer *layer, struct conv *conv)
{
    const char *padding = json_string_value(json_object_get(layer->config, "padding"));
    conv->padding = padding ? padding : "valid";
    if (!keras_one_of_list(work, layer, "kernel_size", 0, &conv->kernel) ||
        !keras_one_of_list(work, layer, "strides", 1, &conv->stride) ||
        !keras_one_of_list(work, layer, "dilation_rate", 1, &conv->dilation) ||
        !keras_one_of_list(work, layer, "groups", 1, &conv->groups) ||
        !keras_count(work, layer, "filters", &conv->filters) ||
        !keras_only(work, layer, "data_format", "channels_last") ||
            !keras_only(work, layer, "lora_rank", NULL))
        return false;
    if (conv->kernel == 0)
        return keras_fail(work, layer, "\"kernel_size\" is missing");
    if (conv->channels % conv->groups || conv->filters % conv->groups)
        return keras_fail(work, layer, "%u groups do not divide %u channels and %u filters",
                          (unsigned)conv->groups, (unsigned)conv->channels, (unsigned)conv->filters);
    return true;
}

/* Numbers before and after the input, of `reach` = dilation · (kernel - 1); `length` 0: of all steps of a
 * sequence. Keras's "same" with strides pads by what their number is. */
static bool set_padding(const struct keras_work *work, const struct keras_layer *layer,
                        const struct conv *conv,
                        uint32_t length, uint32_t *params)
{
    uint64_t reach = (uint64_t)conv->dilation * (conv->kernel - 1), total = reach;
    if (reach >= MODEL_MAX_DIM)
        return keras_fail(work, layer, "it reaches over %llu steps, at most %d are supported",
                          (unsigned long long)reach, MODEL_MAX_DIM - 1);
    if (strcmp(conv->padding, "causal") == 0) {
        params[MODEL_CONV_PAD_BEFORE] = (uint32_t)reach;
        return true;
    }
    if (strcmp(conv->padding, "valid") == 0)
        return true;
    if (strcmp(conv->padding, "same") != 0)
        return keras_fail(work, layer, "padding \"%.40s\" is not supported", conv->padding);
    if (!length && conv->stride > 1 && reach > 1)
        return keras_fail(work, layer, "padding \"same\" with strides %u pads by what the number of steps "
                          "is; over a sequence it is supported with a kernel of 2 at most, others with "
                          "\"valid\" and \"causal\"", (unsigned)conv->stride);
    if (length && conv->stride > 1) {
        uint64_t outputs = (length + conv->stride - 1) / conv->stride;
        uint64_t needed = (outputs - 1) * conv->stride + reach + 1;
        total = needed > length ? needed - length : 0;
    }
    params[MODEL_CONV_PAD_BEFORE] = (uint32_t)(total / 2);
    params[MODEL_CONV_PAD_AFTER] = (uint32_t)(total - total / 2);
    return true;
}

/* Positions that come out of `length`; 0: none. */
static uint32_t outputs_of(const struct conv *conv, uint32_t length, const uint32_t *params)
{
    uint64_t padded = (uint64_t)length + params[MODEL_CONV_PAD_BEFORE] + params[MODEL_CONV_PAD_AFTER];
    uint64_t reach = (uint64_t)conv->dilation * (conv->kernel - 1);
    return padded <= reach ? 0 : (uint32_t)((padded - reach - 1) / conv->stride + 1);
}

/* Shape and words, over the steps of a sequence or over the positions of a frame. */
static bool set_conv(const struct keras_work *work, const struct keras_layer *layer, const struct conv *conv,
                     bool over_time, struct model_layer_spec *spec)
{
    uint32_t length = over_time ? 0 : spec->dims[0];
    spec->type = over_time ? MODEL_TEMPORAL_CONV : MODEL_CONV1D;
    if (!set_padding(work, layer, conv, length, spec->params))
        return false;
    spec->params[MODEL_CONV_STRIDE] = conv->stride;
    spec->params[MODEL_CONV_DILATION] = conv->dilation;
    spec->params[MODEL_CONV_GROUPS] = conv->groups;
    spec->dims[spec->rank - 1] = conv->filters;
    if (!over_time)
        spec->dims[0] = outputs_of(conv, length, spec->params);
    return over_time || spec->dims[0] > 0 || keras_fail(work, layer, "its input is shorter than its kernel");
}

/* Whether fewer steps come out than go in. */
static bool leaves_fewer(const struct conv *conv, const uint32_t *params)
{
    uint64_t reach = (uint64_t)conv->dilation * (conv->kernel - 1);
    return conv->stride > 1 || params[MODEL_CONV_PAD_BEFORE] + params[MODEL_CONV_PAD_AFTER] < reach;
}

/* MaxPooling1D and AveragePooling1D over the steps of a sequence. Keras's "same" counts no padding. */
bool keras_add_pool(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                    struct keras_tensor *out)
{
    struct model_layer_spec spec = keras_like(work, MODEL_TEMPORAL_POOL, in->value);
    const char *padding = json_string_value(json_object_get(layer->config, "padding"));
    struct conv conv = {.dilation = 1, .padding = padding ? padding : "valid"};
    if (!in->has_time)
        return keras_fail(work, layer, "its input is no sequence; pools are supported over the steps of one");
    if (in->mask != MODEL_NONE)
        return keras_fail(work, layer, "its input has a mask; not supported");
    if (!keras_one_of_list(work, layer, "pool_size", 2, &conv.kernel) ||
        !keras_one_of_list(work, layer, "strides", conv.kernel, &conv.stride) ||
        !keras_only(work, layer, "data_format", "channels_last"))
        return false;
    if (strcmp(conv.padding, "causal") == 0)
        return keras_fail(work, layer, "padding \"causal\" is not supported");
    spec.params[MODEL_CONV_STRIDE] = conv.stride;
    spec.params[MODEL_CONV_DILATION] = conv.dilation;
    spec.params[MODEL_POOL_TAPS] = conv.kernel;
    spec.params[MODEL_POOL_KIND] =
        strncmp(layer->class_name, "Max", 3) == 0 ? MODEL_POOL_MAX : MODEL_POOL_MEAN;
    return set_padding(work, layer, &conv, 0, spec.params) && keras_emit(work, layer, &spec, &out->value);
}

bool keras_add_conv1d(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                      struct keras_tensor *out)
{
    struct model_layer_spec spec = keras_like(work, MODEL_TEMPORAL_CONV, in->value);
    struct conv conv = {.channels = spec.dims[spec.rank - 1]};
    struct keras_activation activation;
    struct kernel kernel;
    uint32_t part;
    if (spec.rank != (in->has_time ? 1u : 2u))
        return keras_fail(work, layer,
                          "its input is neither a sequence of [channels] nor frames of [positions, "
                          "channels]");
    if (!read_conv(work, layer, &conv) || !set_conv(work, layer, &conv, in->has_time, &spec) ||
        !keras_activation(work, layer, "activation", "linear", &activation))
        return false;
    if (in->mask != MODEL_NONE && leaves_fewer(&conv, spec.params))
        return keras_fail(work, layer, "its input has a mask, and it leaves fewer steps than the mask has; "
                          "not supported");
    if (in->mask != MODEL_NONE)
        keras_note(work, layer,
                   "does not know masks: it reads masked steps too, and passes no mask on, as in "
                   "Keras");
    out->mask = MODEL_NONE;
    part = conv.channels / conv.groups;
    kernel = (struct kernel){3, {conv.kernel, part, conv.filters}, (size_t)conv.kernel * part, conv.filters,
                             3, {conv.filters, conv.kernel, part}};
    spec.n_tensors = 2;
    return add_kernel(work, layer, &kernel, &spec.tensors[0]) &&
           add_bias(work, layer, conv.filters, &spec.tensors[1]) &&
           emit_with_act(work, layer, &spec, MODEL_CONV_ACT, &activation, &out->value);
}

/* ---- textgenrnn's attention ---------------------------------------------- */

/* Σ_t softmax_t(x_t · W) x_t, W being [features][1]. textgenrnn divides by a sum that is
 * 1e-7 larger. */
bool keras_add_attention_average(struct keras_work *work, const struct keras_layer *layer,
                                 const struct keras_tensor *in, struct keras_tensor *out)
{
    struct model_layer_spec score = keras_like(work, MODEL_DENSE, in->value);
    struct model_layer_spec spec = keras_like(work, MODEL_ATTENTION, in->value);
    uint32_t n = score.dims[0];
    struct kernel kernel = {2, {n, 1}, n, 1, 2, {1, n}};
    if (!in->has_time || score.rank != 1)
        return keras_fail(work, layer, "its input is no sequence of [features]");
    if (in->mask != MODEL_NONE || !keras_only(work, layer, "return_attention", NULL))
        return in->mask == MODEL_NONE ? false : keras_fail(work, layer,
                                                           "its input has a mask; not supported");
    score.n_tensors = 2;
    score.tensors[1] = MODEL_NONE;
    score.dims[0] = 1;
    spec.n_inputs = 2;
    spec.once = true;
    out->has_time = false;
    return add_kernel(work, layer, &kernel, &score.tensors[0]) &&
           keras_emit(work, layer, &score, &spec.inputs[1]) && keras_emit(work, layer, &spec, &out->value);
}
