/* SPDX-License-Identifier: MIT
 *
 * lstm and gru through oneDNN's RNN primitives, versions 2 and 3; without oneDNN in the
 * build a row that says so. Its results are its own: the promise of bits is ours alone.
 *
 * A primitive has a fixed number of steps and items. The plan makes one for the shape it
 * was asked for, with the weights in the order that this primitive wants; runs of other
 * shapes make theirs when they come, and keep them.
 */
#include "runtime/recurrent.h"

#ifdef LSTMRUN_ONEDNN

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <dnnl.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "runtime/error.h"
#include "runtime/memory.h"

/* Arguments of a primitive, in the order in which descriptors are made. */
enum { X, H, C, WX, WH, BIAS, OUT, H_OUT, C_OUT, N_ARGS };

static const int arg_codes[N_ARGS] = {
    DNNL_ARG_SRC_LAYER,     DNNL_ARG_SRC_ITER, DNNL_ARG_SRC_ITER_C,
    DNNL_ARG_WEIGHTS_LAYER, DNNL_ARG_WEIGHTS_ITER, DNNL_ARG_BIAS,
    DNNL_ARG_DST_LAYER,     DNNL_ARG_DST_ITER, DNNL_ARG_DST_ITER_C,
};

/* Sizes of a layer in oneDNN's terms. Its bias has a fourth gate for the gru whose reset
 * comes after the product. */
struct cell_shape {
    bool lstm, reset_after;
    dnnl_dim_t inputs, hidden, gates, bias_gates;
};

static bool good(dnnl_status_t status)
{
    return status == dnnl_success;
}

/* ---- what differs between versions 2 and 3 -------------------------------------- */

#if DNNL_VERSION_MAJOR < 3
typedef const dnnl_memory_desc_t *desc_view;

static bool desc_make(dnnl_memory_desc_t *out, int n, const dnnl_dim_t *dims, dnnl_format_tag_t tag)
{
    return good(dnnl_memory_desc_init_by_tag(out, n, dims, dnnl_f32, tag));
}

static desc_view desc_get(const dnnl_memory_desc_t *desc)
{
    return desc;
}

static void desc_free(dnnl_memory_desc_t *desc)
{
    (void)desc;
}

static bool primitive_desc_make(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                const struct cell_shape *cell, const dnnl_memory_desc_t *d)
{
    const dnnl_rnn_direction_t forward = dnnl_unidirectional_left2right;
    const dnnl_prop_kind_t kind = dnnl_forward_inference;
    dnnl_rnn_desc_t rnn;
    dnnl_status_t status;
    if (cell->lstm)
        status = dnnl_lstm_forward_desc_init(&rnn, kind, forward, &d[X], &d[H], &d[C], &d[WX],
                                             &d[WH], &d[BIAS], &d[OUT], &d[H_OUT], &d[C_OUT], 0);
    else if (cell->reset_after)
        status = dnnl_lbr_gru_forward_desc_init(&rnn, kind, forward, &d[X], &d[H], &d[WX], &d[WH],
                                                &d[BIAS], &d[OUT], &d[H_OUT], 0);
    else
        status = dnnl_gru_forward_desc_init(&rnn, kind, forward, &d[X], &d[H], &d[WX], &d[WH],
                                            &d[BIAS], &d[OUT], &d[H_OUT], 0);
    return good(status) && good(dnnl_primitive_desc_create(out, &rnn, NULL, engine, NULL));
}
#else
typedef const_dnnl_memory_desc_t desc_view;

static bool desc_make(dnnl_memory_desc_t *out, int n, const dnnl_dim_t *dims, dnnl_format_tag_t tag)
{
    return good(dnnl_memory_desc_create_with_tag(out, n, dims, dnnl_f32, tag));
}

static desc_view desc_get(const dnnl_memory_desc_t *desc)
{
    return *desc;
}

static void desc_free(dnnl_memory_desc_t *desc)
{
    if (*desc)
        dnnl_memory_desc_destroy(*desc);
}

