/* SPDX-License-Identifier: MIT
 *
 * Running reference inputs and measuring errors, see verify.h.
 */
#include "tools/verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/say.h"

/* ---- shapes -------------------------------------------------------------- */

static bool trailing_dims_fit(const struct tensor *tensor, const lstm_shape *frame)
{
    if (tensor->rank < frame->rank)
        return false;
    for (uint32_t i = 0; i < frame->rank; i++)
        if (tensor->dims[tensor->rank - frame->rank + i] != frame->dims[i])
            return false;
    return true;
}

static bool refuse_shape(const struct reference *reference, const char *array,
                         const struct tensor *tensor, const char *expected, size_t size)
{
    char shape[TENSOR_SHAPE_TEXT];
    return complain("%s: %s has the shape %s, expected %s, frames of %zu numbers", reference->name, array,
                    tensor_shape_text(tensor->rank, tensor->dims, shape), expected, size);
}

static bool input_shape(const lstm_model_info *info, const struct reference *reference,
                        struct reference_shape *out)
{
    const struct tensor *input = &reference->input;
    uint32_t rank = info->input.rank;
    bool flat = input->rank == 1 && info->input.size == 1; /* [steps] for one number a step */
    bool frames = trailing_dims_fit(input, &info->input) &&
                  (input->rank == rank + 1 || input->rank == rank + 2);
    if (!flat && !frames)
        return refuse_shape(reference, "input", input, "[steps, inputs] or [items, steps, inputs]",
                            info->input.size);
    out->items = flat || input->rank == rank + 1 ? 1 : input->dims[0];
    out->steps = flat || input->rank == rank + 1 ? input->dims[0] : input->dims[1];
    if (input->count == 0)
        return complain("%s: input has no numbers in it", reference->name);
    return true;
}

static bool output_shape(const lstm_model_info *info, const struct reference *reference,
                         const struct reference_shape *shape)
{
    const struct tensor *output = &reference->output;
    bool frames = trailing_dims_fit(output, &info->output) || info->output.size == 1;
    char expected[120];
    snprintf(expected, sizeof expected,
             "[steps, outputs] or [items, steps, outputs] with the input's items and %zu step%s",
             shape->output_steps, shape->output_steps == 1 ? "" : "s");
    if (frames && output->count == shape->items * shape->output_steps * info->output.size)
        return true;
    return refuse_shape(reference, "output", output, info->output_once
                        ? "[outputs] or [items, outputs] (the model gives one frame a run)"
                        : expected,
                        info->output.size);
}

bool verify_shapes(const lstm_model *model, const char *name, const struct reference *reference,
                   struct reference_shape *out)
{
    const lstm_model_info *info = lstm_model_get_info(model);
    lstm_error error;
    if (!input_shape(info, reference, out))
        return false;
    if (out->steps < info->least_steps)
        return complain("%s: input of %zu steps, but %s needs at least %zu", reference->name, out->steps,
                        name, info->least_steps);
    out->output_steps = lstm_model_get_output_steps(model, out->steps);
    if (!output_shape(info, reference, out))
        return false;
    if (lstm_model_check_input(model, reference->input.data, out->items * out->steps, &error) != LSTM_OK)
        return complain("%s: input for %s: %s", reference->name, name, error.text);
    return true;
}

/* ---- errors -------------------------------------------------------------- */

struct measure {
    const char *what;
    size_t count, width;    /* numbers compared; numbers in a row, to name places */
    double worst, absolute; /* greatest error by the tolerance's measure, and its plain size */
    double reference;       /* greatest size of a reference value */
    size_t place;           /* of `absolute` */
};

/* NaN equals NaN; NaN on one side only, or unlike infinities, is as far off as can be. */
static double difference(float got, float expected)
{
    if ((isnan(got) && isnan(expected)) || got == expected)
        return 0;
    double apart = fabs((double)got - (double)expected);
    return isnan(apart) ? INFINITY : apart;
}

static void compare(struct measure *measure, const float *got, const float *expected, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double error = difference(got[i], expected[i]), size = fabs((double)expected[i]);
        if (error > measure->absolute) {
            measure->absolute = error;
            measure->place = measure->count + i;
        }
        measure->worst = fmax(measure->worst, error / fmax(1, size));
        measure->reference = fmax(measure->reference, size);
    }
    measure->count += n;
}

static bool report(const struct measure *measure, double tolerance)
{
    bool good = measure->worst <= tolerance;
    double relative = measure->absolute > 0 ? measure->absolute / measure->reference : 0;
    printf("  %-8s %zu numbers, max absolute error %.2g, max relative error %.2g", measure->what,
           measure->count, measure->absolute, relative);
    if (measure->absolute > 0 && measure->width)
        printf(" (row %zu, column %zu)", measure->place / measure->width, measure->place % measure->width);
    printf(": %s %g\n", good ? "within" : "ABOVE", tolerance);
    return good;
}

/* ---- running ------------------------------------------------------------- */

struct run {
    const lstm_model *model;
    const struct reference *reference;
    struct reference_shape shape;
    lstm_plan *plan;
    lstm_workspace *workspace;
    lstm_stream *stream;
    float *output; /* of one item */
    struct measure outputs, hn, cn;
};

/* Visit the states of all recurrent layers in order: those of one item in the array
 * [layers · directions, items, units] come from or go to the stream. */
