/* SPDX-License-Identifier: MIT
 *
 * The worker of ONNX Runtime. Its wheel on PyPI has the shared library but no header, so this file declares
 * what it calls: the C interface is a table of functions whose order never changes (new ones are appended),
 * and the numbers below are the places in it, counted in the public header onnxruntime_c_api.h.
 */
#include "bench/peers/worker.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { API_VERSION = 11 }; /* the table of version 11 has all that is used here */

enum slot {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    CREATE_SESSION_OPTIONS = 10,
    SET_SESSION_EXECUTION_MODE = 13,
    SET_SESSION_GRAPH_OPTIMIZATION_LEVEL = 23,
    SET_INTRA_OP_NUM_THREADS = 24,
    SET_INTER_OP_NUM_THREADS = 25,
    SESSION_GET_INPUT_COUNT = 30,
    SESSION_GET_OUTPUT_COUNT = 31,
    SESSION_GET_INPUT_NAME = 36,
    SESSION_GET_OUTPUT_NAME = 37,
    CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE = 49,
    CREATE_CPU_MEMORY_INFO = 69,
    ALLOCATOR_FREE = 76,
    GET_ALLOCATOR_WITH_DEFAULT_OPTIONS = 78,
    RELEASE_ENV = 92,
    RELEASE_STATUS = 93,
    RELEASE_MEMORY_INFO = 94,
    RELEASE_SESSION = 95,
    RELEASE_VALUE = 96,
    RELEASE_SESSION_OPTIONS = 100,
    ADD_SESSION_CONFIG_ENTRY = 130,
    RUN_WITH_BINDING = 133,
    CREATE_IO_BINDING = 134,
    RELEASE_IO_BINDING = 135,
    BIND_INPUT = 136,
    BIND_OUTPUT = 137,
    N_SLOTS
};

/* Constants of the same header. */
enum { ELEMENT_FLOAT = 1, ARENA_ALLOCATOR = 1, MEMORY_DEFAULT = 0, LOG_WARNING = 2 };
enum { SEQUENTIAL = 0, OPTIMIZE_ALL = 99 };

/* Objects of the runtime are `void *` here: this file only hands them on. NULL status: no error. */
typedef void *status;
typedef void (*function)(void);

struct api_base {
    const function *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
};

struct api {
    uint32_t threads;
    const function *table;
    void *env;
};

/* The function in a slot, as the type its call needs. */
#define CALL(api, slot, ...) ((status(*)(__VA_ARGS__))(api)->table[slot])
#define RELEASE(api, slot, object) ((void (*)(void *))(api)->table[slot])(object)

static bool ok(const struct api *api, status s, const char *what, struct worker_error *error)
{
    if (s == NULL)
        return true;
    worker_fail(error, "%s: %s", what, ((const char *(*)(const void *))api->table[GET_ERROR_MESSAGE])(s));
    RELEASE(api, RELEASE_STATUS, s);
    return false;
}

static bool load(struct api *api, const char *library, char version[64], struct worker_error *error)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return worker_fail(error, "%s", dlerror());
    const struct api_base *(*get_base)(void);
    *(void **)&get_base = dlsym(handle, "OrtGetApiBase");
    if (get_base == NULL)
        return worker_fail(error, "%s: no OrtGetApiBase in it", library);
    const struct api_base *base = get_base();
    snprintf(version, 64, "%s", base->get_version());
    api->table = base->get_api(API_VERSION);
    if (api->table == NULL)
        return worker_fail(error, "%s: %s has no interface of version %d", library, version, API_VERSION);
    return ok(api, CALL(api, CREATE_ENV, int, const char *, void **)(LOG_WARNING, "worker", &api->env),
              "CreateEnv", error);
}

