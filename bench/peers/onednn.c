/* SPDX-License-Identifier: MIT
 *
 * The worker of oneDNN, through its C interface of version 2 or 3, whichever the headers are of. One RNN
 * primitive per layer (both directions in it); weights lie as the primitive asks for.
 */
#include "bench/peers/worker.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

/* What a primitive reads and writes. */
enum place { SRC, SRC_H, SRC_C, W, R, BIAS, DST, DST_H, DST_C, N_PLACES };

static const int arguments[N_PLACES] = {
    [SRC] = DNNL_ARG_SRC_LAYER,   [SRC_H] = DNNL_ARG_SRC_ITER, [SRC_C] = DNNL_ARG_SRC_ITER_C,
    [W] = DNNL_ARG_WEIGHTS_LAYER, [R] = DNNL_ARG_WEIGHTS_ITER, [BIAS] = DNNL_ARG_BIAS,
    [DST] = DNNL_ARG_DST_LAYER,   [DST_H] = DNNL_ARG_DST_ITER, [DST_C] = DNNL_ARG_DST_ITER_C,
};

/* ---- the two versions ---------------------------------------------------- */

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t desc_ref;

static desc_ref ref(const dnnl_memory_desc_t *desc)
{
    return *desc;
}

static dnnl_status_t desc_make(dnnl_memory_desc_t *out, int rank, const dnnl_dims_t dims,
                               dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(out, rank, dims, dnnl_f32, tag);
}

static void desc_free(dnnl_memory_desc_t *desc)
{
    dnnl_memory_desc_destroy(*desc);
}

/* NULL in `d`: not given. */
static dnnl_status_t primitive_desc_make(dnnl_primitive_desc_t *out, dnnl_engine_t engine, bool gru,
                                         dnnl_rnn_direction_t direction, const desc_ref d[N_PLACES])
{
    const dnnl_prop_kind_t kind = dnnl_forward_inference;
    if (gru)
        return dnnl_lbr_gru_forward_primitive_desc_create(out, engine, kind, direction, d[SRC], d[SRC_H],
                                                          d[W], d[R], d[BIAS], d[DST], d[DST_H], 0, NULL);
    return dnnl_lstm_forward_primitive_desc_create(out, engine, kind, direction, d[SRC], d[SRC_H], d[SRC_C],
                                                   d[W], d[R], NULL, NULL, d[BIAS], d[DST], d[DST_H],
                                                   d[DST_C], 0, NULL);
}
#else
typedef const dnnl_memory_desc_t *desc_ref;

static desc_ref ref(const dnnl_memory_desc_t *desc)
{
    return desc;
}

static dnnl_status_t desc_make(dnnl_memory_desc_t *out, int rank, const dnnl_dims_t dims,
                               dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(out, rank, dims, dnnl_f32, tag);
}

static void desc_free(dnnl_memory_desc_t *desc)
{
    (void)desc; /* a plain struct in version 2 */
}

/* NULL in `d`: not given. */
static dnnl_status_t primitive_desc_make(dnnl_primitive_desc_t *out, dnnl_engine_t engine, bool gru,
                                         dnnl_rnn_direction_t direction, const desc_ref d[N_PLACES])
{
    const dnnl_prop_kind_t kind = dnnl_forward_inference;
    dnnl_rnn_desc_t rnn;
    dnnl_status_t status;
    if (gru)
        status = dnnl_lbr_gru_forward_desc_init(&rnn, kind, direction, d[SRC], d[SRC_H], d[W], d[R], d[BIAS],
                                                d[DST], d[DST_H], 0);
    else
        status = dnnl_lstm_forward_desc_init(&rnn, kind, direction, d[SRC], d[SRC_H], d[SRC_C], d[W], d[R],
                                             d[BIAS], d[DST], d[DST_H], d[DST_C], 0);
    return status == dnnl_success ? dnnl_primitive_desc_create(out, &rnn, NULL, engine, NULL) : status;
}
#endif

/* ---- a case -------------------------------------------------------------- */

struct layer {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    float *bias, *between;             /* between: what it writes for the next layer, NULL in the last */
    dnnl_memory_t memory[2][N_PLACES]; /* [set]; places that do not differ are in set 0 only */
    dnnl_exec_arg_t args[2][N_PLACES]; /* [set] */
    int n_args;
};

struct onednn {
    struct worker_case *c;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct layer *layers; /* [c->layers] */
};

static bool ok(dnnl_status_t status, const char *what, struct worker_error *error)
{
    return status == dnnl_success || worker_fail(error, "%s: oneDNN's status %d", what, (int)status);
}