static bool primitive_desc_make(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                const struct cell_shape *cell, const dnnl_memory_desc_t *d)
{
    const dnnl_rnn_direction_t forward = dnnl_unidirectional_left2right;
    const dnnl_prop_kind_t kind = dnnl_forward_inference;
    dnnl_status_t status;
    if (cell->lstm)
        status = dnnl_lstm_forward_primitive_desc_create(
            out, engine, kind, forward, d[X], d[H], d[C], d[WX], d[WH], NULL, NULL, d[BIAS],
            d[OUT], d[H_OUT], d[C_OUT], 0, NULL);
    else if (cell->reset_after)
        status = dnnl_lbr_gru_forward_primitive_desc_create(out, engine, kind, forward, d[X], d[H],
                                                            d[WX], d[WH], d[BIAS], d[OUT],
                                                            d[H_OUT], 0, NULL);
    else
        status = dnnl_gru_forward_primitive_desc_create(out, engine, kind, forward, d[X], d[H],
                                                        d[WX], d[WH], d[BIAS], d[OUT], d[H_OUT],
                                                        0, NULL);
    return good(status);
}
#endif

/* ---- state of a layer -------------------------------------------------------------- */

/* The two matrices in the order that some primitive wants. */
struct packing {
    dnnl_memory_t wx, wh;
    struct packing *next;
};

/* A primitive for one shape with all that an execution needs; one run at a time uses it. */
struct context {
    size_t steps, items;
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    dnnl_memory_t args[N_ARGS]; /* those of the weights are the packing's and the bias's */
    bool busy;
    struct context *next;
};

struct backend_direction {
    dnnl_memory_t bias;
    struct packing *packings;
    struct context *contexts;
    pthread_mutex_t mutex; /* of the two lists and of `busy` */
};

struct recurrent_backend {
    dnnl_engine_t engine;
    struct cell_shape cell;
    uint32_t n_directions;
    struct backend_direction direction[2];
};

static bool is_weights(int arg)
{
    return arg == WX || arg == WH || arg == BIAS;
}

static bool is_used(const struct cell_shape *cell, int arg)
{
    return cell->lstm || (arg != C && arg != C_OUT);
}

static void context_free(struct context *context)
{
    for (int arg = 0; arg < N_ARGS; arg++)
        if (context->args[arg] && !is_weights(arg))
            dnnl_memory_destroy(context->args[arg]);
    if (context->primitive)
        dnnl_primitive_destroy(context->primitive);
    if (context->stream)
        dnnl_stream_destroy(context->stream);
    free(context);
}

static void packing_free(struct packing *packing)
{
    if (packing->wx)
        dnnl_memory_destroy(packing->wx);
    if (packing->wh)
        dnnl_memory_destroy(packing->wh);
    free(packing);
}

static void release(struct plan_op *op)
{
    struct recurrent_backend *backend = op->u.recurrent.backend;
    for (uint32_t d = 0; backend && d < backend->n_directions; d++) {
        struct backend_direction *direction = &backend->direction[d];
        for (struct context *c; (c = direction->contexts);) {
            direction->contexts = c->next;
            context_free(c);
        }
        for (struct packing *p; (p = direction->packings);) {
            direction->packings = p->next;
            packing_free(p);
        }
        if (direction->bias)
            dnnl_memory_destroy(direction->bias);
        pthread_mutex_destroy(&direction->mutex);
    }
    if (backend && backend->engine)
        dnnl_engine_destroy(backend->engine);
    free(backend);
    op->u.recurrent.backend = NULL;
}

/* ---- weights ------------------------------------------------------------------------- */

static float *memory_floats(dnnl_memory_t memory)
{
    void *data = NULL;
    return memory && good(dnnl_memory_get_data_handle(memory, &data)) ? data : NULL;
}

static dnnl_memory_t memory_make(const struct recurrent_backend *backend, desc_view desc)
{
    dnnl_memory_t memory = NULL;
    return good(dnnl_memory_create(&memory, desc, backend->engine, DNNL_MEMORY_ALLOCATE)) ? memory
                                                                                          : NULL;
}

/* oneDNN's gate `gate` is this one of the file: it has the gru's update gate first. */
static size_t file_gate(const struct cell_shape *cell, size_t gate)
{
    return cell->lstm || gate > 1 ? gate : 1 - gate;
}