static void *start(struct worker_options *options, char version[64], struct worker_error *error)
{
    struct api *api = calloc(1, sizeof *api);
    bool good = api != NULL || worker_fail(error, "out of memory");
    good = good && (options->library != NULL || worker_fail(error, "--library must name libonnxruntime.so"));
    good = good && (options->isa == NULL ||
                    worker_fail(error, "--isa: ONNX Runtime cannot be held to an instruction set"));
    if (good && load(api, options->library, version, error)) {
        api->threads = options->threads;
        return api;
    }
    free(api);
    return NULL;
}

static void end(void *started)
{
    struct api *api = started;
    RELEASE(api, RELEASE_ENV, api->env);
    free(api);
}

/* ---- a case -------------------------------------------------------------- */

struct ort {
    const struct api *api;
    struct worker_case *c;
    void *options, *session, *memory;
    void *binding[2]; /* binding[s] reads state set s */
    void **values;    /* [n_values] tensors over the case's buffers, bound and kept until close */
    size_t n_values;
};

static void ort_close(void *self)
{
    struct ort *o = self;
    for (int i = 0; i < 2; i++)
        if (o->binding[i] != NULL)
            RELEASE(o->api, RELEASE_IO_BINDING, o->binding[i]);
    for (size_t i = 0; i < o->n_values; i++)
        RELEASE(o->api, RELEASE_VALUE, o->values[i]);
    free(o->values);
    if (o->memory != NULL)
        RELEASE(o->api, RELEASE_MEMORY_INFO, o->memory);
    if (o->session != NULL)
        RELEASE(o->api, RELEASE_SESSION, o->session);
    if (o->options != NULL)
        RELEASE(o->api, RELEASE_SESSION_OPTIONS, o->options);
    free(o);
}

static bool set_option(struct ort *o, enum slot slot, int value, const char *what, struct worker_error *error)
{
    return ok(o->api, CALL(o->api, slot, void *, int)(o->options, value), what, error);
}

static bool set_options(struct ort *o, struct worker_error *error)
{
    const struct api *a = o->api;
    status made = CALL(a, CREATE_SESSION_OPTIONS, void **)(&o->options);
    if (!ok(a, made, "CreateSessionOptions", error) ||
        !set_option(o, SET_INTRA_OP_NUM_THREADS, (int)a->threads, "SetIntraOpNumThreads", error) ||
        !set_option(o, SET_INTER_OP_NUM_THREADS, 1, "SetInterOpNumThreads", error) ||
        !set_option(o, SET_SESSION_EXECUTION_MODE, SEQUENTIAL, "SetSessionExecutionMode", error) ||
        !set_option(o, SET_SESSION_GRAPH_OPTIMIZATION_LEVEL, OPTIMIZE_ALL, "graph optimisation", error))
        return false;
    const char *zero = "session.set_denormal_as_zero";
    return ok(a, CALL(a, ADD_SESSION_CONFIG_ENTRY, void *, const char *, const char *)(o->options, zero, "1"),
              zero, error);
}

static bool make_session(struct ort *o, struct worker_error *error)
{
    const struct api *a = o->api;
    char path[4200];
    if (!worker_path(o->c, "model.onnx", path, sizeof path, error) || !set_options(o, error))
        return false;
    status made = CALL(a, CREATE_SESSION, void *, const char *, void *, void **)(a->env, path, o->options,
                                                                                 &o->session);
    if (!ok(a, made, path, error))
        return false;
    made = CALL(a, CREATE_CPU_MEMORY_INFO, int, int, void **)(ARENA_ALLOCATOR, MEMORY_DEFAULT, &o->memory);
    return ok(a, made, "CreateCpuMemoryInfo", error);
}

static bool bind_value(struct ort *o, void *binding, const char *name, const struct worker_place *p,
                       struct worker_error *error)
{
    const struct api *a = o->api;
    size_t bytes = sizeof(float);
    for (size_t i = 0; i < p->rank; i++)
        bytes *= (size_t)p->dims[i];
    void **value = &o->values[o->n_values];
    status (*create)(void *, void *, size_t, const int64_t *, size_t, int, void **) =
        CALL(a, CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE, void *, void *, size_t, const int64_t *, size_t, int,
             void **);
    status made = create(o->memory, p->data, bytes, p->dims, p->rank, ELEMENT_FLOAT, value);
    if (!ok(a, made, name, error))
        return false;
    o->n_values++;
    int slot = p->output ? BIND_OUTPUT : BIND_INPUT;
    return ok(a, CALL(a, slot, void *, const char *, void *)(binding, name, *value), name, error);
}

