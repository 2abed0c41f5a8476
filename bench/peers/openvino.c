/* SPDX-License-Identifier: MIT
 *
 * The worker of OpenVINO's CPU device, through its C interface. Two requests of one compiled model: the state
 * outputs of one are the state inputs of the other.
 */
#include "bench/peers/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openvino/c/openvino.h>

struct openvino {
    struct worker_case *c;
    ov_core_t *core;
    ov_compiled_model_t *model;
    ov_infer_request_t *request[2]; /* request[s] reads state set s */
};

static bool ok(ov_status_e status, const char *what, struct worker_error *error)
{
    if (status == OK)
        return true;
    const char *why = ov_get_last_err_msg();
    return worker_fail(error, "%s: %s: %s", what, ov_get_error_info(status), why != NULL ? why : "");
}

static void *start(struct worker_options *options, char version[64], struct worker_error *error)
{
    ov_version_t v;
    bool good = options->isa == NULL ||
                worker_fail(error, "--isa: OpenVINO cannot be held to an instruction set");
    good = good && (options->library == NULL ||
                    worker_fail(error, "--library: this worker is linked with its runtime"));
    if (!good || !ok(ov_get_openvino_version(&v), "the version", error))
        return NULL;
    /* "2026.4.1-12345-abcdef": the number is enough */
    snprintf(version, 64, "%.*s", (int)strcspn(v.buildNumber, "-"), v.buildNumber);
    ov_version_free(&v);
    return options;
}

static void openvino_close(void *self)
{
    struct openvino *o = self;
    for (int i = 0; i < 2; i++)
        if (o->request[i] != NULL)
            ov_infer_request_free(o->request[i]);
    if (o->model != NULL)
        ov_compiled_model_free(o->model);
    if (o->core != NULL)
        ov_core_free(o->core);
    free(o);
}

static bool set_place(ov_infer_request_t *request, const struct worker_place *p, struct worker_error *error)
{
    ov_shape_t shape = {0, NULL};
    ov_tensor_t *tensor = NULL;
    bool good = ok(ov_shape_create(p->rank, p->dims, &shape), "a shape", error) &&
                ok(ov_tensor_create_from_host_ptr(F32, shape, p->data, &tensor), "a tensor", error) &&
                ok(p->output ? ov_infer_request_set_output_tensor_by_index(request, p->index, tensor)
                             : ov_infer_request_set_input_tensor_by_index(request, p->index, tensor),
                   p->output ? "an output" : "an input", error);
    /* The request holds on to the tensor. */
    if (tensor != NULL)
        ov_tensor_free(tensor);
    ov_shape_free(&shape);
    return good;
}

static bool make_request(struct openvino *o, int set, struct worker_error *error)
{
    bool good = ok(ov_compiled_model_create_infer_request(o->model, &o->request[set]), "a request", error);
    for (size_t i = 0; good && i < 2 * worker_n_places(o->c); i++) {
        struct worker_place place = worker_place_of(o->c, set, i % 2, i / 2);
        good = set_place(o->request[set], &place, error);
    }
    return good;
}

/* Setting by place is right only for the inputs and outputs that PROTOCOL.md says. */
static bool check_counts(const struct openvino *o, struct worker_error *error)
{
    size_t expected = worker_n_places(o->c), inputs, outputs;
    if (!ok(ov_compiled_model_inputs_size(o->model, &inputs), "inputs", error) ||
        !ok(ov_compiled_model_outputs_size(o->model, &outputs), "outputs", error))
        return false;
    return (inputs == expected && outputs == expected) ||
           worker_fail(error, "%s/model.onnx: %zu inputs and %zu outputs, expected %zu", o->c->dir, inputs,
                       outputs, expected);
}

static bool build(struct openvino *o, uint32_t threads, struct worker_error *error)
{
    char path[4200], n_threads[16];
    snprintf(n_threads, sizeof n_threads, "%u", threads);
    if (!worker_path(o->c, "model.onnx", path, sizeof path, error))
        return false;
    if (!ok(ov_core_create(&o->core), "a core", error))
        return false;
    bool good = ok(ov_core_compile_model_from_file(o->core, path, "CPU", 8, &o->model,
                                                   ov_property_key_hint_performance_mode, "LATENCY",
                                                   ov_property_key_inference_num_threads, n_threads,
                                                   ov_property_key_num_streams, "1",
                                                   ov_property_key_hint_inference_precision, "f32"),
                   path, error) &&
                check_counts(o, error) && make_request(o, 0, error);
    return good && (o->c->steps > 1 || make_request(o, 1, error));
}

static void *openvino_open(void *started, struct worker_case *c, struct worker_error *error)
{
    const struct worker_options *options = started;
    struct openvino *o = calloc(1, sizeof *o);
    if (o == NULL) {
        worker_fail(error, "out of memory");
        return NULL;
    }
    o->c = c;
    if (!build(o, options->threads, error)) {
        openvino_close(o);
        return NULL;
    }
    return o;
}

static bool run(void *self, int set, struct worker_error *error)
{
    struct openvino *o = self;
    return ok(ov_infer_request_infer(o->request[set]), "infer", error);
}

const struct worker_runtime worker_runtime = {
    .name = "openvino",
    .notes = "C API; CPU device, latency hint, one stream, f32 precision; tensors over fixed buffers, two "
             "requests so that states are double-buffered",
    .start = start,
    .open = openvino_open,
    .run = run,
    .close = openvino_close,
};