/* The part of the file's [gates][H][H + I] over h or over x, as [columns][gates][H]. */
static void transpose(const struct cell_shape *cell, const float *w, bool over_x, float *out)
{
    const size_t hidden = (size_t)cell->hidden, gates = (size_t)cell->gates;
    const size_t columns = (size_t)(over_x ? cell->inputs : cell->hidden);
    const size_t stride = hidden + (size_t)cell->inputs;
    for (size_t g = 0; g < gates; g++)
        for (size_t u = 0; u < hidden; u++) {
            const float *row = w + (file_gate(cell, g) * hidden + u) * stride + (over_x ? hidden : 0);
            for (size_t k = 0; k < columns; k++)
                out[(k * gates + g) * hidden + u] = row[k];
        }
}

static bool reorder(const struct recurrent_backend *backend, dnnl_memory_t from, desc_view from_desc,
                    dnnl_memory_t to, desc_view to_desc)
{
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_stream_t stream = NULL;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    const bool ok = good(dnnl_reorder_primitive_desc_create(&desc, from_desc, backend->engine, to_desc,
                                                            backend->engine, NULL)) &&
                    good(dnnl_primitive_create(&primitive, desc)) &&
                    good(dnnl_stream_create(&stream, backend->engine, dnnl_stream_default_flags)) &&
                    good(dnnl_primitive_execute(primitive, stream, 2, args)) &&
                    good(dnnl_stream_wait(stream));
    if (stream)
        dnnl_stream_destroy(stream);
    if (primitive)
        dnnl_primitive_destroy(primitive);
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    return ok;
}

static dnnl_memory_t pack_matrix(const struct recurrent_backend *backend, const float *w, bool over_x,
                                 desc_view wanted)
{
    const struct cell_shape *cell = &backend->cell;
    const dnnl_dims_t dims = {1, 1, over_x ? cell->inputs : cell->hidden, cell->gates, cell->hidden};
    dnnl_memory_desc_t plain_desc;
    if (!desc_make(&plain_desc, 5, dims, dnnl_ldigo))
        return NULL;
    dnnl_memory_t plain = memory_make(backend, desc_get(&plain_desc));
    dnnl_memory_t packed = plain ? memory_make(backend, wanted) : NULL;
    if (packed) {
        transpose(cell, w, over_x, memory_floats(plain));
        if (!reorder(backend, plain, desc_get(&plain_desc), packed, wanted)) {
            dnnl_memory_destroy(packed);
            packed = NULL;
        }
    }
    if (plain)
        dnnl_memory_destroy(plain);
    desc_free(&plain_desc);
    return packed;
}

static bool same_order(dnnl_memory_t memory, desc_view wanted)
{
    desc_view has;
    return good(dnnl_memory_get_memory_desc(memory, &has)) && dnnl_memory_desc_equal(has, wanted);
}

/* Weights in the order that a primitive wants: there already, or packed now. */
static const struct packing *packing_of(const struct plan_op *op, uint32_t d, desc_view wx, desc_view wh)
{
    struct recurrent_backend *backend = op->u.recurrent.backend;
    struct backend_direction *direction = &backend->direction[d];
    for (struct packing *p = direction->packings; p; p = p->next)
        if (same_order(p->wx, wx) && same_order(p->wh, wh))
            return p;
    struct packing *packing = calloc(1, sizeof *packing);
    if (!packing)
        return NULL;
    const float *w = recurrent_tensors_of(op, d).w;
    packing->wx = pack_matrix(backend, w, true, wx);
    packing->wh = pack_matrix(backend, w, false, wh);
    if (!packing->wx || !packing->wh) {
        packing_free(packing);
        return NULL;
    }
    packing->next = direction->packings;
    direction->packings = packing;
    return packing;
}

static dnnl_memory_t pack_bias(const struct plan_op *op, uint32_t d)
{
    const struct recurrent_backend *backend = op->u.recurrent.backend;
    const struct recurrent_tensors tensors = recurrent_tensors_of(op, d);
    const struct cell_shape *cell = &backend->cell;
    const size_t hidden = (size_t)cell->hidden;
    const dnnl_dims_t dims = {1, 1, cell->bias_gates, cell->hidden};
    dnnl_memory_desc_t desc;
    if (!desc_make(&desc, 4, dims, dnnl_ldgo))
        return NULL;
    dnnl_memory_t memory = memory_make(backend, desc_get(&desc));
    float *out = memory_floats(memory);
    for (size_t g = 0; out && g < (size_t)cell->bias_gates; g++) {
        const bool within = g == (size_t)cell->gates; /* the reset product */
        const float *from = within ? tensors.peephole : tensors.bias;
        for (size_t u = 0; u < hidden; u++)
            out[g * hidden + u] = from ? from[(within ? 0 : file_gate(cell, g)) * hidden + u] : 0;
    }
    desc_free(&desc);
    return memory;
}