static bool bind_place(struct ort *o, void *binding, const struct worker_place *p, struct worker_error *error)
{
    const struct api *a = o->api;
    void *allocator;
    char *name;
    if (!ok(a, CALL(a, GET_ALLOCATOR_WITH_DEFAULT_OPTIONS, void **)(&allocator), "an allocator", error))
        return false;
    int slot = p->output ? SESSION_GET_OUTPUT_NAME : SESSION_GET_INPUT_NAME;
    status got = CALL(a, slot, void *, size_t, void *, char **)(o->session, p->index, allocator, &name);
    if (!ok(a, got, p->output ? "name of an output" : "name of an input", error))
        return false;
    bool good = bind_value(o, binding, name, p, error);
    status freed = CALL(a, ALLOCATOR_FREE, void *, void *)(allocator, name);
    return ok(a, freed, "AllocatorFree", error) && good;
}

static bool make_binding(struct ort *o, int set, struct worker_error *error)
{
    bool good = ok(o->api, CALL(o->api, CREATE_IO_BINDING, void *, void **)(o->session, &o->binding[set]),
                   "CreateIoBinding", error);
    for (size_t i = 0; good && i < 2 * worker_n_places(o->c); i++) {
        struct worker_place place = worker_place_of(o->c, set, i % 2, i / 2);
        good = bind_place(o, o->binding[set], &place, error);
    }
    return good;
}

/* Binding by place is right only for the inputs and outputs that PROTOCOL.md says. */
static bool check_counts(struct ort *o, struct worker_error *error)
{
    const struct api *a = o->api;
    size_t expected = worker_n_places(o->c), inputs, outputs;
    if (!ok(a, CALL(a, SESSION_GET_INPUT_COUNT, void *, size_t *)(o->session, &inputs), "inputs", error) ||
        !ok(a, CALL(a, SESSION_GET_OUTPUT_COUNT, void *, size_t *)(o->session, &outputs), "outputs", error))
        return false;
    return (inputs == expected && outputs >= expected) ||
           worker_fail(error, "%s/model.onnx: %zu inputs and %zu outputs, expected %zu", o->c->dir, inputs,
                       outputs, expected);
}

static bool build(struct ort *o, struct worker_error *error)
{
    int sets = o->c->steps == 1 ? 2 : 1;
    if (!make_session(o, error) || !check_counts(o, error))
        return false;
    o->values = calloc(4 + 8 * (size_t)o->c->layers, sizeof *o->values);
    bool good = o->values != NULL || worker_fail(error, "out of memory");
    for (int set = 0; good && set < sets; set++)
        good = make_binding(o, set, error);
    return good;
}

static void *ort_open(void *started, struct worker_case *c, struct worker_error *error)
{
    struct ort *o = calloc(1, sizeof *o);
    if (o == NULL) {
        worker_fail(error, "out of memory");
        return NULL;
    }
    o->api = started;
    o->c = c;
    if (!build(o, error)) {
        ort_close(o);
        return NULL;
    }
    return o;
}

static bool run(void *self, int set, struct worker_error *error)
{
    struct ort *o = self;
    const struct api *a = o->api;
    return ok(a, CALL(a, RUN_WITH_BINDING, void *, const void *, void *)(o->session, NULL, o->binding[set]),
              "RunWithBinding", error);
}

const struct worker_runtime worker_runtime = {
    .name = "onnxruntime",
    .notes = "C API; IoBinding over fixed buffers, states double-buffered; CPU provider, sequential "
             "execution, all graph optimisations, denormals as zero, threads spin (the default)",
    .start = start,
    .open = ort_open,
    .run = run,
    .close = ort_close,
    .end = end,
};