static bool each_state(struct run *run, enum reference_state which, size_t item,
                       void (*visit)(struct run *run, float *state, const float *array, size_t n))
{
    const lstm_model_info *info = lstm_model_get_info(run->model);
    const struct tensor *array = &run->reference->states[which];
    bool cell = which == REFERENCE_C0 || which == REFERENCE_CN;
    size_t next = 0;
    for (uint32_t layer = 0; layer < info->n_layers; layer++) {
        lstm_layer_info about;
        lstm_model_get_layer(run->model, layer, &about);
        for (uint32_t direction = 0; direction < about.n_states; direction++, next++) {
            size_t n;
            float *state = lstm_stream_get_state(run->model, run->stream, layer, direction,
                                                 cell ? LSTM_STATE_C : LSTM_STATE_H, &n);
            if (array->rank != 3 || array->dims[1] != run->shape.items || array->dims[2] != n ||
                next >= array->dims[0])
                return false;
            visit(run, state, array->data + (next * run->shape.items + item) * n, n);
        }
    }
    return array->rank == 3 && next == array->dims[0];
}

static void visit_set(struct run *run, float *state, const float *array, size_t n)
{
    (void)run;
    memcpy(state, array, n * sizeof *state);
}

static void visit_hn(struct run *run, float *state, const float *array, size_t n)
{
    compare(&run->hn, state, array, n);
}

static void visit_cn(struct run *run, float *state, const float *array, size_t n)
{
    compare(&run->cn, state, array, n);
}

static bool use_state(struct run *run, enum reference_state which, size_t item)
{
    static void (*const visits[REFERENCE_STATES])(struct run *, float *, const float *, size_t) = {
        visit_set, visit_set, visit_hn, visit_cn};
    static const char *const names[REFERENCE_STATES] = {"h0", "c0", "hn", "cn"};
    char shape[TENSOR_SHAPE_TEXT];
    const struct tensor *array = &run->reference->states[which];
    if (!run->reference->has_state[which] || each_state(run, which, item, visits[which]))
        return true;
    return complain("%s: %s has the shape %s, expected [layers · directions, items, units] as the model's "
                    "recurrent layers have them", run->reference->name, names[which],
                    tensor_shape_text(array->rank, array->dims, shape));
}

static bool run_item(struct run *run, size_t item)
{
    const lstm_model_info *info = lstm_model_get_info(run->model);
    size_t n_output = run->shape.output_steps * info->output.size;
    lstm_item one = {
        .stream = run->stream,
        .input = run->reference->input.data + item * run->shape.steps * info->input.size,
        .output = run->output,
        .steps = run->shape.steps,
    };
    lstm_stream_reset(run->model, run->stream);
    if (!use_state(run, REFERENCE_H0, item) || !use_state(run, REFERENCE_C0, item))
        return false;
    if (lstm_run(run->plan, run->workspace, &one, 1) != LSTM_OK)
        return complain("%s: the run was refused", run->reference->name);
    compare(&run->outputs, run->output, run->reference->output.data + item * n_output, n_output);
    return use_state(run, REFERENCE_HN, item) && use_state(run, REFERENCE_CN, item);
}

static bool prepare(struct run *run, const char *name)
{
    const lstm_model_info *info = lstm_model_get_info(run->model);
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    lstm_error error;
    options.steps = run->shape.steps;
    if (lstm_plan_create(run->model, &options, &run->plan, &error) != LSTM_OK ||
        lstm_workspace_create(run->plan, 1, run->shape.steps, &run->workspace, &error) != LSTM_OK)
        return complain("%s: %s", name, error.text);
    run->output = malloc(run->shape.output_steps * info->output.size * sizeof *run->output);
    if (!run->output || lstm_stream_create(run->model, &run->stream) != LSTM_OK)
        return complain("%s: out of memory", name);
    return true;
}

static bool report_all(const struct run *run, double tolerance)
{
    bool good = report(&run->outputs, tolerance);
    if (run->reference->has_state[REFERENCE_HN])
        good = report(&run->hn, tolerance) && good;
    if (run->reference->has_state[REFERENCE_CN])
        good = report(&run->cn, tolerance) && good;
    return good;
}

static bool run_all(struct run *run, const char *name, double tolerance)
{
    for (size_t item = 0; item < run->shape.items; item++)
        if (!run_item(run, item))
            return false;
    printf("%s: verified with %s: %zu sequence%s of %zu steps\n", name, run->reference->name,
           run->shape.items, run->shape.items == 1 ? "" : "s", run->shape.steps);
    return report_all(run, tolerance) ||
           complain("%s: its results are further from %s than --tolerance %g allows", name,
                    run->reference->name, tolerance);
}

bool verify_model(const lstm_model *model, const char *name, const struct reference *reference,
                  double tolerance)
{
    struct run run = {.model = model, .reference = reference, .outputs = {.what = "output"},
                      .hn = {.what = "hn"}, .cn = {.what = "cn"}};
    bool good;
    if (!verify_shapes(model, name, reference, &run.shape))
        return false;
    run.outputs.width = lstm_model_get_info(model)->output.size;
    good = prepare(&run, name) && run_all(&run, name, tolerance);
    free(run.output);
    lstm_stream_destroy(run.stream);
    lstm_workspace_destroy(run.workspace);
    lstm_plan_destroy(run.plan);
    return good;
}