/* oneDNN uses as many threads as its OpenMP says. Which OpenMP that is, is known only when it is loaded. */
static bool set_threads(uint32_t threads, struct worker_error *error)
{
    void (*set)(int);
    *(void **)&set = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    if (set != NULL)
        set((int)threads);
    return set != NULL || worker_fail(error, "this oneDNN has no OpenMP: its threads cannot be set");
}

static bool set_isa(const char *isa, struct worker_error *error)
{
    bool avx2 = strcmp(isa, "avx2") == 0, avx512 = strcmp(isa, "avx512") == 0;
    if (!avx2 && !avx512)
        return worker_fail(error, "--isa %s: oneDNN can be held to avx2 or avx512", isa);
    return ok(dnnl_set_max_cpu_isa(avx2 ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_avx512_core), "--isa", error);
}

static void *start(struct worker_options *options, char version[64], struct worker_error *error)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(version, 64, "%d.%d.%d", v->major, v->minor, v->patch);
    bool good = options->library == NULL ||
                worker_fail(error, "--library: this worker is linked with its runtime");
    good = good && (options->isa == NULL || set_isa(options->isa, error));
    good = good && set_threads(options->threads, error);
    return good ? options : NULL;
}

static void layer_close(struct layer *l)
{
    for (int set = 0; set < 2; set++)
        for (int place = 0; place < N_PLACES; place++)
            if (l->memory[set][place] != NULL)
                dnnl_memory_destroy(l->memory[set][place]);
    if (l->primitive != NULL)
        dnnl_primitive_destroy(l->primitive);
    if (l->desc != NULL)
        dnnl_primitive_desc_destroy(l->desc);
    free(l->bias);
    free(l->between);
}

static void onednn_close(void *self)
{
    struct onednn *o = self;
    for (uint32_t i = 0; o->layers != NULL && i < o->c->layers; i++)
        layer_close(&o->layers[i]);
    free(o->layers);
    if (o->stream != NULL)
        dnnl_stream_destroy(o->stream);
    if (o->engine != NULL)
        dnnl_engine_destroy(o->engine);
    free(o);
}

/* Shapes of a layer's arguments; weights in any order. Reports how many were made, to be freed. */
static bool describe(const struct worker_case *c, uint32_t index, dnnl_memory_desc_t descs[N_PLACES],
                     int *n_made, struct worker_error *error)
{
    dnnl_dim_t t = c->steps, n = c->items, d = worker_directions(c), h = c->units, g = c->gru ? 3 : 4;
    dnnl_dim_t inputs = worker_layer_inputs(c, index);
    const struct {
        int rank;
        dnnl_dims_t dims;
        dnnl_format_tag_t tag;
    } shapes[N_PLACES] = {
        [SRC] = {3, {t, n, inputs}, dnnl_tnc},
        [SRC_H] = {4, {1, d, n, h}, dnnl_ldnc},
        [SRC_C] = {4, {1, d, n, h}, dnnl_ldnc},
        [W] = {5, {1, d, inputs, g, h}, dnnl_format_tag_any},
        [R] = {5, {1, d, h, g, h}, dnnl_format_tag_any},
        [BIAS] = {4, {1, d, 4, h}, dnnl_ldgo}, /* 4 for a GRU too: b_hn */
        [DST] = {3, {t, n, d * h}, dnnl_tnc},
        [DST_H] = {4, {1, d, n, h}, dnnl_ldnc},
        [DST_C] = {4, {1, d, n, h}, dnnl_ldnc},
    };
    for (*n_made = 0; *n_made < N_PLACES; ++*n_made)
        if (!ok(desc_make(&descs[*n_made], shapes[*n_made].rank, shapes[*n_made].dims, shapes[*n_made].tag),
                "a memory descriptor", error))
            return false;
    return true;
}

/* True for arguments that a case of these steps and this type has. */
static bool has_place(const struct worker_case *c, int place)
{
    bool h = place == SRC_H || place == DST_H, state_c = place == SRC_C || place == DST_C;
    return !(h || state_c) || (c->steps == 1 && !(state_c && c->gru));
}

static bool make_primitive(struct onednn *o, uint32_t index, struct worker_error *error)
{
    struct layer *l = &o->layers[index];
    dnnl_memory_desc_t descs[N_PLACES];
    desc_ref given[N_PLACES];
    int n_made;
    bool good = describe(o->c, index, descs, &n_made, error);
    for (int place = 0; place < n_made; place++)
        given[place] = has_place(o->c, place) ? ref(&descs[place]) : NULL;
    good = good && ok(primitive_desc_make(&l->desc, o->engine, o->c->gru,
                                          o->c->bidirectional ? dnnl_bidirectional_concat
                                                              : dnnl_unidirectional_left2right,
                                          given),
                      "an RNN primitive", error);
    while (n_made > 0)
        desc_free(&descs[--n_made]);
    return good && ok(dnnl_primitive_create(&l->primitive, l->desc), "an RNN primitive", error);
}

