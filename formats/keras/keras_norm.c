/* SPDX-License-Identifier: MIT
 *
 * Keras's normalisations: those with stored statistics become one scale layer, worked out
 * in double precision and rounded once. See keras_internal.h.
 */
#include <math.h>
#include <stdlib.h>

#include "formats/keras/keras_internal.h"

/* ---- counting weights ---------------------------------------------------- */

void keras_count_norm(const json_t *config, unsigned *trained, unsigned *frozen)
{
    (void)frozen;
    *trained += keras_is_on(config, "scale", true) + keras_is_on(config, "center", true);
}

void keras_count_batch_norm(const json_t *config, unsigned *trained, unsigned *frozen)
{
    keras_count_norm(config, trained, frozen);
    *frozen += 2;
}

void keras_count_normalization(const json_t *config, unsigned *trained, unsigned *frozen)
{
    (void)trained;
    *frozen += keras_has(config, "mean") ? 0 : 3;
}

/* ---- batch normalisation ------------------------------------------------- */

/* gamma, beta, mean, variance; NULL: there is none. */
struct statistics {
    float *gamma, *beta, *mean, *variance;
};

static void free_statistics(struct statistics *s)
{
    free(s->gamma);
    free(s->beta);
    free(s->mean);
    free(s->variance);
}

/* The next weight if the layer has it. */
static bool next_weight(struct keras_work *work, const struct keras_layer *layer, uint32_t n, bool there,
                        uint32_t *index, float **out)
{
    if (!there)
        return true;
    if (*index >= layer->n_weights)
        return keras_fail(work, layer, "it has %u weights, expected more", layer->n_weights);
    *out = keras_weight(work, layer, (*index)++, 1, &n);
    return *out != NULL;
}

static bool fold(const struct keras_work *work, const struct keras_layer *layer, const struct statistics *s,
                 uint32_t n, double epsilon, float *scale, float *shift)
{
    for (uint32_t i = 0; i < n; i++) {
        double wide = (s->gamma ? (double)s->gamma[i] : 1) / sqrt((double)s->variance[i] + epsilon);
        if (!isfinite(wide))
            return keras_fail(work, layer, "variance %u is %g, which with epsilon %g is no number above 0",
                              (unsigned)i, (double)s->variance[i], epsilon);
        scale[i] = (float)wide;
        shift[i] = (float)((s->beta ? (double)s->beta[i] : 0) - (double)s->mean[i] * wide);
    }
    return true;
}

static bool emit_scale(struct keras_work *work, const struct keras_layer *layer, uint32_t n, float *scale,
                       float *shift, uint32_t *value)
{
    struct model_layer_spec spec = keras_like(work, MODEL_SCALE, *value);
    spec.n_tensors = 2;
    return keras_add_tensor(work, layer, "scale", 1, &n, scale, &spec.tensors[0]) &&
           keras_add_tensor(work, layer, "shift", 1, &n, shift, &spec.tensors[1]) &&
           keras_emit(work, layer, &spec, value);
}

static bool fold_and_emit(struct keras_work *work, const struct keras_layer *layer,
                          const struct statistics *s,
                          uint32_t n, double epsilon, uint32_t *value)
{
    float *scale = calloc(n, sizeof *scale), *shift = calloc(n, sizeof *shift);
    bool good = (scale && shift) || keras_out_of_memory(work);
    good = good && fold(work, layer, s, n, epsilon, scale, shift) &&
           emit_scale(work, layer, n, scale, shift, value);
    free(scale);
    free(shift);
    return good;
}

static uint32_t features(const struct keras_work *work, const struct keras_tensor *in)
{
    struct model_value frame = keras_frame(work, in->value);
    return frame.dims[frame.rank - 1];
}

/* What both normalisations have: epsilon, and gamma and beta where the configuration says so. */
static bool read_norm(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                      double *epsilon, struct statistics *s, uint32_t *index)
{
    const uint32_t n = features(work, in);
    bool scales, centers;
    return keras_number(work, layer, "epsilon", 1e-3, epsilon) &&
           keras_flag(work, layer, "scale", true, &scales) &&
           keras_flag(work, layer, "center", true, &centers) && keras_last_axis(work, layer, in, "axis") &&
           next_weight(work, layer, n, scales, index, &s->gamma) &&
           next_weight(work, layer, n, centers, index, &s->beta);
}

bool keras_add_batch_norm(struct keras_work *work, const struct keras_layer *layer,
                          const struct keras_tensor *in, struct keras_tensor *out)
{
    uint32_t n = features(work, in), index = 0;
    struct statistics s = {0};
    double epsilon;
    bool good = read_norm(work, layer, in, &epsilon, &s, &index) &&
                next_weight(work, layer, n, true, &index, &s.mean) &&
                next_weight(work, layer, n, true, &index, &s.variance) &&
                fold_and_emit(work, layer, &s, n, epsilon, &out->value);
    free_statistics(&s);
    return good;
}

/* ---- layer normalisation ------------------------------------------------- */

bool keras_add_layer_norm(struct keras_work *work, const struct keras_layer *layer,
                          const struct keras_tensor *in, struct keras_tensor *out)
{
    struct model_layer_spec spec = keras_like(work, MODEL_LAYER_NORM, in->value);
    uint32_t n = features(work, in), index = 0;
    struct statistics s = {0};
    double epsilon = 0;
    bool good = keras_only(work, layer, "rms_scaling", NULL) &&
                read_norm(work, layer, in, &epsilon, &s, &index) &&
                (epsilon >= 0 || keras_fail(work, layer, "\"epsilon\" is %g, expected 0 or more", epsilon));
    spec.params[0] = model_float_bits(epsilon == 0 ? 0.0f : (float)epsilon);
    spec.n_tensors = 2;
    spec.tensors[0] = spec.tensors[1] = MODEL_NONE;
    good = good && (!s.gamma || keras_add_tensor(work, layer, "scale", 1, &n, s.gamma, &spec.tensors[0])) &&
           (!s.beta || keras_add_tensor(work, layer, "shift", 1, &n, s.beta, &spec.tensors[1])) &&
           keras_emit(work, layer, &spec, &out->value);
    free_statistics(&s);
    return good;
}

/* ---- statistics of the training data ------------------------------------- */

/* (x - mean) / max(sqrt(variance), 1e-7): mean, variance and a count, all stored. */
bool keras_add_normalization(struct keras_work *work, const struct keras_layer *layer,
                             const struct keras_tensor *in, struct keras_tensor *out)
{
    uint32_t n = features(work, in), index = 0;
    struct statistics s = {0};
    bool good;
    if (keras_has(layer->config, "mean"))
        return keras_fail(work, layer, "\"mean\" is in its configuration in place of weights, which is not "
                          "supported; use Rescaling, or adapt()");
    if (!keras_only(work, layer, "invert", NULL) || !keras_last_axis(work, layer, in, "axis"))
        return false;
    good = next_weight(work, layer, n, true, &index, &s.mean) &&
           next_weight(work, layer, n, true, &index, &s.variance);
    for (uint32_t i = 0; good && i < n; i++) {
        double least = 1e-7;
        s.variance[i] = s.variance[i] > least * least ? s.variance[i] : (float)(least * least);
    }
    good = good && fold_and_emit(work, layer, &s, n, 0, &out->value);
    if (good && layer->n_weights > 2) /* how many examples there were */
        work->used[layer->weights[2] - work->file->arrays] = true;
    free_statistics(&s);
    return good;
}