/* ---- primitives ------------------------------------------------------------------------ */

static bool make_descs(const struct cell_shape *cell, dnnl_dim_t steps, dnnl_dim_t items,
                       dnnl_memory_desc_t out[N_ARGS])
{
    const dnnl_dims_t x = {steps, items, cell->inputs}, y = {steps, items, cell->hidden};
    const dnnl_dims_t state = {1, 1, items, cell->hidden};
    const dnnl_dims_t wx = {1, 1, cell->inputs, cell->gates, cell->hidden};
    const dnnl_dims_t wh = {1, 1, cell->hidden, cell->gates, cell->hidden};
    const dnnl_dims_t bias = {1, 1, cell->bias_gates, cell->hidden};
    return desc_make(&out[X], 3, x, dnnl_tnc) && desc_make(&out[H], 4, state, dnnl_ldnc) &&
           desc_make(&out[C], 4, state, dnnl_ldnc) &&
           desc_make(&out[WX], 5, wx, dnnl_format_tag_any) &&
           desc_make(&out[WH], 5, wh, dnnl_format_tag_any) &&
           desc_make(&out[BIAS], 4, bias, dnnl_ldgo) && desc_make(&out[OUT], 3, y, dnnl_tnc) &&
           desc_make(&out[H_OUT], 4, state, dnnl_ldnc) && desc_make(&out[C_OUT], 4, state, dnnl_ldnc);
}

static bool fill_context(const struct plan_op *op, uint32_t d, struct context *context,
                         dnnl_primitive_desc_t desc, const dnnl_memory_desc_t descs[N_ARGS])
{
    struct recurrent_backend *backend = op->u.recurrent.backend;
    const struct packing *packing = packing_of(
        op, d, dnnl_primitive_desc_query_md(desc, dnnl_query_exec_arg_md, arg_codes[WX]),
        dnnl_primitive_desc_query_md(desc, dnnl_query_exec_arg_md, arg_codes[WH]));
    if (!packing || !good(dnnl_primitive_create(&context->primitive, desc)) ||
        !good(dnnl_stream_create(&context->stream, backend->engine, dnnl_stream_default_flags)))
        return false;
    context->args[WX] = packing->wx;
    context->args[WH] = packing->wh;
    context->args[BIAS] = backend->direction[d].bias;
    for (int arg = 0; arg < N_ARGS; arg++) {
        if (is_weights(arg) || !is_used(&backend->cell, arg))
            continue;
        context->args[arg] = memory_make(backend, desc_get(&descs[arg]));
        if (!memory_floats(context->args[arg]))
            return false;
    }
    return true;
}

static struct context *make_context(const struct plan_op *op, uint32_t d, size_t steps, size_t items)
{
    const struct recurrent_backend *backend = op->u.recurrent.backend;
    dnnl_memory_desc_t descs[N_ARGS];
    dnnl_primitive_desc_t desc = NULL;
    struct context *context = calloc(1, sizeof *context);
    memset(descs, 0, sizeof descs);
    bool ok = context && make_descs(&backend->cell, (dnnl_dim_t)steps, (dnnl_dim_t)items, descs) &&
              primitive_desc_make(&desc, backend->engine, &backend->cell, descs);
    if (ok) {
        context->steps = steps;
        context->items = items;
        ok = fill_context(op, d, context, desc, descs);
    }
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    for (int arg = 0; arg < N_ARGS; arg++)
        desc_free(&descs[arg]);
    if (!ok && context) {
        context_free(context);
        context = NULL;
    }
    return context;
}

/* The last idle context goes when there are many: a caller whose shapes never repeat must not
 * fill the memory. */
static void drop_one(struct backend_direction *direction)
{
    enum { MOST = 32 };
    struct context **last_idle = NULL;
    size_t n = 0;
    for (struct context **at = &direction->contexts; *at; at = &(*at)->next, n++)
        if (!(*at)->busy)
            last_idle = at;
    if (n < MOST || !last_idle)
        return;
    struct context *gone = *last_idle;
    *last_idle = gone->next;
    context_free(gone);
}