/* ---- weights ------------------------------------------------------------- */

/* Place, in the order of oneDNN's gates (u, r, o), of each of PyTorch's (r, z, n). */
static const uint32_t gru_gates[3] = {1, 0, 2};

/* A direction's weights as weights.bin has them, [G][gate_size], to oneDNN's order of gates. */
static void copy_gates(bool gru, const float *in, size_t gate_size, float *out)
{
    for (uint32_t g = 0; g < (gru ? 3u : 4u); g++)
        memcpy(out + (gru ? gru_gates[g] : g) * gate_size, in + g * gate_size, gate_size * sizeof *out);
}

/* The weights in plain order [D][G][H][width] into the memory that the primitive reads. */
static bool reorder(struct onednn *o, struct layer *l, int place, float *plain, size_t width,
                    struct worker_error *error)
{
    const dnnl_dims_t dims = {1, worker_directions(o->c), (dnnl_dim_t)width, o->c->gru ? 3 : 4, o->c->units};
    desc_ref wanted = dnnl_primitive_desc_query_md(l->desc, dnnl_query_exec_arg_md, arguments[place]);
    dnnl_memory_desc_t from;
    if (wanted == NULL)
        return worker_fail(error, "oneDNN does not say how it wants its weights");
    if (!ok(desc_make(&from, 5, dims, dnnl_ldgoi), "plain weights", error))
        return false;
    dnnl_memory_t source = NULL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t *target = &l->memory[0][place];
    bool good = ok(dnnl_memory_create(&source, ref(&from), o->engine, plain), "plain weights", error) &&
                ok(dnnl_memory_create(target, wanted, o->engine, DNNL_MEMORY_ALLOCATE), "weights", error) &&
                ok(dnnl_reorder_primitive_desc_create(&desc, ref(&from), o->engine, wanted, o->engine, NULL),
                   "a reorder of weights", error) &&
                ok(dnnl_primitive_create(&primitive, desc), "a reorder of weights", error);
    if (good) {
        const dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, *target}};
        good = ok(dnnl_primitive_execute(primitive, o->stream, 2, args), "a reorder of weights", error) &&
               ok(dnnl_stream_wait(o->stream), "a reorder of weights", error);
    }
    if (primitive != NULL)
        dnnl_primitive_destroy(primitive);
    if (desc != NULL)
        dnnl_primitive_desc_destroy(desc);
    if (source != NULL)
        dnnl_memory_destroy(source);
    desc_free(&from);
    return good;
}

/* Floats of a direction of a layer in weights.bin. */
static size_t direction_size(const struct worker_case *c, size_t inputs)
{
    size_t h = c->units, gates = c->gru ? 3 : 4;
    return gates * h * (inputs + h + 1) + (c->gru ? h : 0);
}

static bool pack(struct onednn *o, uint32_t index, const float *numbers, struct worker_error *error)
{
    struct worker_case *c = o->c;
    struct layer *l = &o->layers[index];
    size_t inputs = worker_layer_inputs(c, index), h = c->units, gates = c->gru ? 3 : 4;
    uint32_t directions = worker_directions(c);
    float *w = worker_floats(directions * gates * h * inputs), *r = worker_floats(directions * gates * h * h);
    l->bias = worker_floats(directions * 4 * h);
    bool good = (w != NULL && r != NULL && l->bias != NULL) || worker_fail(error, "out of memory");
    for (uint32_t d = 0; good && d < directions; d++, numbers += direction_size(c, inputs)) {
        const float *in_r = numbers + gates * h * inputs, *in_b = in_r + gates * h * h;
        copy_gates(c->gru, numbers, h * inputs, w + d * gates * h * inputs);
        copy_gates(c->gru, in_r, h * h, r + d * gates * h * h);
        copy_gates(c->gru, in_b, h, l->bias + d * 4 * h);
        if (c->gru)
            memcpy(l->bias + (d * 4 + 3) * h, in_b + 3 * h, h * sizeof *l->bias);
    }
    good = good && reorder(o, l, W, w, inputs, error) && reorder(o, l, R, r, h, error);
    free(w);
    free(r);
    return good;
}

