/* SPDX-License-Identifier: MIT
 *
 * Layer normalisation: as one node, and as older exporters write it out, step by step:
 * (x - mean) / sqrt(mean((x - mean)²) + epsilon); and division by the length: x / max(|x|, epsilon).
 * The steps are followed as what they mean and become a layer when the quotient is reached.
 */
#include "formats/onnx/onnx_internal.h"

#include <math.h>
#include <string.h>

/* Over the last n numbers; vectors are scale and shift or NULL. Sets output 0. */
static bool emit_norm(struct onnx_import *import, struct onnx_frames *frames, uint32_t n, float epsilon,
                      const float *const vectors[2])
{
    static const char *const suffixes[] = {"scale", "shift"};
    struct onnx_layer *layer = onnx_layer_on(import, MODEL_LAYER_NORM, frames->value);
    if (!layer)
        return false;
    if (!(isfinite(epsilon) && epsilon >= 0))
        return onnx_fail(import, "epsilon = %g must be finite and not negative", (double)epsilon);
    layer->spec.params[0] = model_float_bits(epsilon);
    layer->n_tensors = 2;
    for (uint32_t i = 0; i < 2; i++) {
        layer->tensors[i].suffix = suffixes[i];
        layer->tensors[i].data = vectors[i];
        layer->tensors[i].rank = 1;
        layer->tensors[i].dims[0] = n;
    }
    frames->value = onnx_layer_add(import, layer);
    onnx_set_frames(onnx_output(import, 0), frames);
    return frames->value != MODEL_NONE;
}

bool onnx_lay_layer_norm(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    float epsilon = onnx_attribute_float(import, "epsilon", 1e-5f);
    const float *vectors[2];
    uint32_t n;
    if (onnx_used(import, 1) || onnx_used(import, 2))
        return onnx_fail(import, "its outputs Mean or InvStdDev are used, which is not supported");
    if (!onnx_last_features(import, &out, onnx_attribute_int(import, "axis", -1), false, &n) ||
        !onnx_vector(import, 1, n, &vectors[0]) || !onnx_vector(import, 2, n, &vectors[1]))
        return false;
    return emit_norm(import, &out, n, epsilon, vectors);
}

/* ---- written out --------------------------------------------------------- */

static bool is_step(const struct onnx_value *value, enum onnx_step step)
{
    return value && value->kind == ONNX_STATISTIC && value->as.statistic.step == step;
}

static bool give_step(struct onnx_import *import, enum onnx_step step, int32_t of, float epsilon)
{
    struct onnx_value *out = onnx_output(import, 0);
    if (out) {
        out->kind = ONNX_STATISTIC;
        out->as.statistic = (struct onnx_statistic){step, of, epsilon};
    }
    return true;
}

/* The mean over the last features, kept as an axis of 1. */
static bool is_feature_mean(struct onnx_import *import, const struct onnx_frames *frames)
{
    const int64_t *axes;
    uint32_t n;
    return onnx_plain_list(import, 1, "axes", &axes, &n) && axes && n == 1 && frames->n_axes > 0 &&
           onnx_attribute_int(import, "keepdims", 1) != 0 &&
           onnx_axis_index(axes[0], frames->n_axes) == frames->n_axes - 1 &&
           frames->axes[frames->n_axes - 1].kind == AXIS_FEATURE &&
           frames->axes[frames->n_axes - 1].size > 1;
}

static bool one_float(const struct onnx_value *value, float *out)
{
    if (!value || value->kind != ONNX_CONST || value->as.constant.count != 1)
        return false;
    if (value->as.constant.is_int)
        *out = (float)value->as.constant.ints[0].offset;
    else
        *out = value->as.constant.floats[0];
    return true;
}

static bool quotient(struct onnx_import *import, const struct onnx_statistic *deviation)
{
    static const float *const none[2] = {NULL, NULL};
    struct onnx_frames frames = import->values[deviation->of].as.frames;
    uint32_t n;
    return onnx_last_features(import, &frames, -1, true, &n) &&
           emit_norm(import, &frames, n, deviation->epsilon, none);
}

/* ReduceL2 over the last features: the first step of a division by the length. */
bool onnx_lay_length(struct onnx_import *import)
{
    const struct onnx_value *x = onnx_input(import, 0);
    if (!is_feature_mean(import, &x->as.frames))
        return onnx_fail(import, "is supported over the last axis of features only, kept as an axis of 1, "
                         "and only "
                         "to divide by it");
    return give_step(import, STEP_LENGTH, (int32_t)(x - import->values), 0);
}