/* A context of this shape for the caller alone; NULL: oneDNN or memory failed. */
static struct context *take_context(const struct plan_op *op, uint32_t d, size_t steps, size_t items)
{
    struct backend_direction *direction = &op->u.recurrent.backend->direction[d];
    pthread_mutex_lock(&direction->mutex);
    struct context *context = direction->contexts;
    while (context && (context->busy || context->steps != steps || context->items != items))
        context = context->next;
    if (!context) {
        drop_one(direction);
        context = make_context(op, d, steps, items);
        if (context) {
            context->next = direction->contexts;
            direction->contexts = context;
        }
    }
    if (context)
        context->busy = true;
    pthread_mutex_unlock(&direction->mutex);
    return context;
}

static void give_back(const struct plan_op *op, uint32_t d, struct context *context)
{
    struct backend_direction *direction = &op->u.recurrent.backend->direction[d];
    pthread_mutex_lock(&direction->mutex);
    context->busy = false;
    pthread_mutex_unlock(&direction->mutex);
}

/* ---- threads ---------------------------------------------------------------------------- */

/* oneDNN's own threads are OpenMP's: as many as the plan may use, for this thread's calls. */
static int limit_threads(const struct lstm_plan *plan)
{
#ifdef _OPENMP
    const int before = omp_get_max_threads();
    omp_set_num_threads((int)plan->threads);
    return before;
#else
    (void)plan;
    return 0;
#endif
}

static void restore_threads(int before)
{
#ifdef _OPENMP
    omp_set_num_threads(before);
#else
    (void)before;
#endif
}

/* ---- the row -------------------------------------------------------------------------------- */

static const char *reject(const struct lstm_plan *plan, const struct layer *layer)
{
    (void)plan;
    if (layer->spec.type == MODEL_RNN)
        return "only lstm and gru go through oneDNN";
    if (!recurrent_standard_acts(layer))
        return "oneDNN's cells have sigmoid and tanh only";
    if (layer->spec.params[MODEL_RNN_CLIP])
        return "oneDNN does not clip gate pre-activations";
    if (layer->spec.n_inputs > 1)
        return "oneDNN does not pass over masked steps";
    if (layer->spec.type == MODEL_GRU)
        return NULL;
    if (layer->spec.params[MODEL_RNN_FLAGS] & MODEL_FLAG_COUPLED)
        return "oneDNN has no coupled input and forget gate";
    for (uint32_t d = 0; d < layer->n_states; d++) {
        if (layer_has(layer, d * MODEL_RNN_SLOTS + MODEL_SLOT_PEEPHOLE))
            return "peepholes are not passed to oneDNN";
        if (layer_has(layer, d * MODEL_RNN_SLOTS + MODEL_SLOT_PROJECTION))
            return "projections are not passed to oneDNN";
    }
    return NULL;
}

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor) "onednn-" TEXT_OF(major) "." TEXT_OF(minor) "/rnn"

static const char *kernel(const struct lstm_plan *plan)
{
    (void)plan;
    return VERSION_TEXT(DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR);
}

static bool start(struct recurrent_backend *backend, const struct recurrent_op *op)
{
    backend->n_directions = op->n_directions;
    backend->cell = (struct cell_shape){
        .lstm = op->gates == 4, .reset_after = op->reset_after, .inputs = (dnnl_dim_t)op->n_x,
        .hidden = op->hidden, .gates = op->gates, .bias_gates = op->gates + op->reset_after,
    };
    for (uint32_t d = 0; d < op->n_directions; d++)
        pthread_mutex_init(&backend->direction[d].mutex, NULL);
    return good(dnnl_engine_create(&backend->engine, dnnl_cpu, 0));
}

/* Steps of a block, which is all that a primitive gets at once. */
static size_t likely_steps(const struct layer *layer, const struct plan_problem *problem)
{
    const size_t most = problem->items < BLOCK_ROWS ? BLOCK_ROWS / problem->items : 1;
    return layer->whole || problem->steps < most ? problem->steps : most;
}