/* ---- arguments ----------------------------------------------------------- */

/* Where a place's numbers lie when a call reads state set `set`; NULL: in memory of oneDNN's own. */
static float *place_data(const struct onednn *o, uint32_t index, int place, int set)
{
    const struct worker_case *c = o->c;
    const struct layer *l = &o->layers[index];
    size_t state = index * worker_layer_state(c);
    switch (place) {
    case SRC: return index == 0 ? c->input : o->layers[index - 1].between;
    case DST: return index == c->layers - 1 ? c->output : l->between;
    case BIAS: return l->bias;
    case SRC_H: return c->state[set][0] + state;
    case SRC_C: return c->state[set][1] + state;
    case DST_H: return c->state[1 - set][0] + state;
    case DST_C: return c->state[1 - set][1] + state;
    default: return NULL;
    }
}

static bool is_state(int place)
{
    return place == SRC_H || place == SRC_C || place == DST_H || place == DST_C;
}

static bool make_args(struct onednn *o, uint32_t index, int set, struct worker_error *error)
{
    struct layer *l = &o->layers[index];
    l->n_args = 0;
    for (int place = 0; place < N_PLACES; place++) {
        if (!has_place(o->c, place))
            continue;
        dnnl_memory_t *memory = &l->memory[is_state(place) ? set : 0][place];
        desc_ref desc = dnnl_primitive_desc_query_md(l->desc, dnnl_query_exec_arg_md, arguments[place]);
        float *data = place_data(o, index, place, set);
        if (*memory == NULL && !ok(dnnl_memory_create(memory, desc, o->engine, data), "an argument", error))
            return false;
        l->args[set][l->n_args++] = (dnnl_exec_arg_t){arguments[place], *memory};
    }
    return true;
}

static bool build_layer(struct onednn *o, uint32_t index, const float *numbers, struct worker_error *error)
{
    struct layer *l = &o->layers[index];
    if (index + 1 < o->c->layers && (l->between = worker_floats(worker_case_outputs_size(o->c))) == NULL)
        return worker_fail(error, "out of memory");
    if (!make_primitive(o, index, error) || !pack(o, index, numbers, error))
        return false;
    bool good = make_args(o, index, 0, error) && (o->c->steps > 1 || make_args(o, index, 1, error));
    const char *name = NULL;
    if (good && dnnl_primitive_desc_query(l->desc, dnnl_query_impl_info_str, 0, &name) == dnnl_success)
        fprintf(stderr, "layer %u: %s\n", index, name);
    return good;
}

static bool build(struct onednn *o, struct worker_error *error)
{
    struct worker_case *c = o->c;
    size_t n = 0;
    for (uint32_t i = 0; i < c->layers; i++)
        n += worker_directions(c) * direction_size(c, worker_layer_inputs(c, i));
    float *numbers = worker_read_floats(c, "weights.bin", n, error);
    o->layers = calloc(c->layers, sizeof *o->layers);
    bool good = numbers != NULL && (o->layers != NULL || worker_fail(error, "out of memory")) &&
                ok(dnnl_engine_create(&o->engine, dnnl_cpu, 0), "a CPU engine", error) &&
                ok(dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags), "a stream", error);
    const float *next = numbers;
    for (uint32_t i = 0; good && i < c->layers; i++) {
        good = build_layer(o, i, next, error);
        next += worker_directions(c) * direction_size(c, worker_layer_inputs(c, i));
    }
    free(numbers);
    return good;
}

static void *onednn_open(void *started, struct worker_case *c, struct worker_error *error)
{
    (void)started;
    struct onednn *o = calloc(1, sizeof *o);
    if (o == NULL) {
        worker_fail(error, "out of memory");
        return NULL;
    }
    o->c = c;
    if (!build(o, error)) {
        onednn_close(o);
        return NULL;
    }
    return o;
}

static bool run(void *self, int set, struct worker_error *error)
{
    struct onednn *o = self;
    for (uint32_t i = 0; i < o->c->layers; i++) {
        struct layer *l = &o->layers[i];
        if (!ok(dnnl_primitive_execute(l->primitive, o->stream, l->n_args, l->args[set]), "a layer", error))
            return false;
    }
    return ok(dnnl_stream_wait(o->stream), "the stream", error);
}

const struct worker_runtime worker_runtime = {
    .name = "onednn",
    .notes = "C API; forward_inference, one primitive per layer with both directions in it, weights "
             "reordered ahead, states double-buffered; OpenMP's waiting as is its default",
    .start = start,
    .open = onednn_open,
    .run = run,
    .close = onednn_close,
};