static bool emit_length_norm(struct onnx_import *import, const struct onnx_statistic *length)
{
    struct onnx_frames frames = import->values[length->of].as.frames;
    struct onnx_layer *layer;
    uint32_t n;
    if (!onnx_last_features(import, &frames, -1, true, &n))
        return false;
    layer = onnx_layer_on(import, MODEL_L2_NORM, frames.value);
    if (!layer)
        return false;
    layer->spec.params[0] = model_float_bits(length->epsilon);
    frames.value = onnx_layer_add(import, layer);
    onnx_set_frames(onnx_output(import, 0), &frames);
    return frames.value != MODEL_NONE;
}

/* max(|x|, epsilon) as Clip or Max, and its Expand to the shape of x. */
static bool bound_length(struct onnx_import *import, const char *op, const struct onnx_value *a,
                         const struct onnx_value *b, bool *taken_out)
{
    float epsilon = 0;
    *taken_out = false;
    if (strcmp(op, "Expand") == 0) {
        *taken_out = true;
        return give_step(import, STEP_LENGTH, a->as.statistic.of, a->as.statistic.epsilon);
    }
    if ((strcmp(op, "Clip") != 0 && strcmp(op, "Max") != 0) || a->as.statistic.epsilon != 0 ||
        onnx_input(import, 2))
        return true;
    if (b ? !one_float(b, &epsilon) : !onnx_attribute(import, "min") || onnx_attribute(import, "max"))
        return true;
    if (!b)
        epsilon = onnx_attribute_float(import, "min", 0);
    if (!(epsilon >= 0 && isfinite(epsilon)))
        return true;
    *taken_out = true;
    return give_step(import, STEP_LENGTH, a->as.statistic.of, epsilon);
}

/* a op b, both of the same frames where both are steps. */
static bool join_steps(struct onnx_import *import, const char *op, const struct onnx_value *a,
                       const struct onnx_value *b, bool *taken_out)
{
    const struct onnx_statistic *s = &a->as.statistic;
    bool same = a->kind == ONNX_STATISTIC && b && b->kind == ONNX_STATISTIC && b->as.statistic.of == s->of;
    float number;
    *taken_out = true;
    if (strcmp(op, "Sub") == 0 && a->kind == ONNX_FRAMES && is_step(b, STEP_MEAN) &&
        b->as.statistic.of == (int32_t)(a - import->values))
        return give_step(import, STEP_CENTRED, b->as.statistic.of, 0);
    if (strcmp(op, "Pow") == 0 && is_step(a, STEP_CENTRED) && one_float(b, &number) && number == 2)
        return give_step(import, STEP_SQUARED, s->of, 0);
    if (strcmp(op, "Mul") == 0 && is_step(a, STEP_CENTRED) && is_step(b, STEP_CENTRED) && same)
        return give_step(import, STEP_SQUARED, s->of, 0);
    if (strcmp(op, "Add") == 0 && is_step(a, STEP_VARIANCE) && one_float(b, &number))
        return give_step(import, STEP_VARIANCE_EPSILON, s->of, number);
    if (strcmp(op, "Add") == 0 && is_step(b, STEP_VARIANCE) && one_float(a, &number))
        return give_step(import, STEP_VARIANCE_EPSILON, b->as.statistic.of, number);
    if (strcmp(op, "Div") == 0 && is_step(a, STEP_CENTRED) && is_step(b, STEP_DEVIATION) && same)
        return quotient(import, &b->as.statistic);
    *taken_out = false;
    return true;
}

bool onnx_lay_statistic(struct onnx_import *import, bool *taken_out)
{
    const char *op = import->node->proto->op_type;
    const struct onnx_value *a = onnx_input(import, 0), *b = onnx_input(import, 1);
    *taken_out = true;
    if (is_step(a, STEP_LENGTH))
        return bound_length(import, op, a, b, taken_out);
    if (strcmp(op, "Div") == 0 && is_step(b, STEP_LENGTH) && a->kind == ONNX_FRAMES &&
        b->as.statistic.of == (int32_t)(a - import->values))
        return emit_length_norm(import, &b->as.statistic);
    if (strcmp(op, "ReduceMean") == 0) {
        if (a->kind == ONNX_FRAMES && is_feature_mean(import, &a->as.frames))
            return give_step(import, STEP_MEAN, (int32_t)(a - import->values), 0);
        if (is_step(a, STEP_SQUARED) &&
            is_feature_mean(import, &import->values[a->as.statistic.of].as.frames))
            return give_step(import, STEP_VARIANCE, a->as.statistic.of, 0);
    }
    if (strcmp(op, "Sqrt") == 0 && is_step(a, STEP_VARIANCE_EPSILON))
        return give_step(import, STEP_DEVIATION, a->as.statistic.of, a->as.statistic.epsilon);
    return join_steps(import, op, a, b, taken_out);
}
