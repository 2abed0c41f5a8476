/* SPDX-License-Identifier: MIT
 *
 * lstmrun --info, see info.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "tools/info.h"

#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "formats/mapfile.h"
#include "formats/model_file.h"
#include "tools/graph.h"

enum { SHAPE_TEXT = 48, VALUE_SHOWN = 100 };

/* `first` names what there are several frames of; "": there is one. */
static const char *shape_text(const lstm_shape *shape, const char *first, char text[SHAPE_TEXT])
{
    size_t used = (size_t)snprintf(text, SHAPE_TEXT, "[%s", first);
    for (uint32_t i = 0; i < shape->rank; i++)
        used += (size_t)snprintf(text + used, SHAPE_TEXT - used, i || *first ? ", %u" : "%u", shape->dims[i]);
    snprintf(text + used, SHAPE_TEXT - used, "]");
    return text;
}

static const char *bytes_text(double bytes, char text[SHAPE_TEXT])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB"};
    size_t unit = 0;
    for (; unit < 3 && bytes >= 1024; unit++)
        bytes /= 1024;
    snprintf(text, SHAPE_TEXT, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

/* Names of the values read: 0 is the model's input, i + 1 the output of layer i. */
static void print_inputs(const lstm_layer_info *layer)
{
    for (uint32_t k = 0; k < layer->n_inputs; k++) {
        if (layer->inputs[k] == 0)
            printf("%sinput", k ? ", " : "");
        else
            printf("%s%u", k ? ", " : "", layer->inputs[k] - 1);
    }
}

/* Only a layer that does not simply read the one before needs to say what it reads. */
static bool reads_previous(const lstm_layer_info *layer, uint32_t index)
{
    return layer->n_inputs == 1 && layer->inputs[0] == index;
}

static void print_layers(const struct session *session)
{
    char shape[SHAPE_TEXT];
    printf("\n%5s  %-13s %-24s %12s  %s\n", "layer", "type", "output", "parameters", "details");
    for (uint32_t i = 0; i < session->info->n_layers; i++) {
        lstm_layer_info layer;
        if (lstm_model_get_layer(session->model, i, &layer) != LSTM_OK)
            continue;
        printf("%5u  %-13s %-24s %12" PRIu64 "  %s", i, layer.type,
               shape_text(&layer.output, layer.output_once ? "" : "steps", shape), layer.n_parameters,
               layer.name);
        if (layer.detail[0])
            printf("%s%s", layer.name[0] ? "; " : "", layer.detail);
        if (!reads_previous(&layer, i)) {
            fputs(layer.name[0] || layer.detail[0] ? "; reads " : "reads ", stdout);
            print_inputs(&layer);
        }
        fputc('\n', stdout);
    }
}

/* Lists (labels) on one line, and what a terminal could take for a command left out. */
static void print_value(const char *value)
{
    size_t shown = 0;
    for (; value[shown] && shown < VALUE_SHOWN; shown++) {
        unsigned char c = (unsigned char)value[shown];
        if (c == '\n')
            fputs(", ", stdout);
        else
            putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
    /* Not in the middle of a UTF-8 character. */
    while (((unsigned char)value[shown] & 0xc0) == 0x80)
        putchar(value[shown++]);
    puts(value[shown] ? " ..." : "");
}

static void print_metadata(const struct session *session)
{
    if (session->info->n_metadata)
        puts("\nmetadata");
    for (uint32_t i = 0; i < session->info->n_metadata; i++) {
        const char *key, *value;
        if (lstm_model_get_metadata(session->model, i, &key, &value) != LSTM_OK)
            continue;
        printf("  %-16s ", key);
        print_value(value);
    }
}

/* A terminal whose locale is UTF-8; pipes and files get ASCII. */
static bool knows_boxes(void)
{
    return isatty(STDOUT_FILENO) && setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* Which value is the output only the file says; it was open a moment ago. */
static void print_graph(const struct session *session)
{
    struct mapfile file;
    struct model_view view;
    struct format_error error;
    char reason[160];
    if (!mapfile_open(session->args->model, &file, reason, sizeof reason))
        return;
    if (model_read(file.bytes, file.n_bytes, &view, &error) && view.n_layers == session->info->n_layers) {
        puts("\ngraph");
        graph_print(session->model, view.output, knows_boxes());
    }
    mapfile_close(&file);
}

/* What stands right behind the input and changes its scale. */
static void print_normalisation(const struct session *session)
{
    for (uint32_t i = 0; i < session->info->n_layers; i++) {
        lstm_layer_info layer;
        if (lstm_model_get_layer(session->model, i, &layer) != LSTM_OK || strcmp(layer.type, "scale") != 0 ||
            layer.inputs[0] != 0)
            continue;
        printf("%-11s layer %u: x * scale + shift\n", "normalised", i);
        return;
    }
}

/* Whether a run makes another number of frames than it has steps. */
static bool repaces(const lstm_model_info *info)
{
    return info->output_after != 1 || info->output_every != 1;
}

static void print_steps(const lstm_model_info *info)
{
    const size_t after = info->output_after, every = info->output_every;
    if (info->least_steps == 1 && !repaces(info))
        return;
    printf("%-11s ", "steps");
    if (after > 1 && every > 1)
        printf("(steps - %zu) / %zu + 1 come out, rounded down", after, every);
    else if (every > 1)
        printf("steps / %zu come out, rounded up", every);
    else if (after > 1)
        printf("steps - %zu come out", after - 1);
    if (info->least_steps > 1)
        printf("%sat least %zu go in", repaces(info) ? "; " : "", info->least_steps);
    putchar('\n');
}

void info_print(const struct session *session)
{
    const lstm_model_info *info = session->info;
    char text[SHAPE_TEXT];
    size_t reference_steps;
    const float *reference[2];
    lstm_model_get_reference(session->model, &reference_steps, &reference[0], &reference[1]);
    printf("%-11s %s\n", "model", session->args->model);
    printf("%-11s %s\n", "input", shape_text(&info->input, "steps", text));
    print_normalisation(session);
    const char *frames = info->output_once ? "" : repaces(info) ? "output steps" : "steps";
    printf("%-11s %s\n", "output", shape_text(&info->output, frames, text));
    print_steps(info);
    printf("%-11s %s\n", "streams",
           info->streams ? "yes: may run in pieces of any length, with the same result"
                         : "no: needs whole sequences");
    printf("%-11s %" PRIu64 " numbers, %s\n", "parameters", info->n_parameters,
           bytes_text((double)info->weight_bytes, text));
    printf("%-11s %zu numbers, %s a stream\n", "state", info->state_floats,
           bytes_text((double)lstm_stream_bytes(session->model), text));
    printf("%-11s %" PRIu64 " operations a step\n", "work", info->flops_per_step);
    if (reference_steps)
        printf("%-11s %zu steps for self-tests\n", "reference", reference_steps);
    print_layers(session);
    print_graph(session);
    print_metadata(session);
}
