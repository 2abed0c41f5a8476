/* SPDX-License-Identifier: MIT
 *
 * A plan in words: what was chosen for each layer, what was rejected, and why.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/recurrent.h"
#include "runtime/team.h"

/* A growing text; running out of memory sticks. */
struct text {
    char *bytes;
    size_t n_bytes, cap;
    bool failed;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool reserve(struct text *text, size_t more)
{
    if (text->n_bytes + more < text->cap)
        return true;
    const size_t cap = 2 * (text->n_bytes + more) + 256;
    char *bytes = realloc(text->bytes, cap);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->cap = cap;
    return true;
}

static void put(struct text *text, const char *format, ...)
{
    va_list args;
    if (text->failed)
        return;
    va_start(args, format);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !reserve(text, (size_t)n + 1))
        return;
    va_start(args, format);
    vsnprintf(text->bytes + text->n_bytes, (size_t)n + 1, format, args);
    va_end(args);
    text->n_bytes += (size_t)n;
}

static void put_bytes(struct text *text, double n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    size_t unit = 0;
    while (n >= 1024 && unit < 3) {
        n /= 1024;
        unit++;
    }
    put(text, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

static void put_ns(struct text *text, double ns)
{
    if (ns < 1e3)
        put(text, "%.0f ns", ns);
    else if (ns < 1e6)
        put(text, "%.1f us", ns / 1e3);
    else
        put(text, "%.1f ms", ns / 1e6);
}

static void put_set(struct text *text, const struct lstm_plan *plan, double bytes)
{
    put_bytes(text, bytes);
    put(text, ", lives in %s", machine_level(&plan->machine, bytes));
}

/* "64x2 32": panels of each width, in columns */
static void put_panels(struct text *text, const struct simd_panels *panels)
{
    const char *space = "";
    if (panels->n_wide) {
        put(text, "%zu of %u", panels->n_wide, (unsigned)panels->widest);
        space = ", ";
    }
    if (panels->half) {
        put(text, "%sone of 32", space);
        space = ", ";
    }
    if (panels->quarter)
        put(text, "%sone of 16", space);
    put(text, " columns");
}

static struct split planned_split(const struct lstm_plan *plan)
{
    return plan_split(plan, plan->problem.items, plan->problem.steps);
}

static const struct layer_cost *cost_of(const struct plan_op *op)
{
    return &op->plan->costs[op->layer->index];
}

static double step_ns(const struct plan_op *op)
{
    const struct lstm_plan *plan = op->plan;
    return cost_layer(&plan->machine, cost_of(op), plan->problem.items, plan->problem.steps,
                      planned_split(plan)) /
           (double)plan->problem.steps;
}

/* ---- threads ------------------------------------------------------------------------ */

static const char *mode_text(enum split_mode mode)
{
    return mode == SPLIT_TEAM    ? "parts of each layer"
           : mode == SPLIT_ITEMS ? "shares of the items, by OpenMP"
                                 : "shares of the items";
}

static double total_ns(const struct lstm_plan *plan, struct split split)
{
    return cost_model(&plan->machine, plan->costs, plan->n_ops, plan->problem.items,
                      plan->problem.steps, split) /
           (double)plan->problem.steps;
}

static void put_rejected_split(struct text *text, const struct lstm_plan *plan,
                               struct split split, struct split chosen)
{
    const bool same = split_of_items(split.mode) && split_of_items(chosen.mode);
    put(text, "         rejected %u threads on %s: ", (unsigned)split.threads,
        mode_text(split.mode));
    if (split_of_items(split.mode) && split.threads > plan->problem.items) {
        put(text, "there %s only %zu\n", plan->problem.items == 1 ? "is" : "are",
            plan->problem.items);
        return;
    }
    if (split.threads > plan->machine.cores) {
        put(text, "there are only %u cores\n", (unsigned)plan->machine.cores);
        return;
    }
    put(text, "estimate ");
    put_ns(text, total_ns(plan, split));
    put(text, " a step, against ");
    put_ns(text, total_ns(plan, chosen));
    put(text, plan->split_forced && !same ? ": the caller forced another\n"
              : total_ns(plan, split) < total_ns(plan, chosen) ? ": too small a gain to be sure of\n"
                                                               : "\n");
}

/* A team that sleeps is woken for a run that gains enough by it, else only when runs follow
 * each other at once. */
static bool only_awake(const struct lstm_plan *plan, struct split chosen)
{
    const double gain = total_ns(plan, (struct split){SPLIT_NONE, 1}) - total_ns(plan, chosen);
    return (chosen.mode == SPLIT_OWN_ITEMS || chosen.mode == SPLIT_TEAM) && !plan->split_forced &&
           !team_is_woken_for(gain * (double)plan->problem.steps, plan->machine.wake_ns);
}

static void put_threads(struct text *text, const struct lstm_plan *plan)
{
    const struct split chosen = planned_split(plan);
    const uint32_t most = plan->problem.threads;
    put(text, "threads  %u of at most %u", (unsigned)chosen.threads, (unsigned)most);
    if (only_awake(plan, chosen))
        put(text, " when calls come back to back, else 1");
    if (chosen.mode != SPLIT_NONE)
        put(text, ", on %s", mode_text(chosen.mode));
    if (plan->split_forced)
        put(text, ", split forced by the caller");
    put(text, ": estimate ");
    put_ns(text, total_ns(plan, chosen));
    put(text, " a step\n");
    if (most > 1 && chosen.mode != SPLIT_NONE)
        put(text, "         one thread: estimate "),
            put_ns(text, total_ns(plan, (struct split){SPLIT_NONE, 1})), put(text, " a step\n");
    const uint32_t other = chosen.threads > 1 ? chosen.threads
                           : most < plan->machine.cores ? most
                                                        : plan->machine.cores;
    for (int mode = SPLIT_ITEMS; other > 1 && mode <= SPLIT_TEAM; mode++)
        if ((enum split_mode)mode != chosen.mode)
            put_rejected_split(text, plan, (struct split){(enum split_mode)mode, other}, chosen);
}

/* ---- instruction sets ------------------------------------------------------------------ */

static void put_isas(struct text *text, const struct lstm_plan *plan, uint32_t cpu_bits)
{
    size_t n;
    const struct simd_isa *const *all = simd_all(&n);
    bool above = true;
    put(text, "isa      %s\n", plan->isa->name);
    for (size_t i = 0; i < n; i++) {
        if (all[i] == plan->isa) {
            above = false;
            continue;
        }
        put(text, "         rejected %s: %s\n", all[i]->name,
            (all[i]->needs & cpu_bits) != all[i]->needs ? "this CPU lacks it"
            : above                                     ? "above the limit that was asked for"
                                                        : "narrower");
    }
}

/* ---- layers ---------------------------------------------------------------------------- */

static void put_value(struct text *text, const struct model_value *value)
{
    for (uint32_t i = 0; i < value->rank; i++)
        put(text, "[%u]", (unsigned)value->dims[i]);
}

static void put_head(struct text *text, const struct plan_op *op)
{
    const struct layer *layer = op->layer;
    char detail[96] = "";
    put(text, "layer %-3u%s", (unsigned)layer->index, layer->type->name);
    if (layer->spec.name.n_bytes)
        put(text, " \"%s\"", layer->spec.name.text);
    put(text, " ");
    put_value(text, &layer->in);
    put(text, " to ");
    put_value(text, &layer->out);
    if (layer->type->describe)
        layer->type->describe(layer, detail, sizeof detail);
    if (detail[0])
        put(text, ", %s", detail);
    put(text, "\n");
}

static void put_rejected_methods(struct text *text, const struct plan_op *op)
{
    size_t n;
    const struct recurrent_method *const *all = recurrent_methods(&n);
    for (size_t i = 0; i < n; i++) {
        const char *reason = all[i]->reject(op->plan, op->layer);
        if (all[i] == op->u.recurrent.method)
            continue;
        if (!reason)
            reason = strcmp(all[i]->backend, op->plan->backend) ? "another backend was asked for"
                                                                : all[i]->behind;
        put(text, "         rejected %s, %s: %s\n", all[i]->kernel(op->plan), all[i]->how, reason);
    }
}

static void put_recurrent(struct text *text, const struct plan_op *op)
{
    const struct recurrent_op *rec = &op->u.recurrent;
    const struct lstm_plan *plan = op->plan;
    const struct layer_cost *cost = cost_of(op);
    const struct split split = planned_split(plan);
    size_t items = plan->problem.items;
    if (split_of_items(split.mode))
        items = (items + split.threads - 1) / split.threads;
    put(text, "         problem  %s-t%zun%zuc%zuh%u%s\n", op->layer->type->name,
        plan->problem.steps, plan->problem.items, rec->n_x, (unsigned)rec->hidden,
        rec->n_directions == 2 ? "b" : "");
    put(text, "         step     %s, %s\n", rec->method->kernel(plan), rec->method->how);
    put(text, "         packing  ");
    put_panels(text, &rec->direction[0].x.panels);
    put(text, "\n         weights  ");
    put_set(text, plan, cost->weight_bytes_h);
    put(text, " (recurrent), ");
    put_set(text, plan, cost->weight_bytes_x);
    put(text, " (input)%s\n", rec->n_directions == 2 ? ", for each direction" : "");
    const size_t ahead = choose_hoist(items, plan->problem.steps, rec->hoist_tile);
    if (ahead)
        put(text, "         input    %s, %zu steps ahead\n", plan->gemm->name, ahead);
    else
        put(text, "         input    with each step%s\n",
            rec->hoist_tile && items >= rec->hoist_tile ? ": the items fill a tile" : "");
    put_rejected_methods(text, op);
}

static void put_dense(struct text *text, const struct plan_op *op)
{
    const struct dense_op *dense = &op->u.dense;
    if (dense->rows) {
        put(text, "         product  16-lane sums: few outputs\n");
        return;
    }
    put(text, "         product  %s, ", op->plan->gemm->name);
    put_panels(text, &dense->matrix.panels);
    put(text, ", ");
    put_set(text, op->plan, (double)op->packed_bytes);
    put(text, "\n");
}

static void put_conv(struct text *text, const struct plan_op *op)
{
    const struct conv_op *conv = &op->u.conv;
    if (conv->by_tap) {
        put(text, "         product  %zu taps, all channels at once: each has its own, ",
            (size_t)conv->windows.taps);
    } else {
        put(text, "         product  %s, %zu numbers a window, ", op->plan->gemm->name, conv->k);
        put_panels(text, &conv->matrix.panels);
        put(text, conv->groups > 1 ? " for each of %u groups, " : ", ", (unsigned)conv->groups);
    }
    put_set(text, op->plan, (double)op->packed_bytes);
    put(text, "\n");
}

static void put_op(struct text *text, const struct plan_op *op)
{
    put_head(text, op);
    if (op->layer->type->family == LAYER_RECURRENT)
        put_recurrent(text, op);
    else if (op->layer->spec.type == MODEL_DENSE)
        put_dense(text, op);
    else if (op->layer->spec.type == MODEL_CONV1D || op->layer->spec.type == MODEL_TEMPORAL_CONV)
        put_conv(text, op);
    put(text, "         estimate ");
    put_ns(text, step_ns(op));
    put(text, " a step\n");
}

bool plan_write_text(struct lstm_plan *plan)
{
    const struct simd_cpu *cpu = &plan->cpu;
    struct text text = {0};
    put(&text, "problem  %zu item%s of %zu step%s, f32, exact\n", plan->problem.items,
        plan->problem.items == 1 ? "" : "s", plan->problem.steps,
        plan->problem.steps == 1 ? "" : "s");
    put(&text, "machine  %s, %u core%s, L1 ", cpu->name, (unsigned)cpu->cores,
        cpu->cores == 1 ? "" : "s");
    put_bytes(&text, (double)cpu->l1d);
    put(&text, ", L2 ");
    put_bytes(&text, (double)cpu->l2);
    put(&text, ", L3 ");
    put_bytes(&text, (double)cpu->l3);
    put(&text, "\n");
    put_isas(&text, plan, cpu->bits);
    put(&text, "backend  %s\n", plan->backend);
    put_threads(&text, plan);
    for (uint32_t i = 0; i < plan->n_ops; i++)
        put_op(&text, &plan->ops[i]);
    put(&text, "memory   ");
    put_bytes(&text, (double)plan->packed_bytes);
    put(&text, " packed weights, ");
    put_bytes(&text, (double)lstm_workspace_bytes(plan, plan->problem.items, plan->problem.steps));
    put(&text, " workspace, ");
    put_bytes(&text, (double)lstm_stream_bytes(plan->model));
    put(&text, " for each stream\n");
    if (text.failed) {
        free(text.bytes);
        return false;
    }
    plan->text = text.bytes;
    return true;
}