static lstm_status build(struct plan_builder *builder, struct plan_op *plan_op, lstm_error *error)
{
    struct recurrent_op *op = &plan_op->u.recurrent;
    const size_t items = builder->plan->problem.items;
    const size_t steps = likely_steps(plan_op->layer, &builder->plan->problem);
    op->backend = calloc(1, sizeof *op->backend);
    if (!op->backend)
        return error_nomem(error);
    const int before = limit_threads(builder->plan);
    bool ok = start(op->backend, op);
    for (uint32_t d = 0; ok && d < op->n_directions; d++) {
        op->backend->direction[d].bias = pack_bias(plan_op, d);
        struct context *context = op->backend->direction[d].bias
                                      ? take_context(plan_op, d, steps, items)
                                      : NULL;
        ok = context;
        if (ok)
            give_back(plan_op, d, context);
    }
    restore_threads(before);
    return ok ? LSTM_OK
              : error_set(error, LSTM_E_BACKEND, "oneDNN cannot make a primitive for layer %u (%s)",
                          (unsigned)plan_op->layer->index, plan_op->layer->type->name);
}

/* Rows of steps [s, s + context->steps) into the arrays that the primitive reads. */
static void gather(const struct stepper *step, size_t s, const struct context *context)
{
    const size_t n_x = step->rec->n_x, hidden = step->rec->hidden, items = context->items;
    float *x = memory_floats(context->args[X]), *h = memory_floats(context->args[H]);
    float *c = memory_floats(context->args[C]);
    for (size_t t = 0; t < context->steps; t++)
        for (size_t i = 0; i < items; i++)
            memcpy(x + (t * items + i) * n_x, step_in(step, i, s + t), n_x * sizeof *x);
    for (size_t i = 0; i < items; i++) {
        memcpy(h + i * hidden, step_h(step, i, s), hidden * sizeof *h);
        if (c)
            memcpy(c + i * hidden, step_c(step, i), hidden * sizeof *c);
    }
}

static void scatter(const struct stepper *step, size_t s, const struct context *context)
{
    const size_t hidden = step->rec->hidden, items = context->items;
    const float *out = memory_floats(context->args[OUT]), *c = memory_floats(context->args[C_OUT]);
    for (size_t t = 0; t < context->steps; t++)
        for (size_t i = 0; i < items; i++)
            memcpy(step_out(step, i, s + t), out + (t * items + i) * hidden, hidden * sizeof *out);
    for (size_t i = 0; c && i < items; i++)
        memcpy(step_c(step, i), c + i * hidden, hidden * sizeof *c);
}

static bool execute(const struct cell_shape *cell, const struct context *context)
{
    dnnl_exec_arg_t args[N_ARGS];
    int n = 0;
    for (int arg = 0; arg < N_ARGS; arg++)
        if (is_used(cell, arg))
            args[n++] = (dnnl_exec_arg_t){arg_codes[arg], context->args[arg]};
    return good(dnnl_primitive_execute(context->primitive, context->stream, n, args)) &&
           good(dnnl_stream_wait(context->stream));
}

/* As many steps at a time as all active items still have. */
static void steps(const struct stepper *step)
{
    const size_t n_steps = step->section->items[0].steps;
    size_t active = step->section->n_active;
    const int before = limit_threads(step->op->plan);
    for (size_t s = 0, n; s < n_steps; s += n) {
        active = step_active(step, s, active);
        n = step->section->items[active - 1].steps - s;
        struct context *context = take_context(step->op, step->direction, n, active);
        if (!context) {
            step->section->failed = true;
            break;
        }
        gather(step, s, context);
        step->section->failed |= !execute(&step->rec->backend->cell, context);
        scatter(step, s, context);
        give_back(step->op, step->direction, context);
    }
    restore_threads(before);
}

const struct recurrent_method recurrent_onednn = {
    .backend = "onednn",
    .how = "oneDNN's primitive",
    .reject = reject,
    .kernel = kernel,
    .build = build,
    .release = release,
    .steps = steps,
};

#else

static const char *reject(const struct lstm_plan *plan, const struct layer *layer)
{
    (void)plan;
    (void)layer;
    return "this build is without oneDNN (meson setup -Donednn=enabled)";
}

static const char *kernel(const struct lstm_plan *plan)
{
    (void)plan;
    return "onednn/rnn";
}

const struct recurrent_method recurrent_onednn = {
    .backend = "onednn",
    .how = "oneDNN's primitive",
    .reject = reject,
    .kernel = kernel,
};

#endif
