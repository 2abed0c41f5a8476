/* SPDX-License-Identifier: MIT
 *
 * The table of layers, see summary.h.
 */
#include "tools/summary.h"

#include <stdio.h>
#include <string.h>

#include "formats/tensor.h"

const char *summary_count(unsigned long long count, char text[SUMMARY_COUNT_TEXT])
{
    char digits[SUMMARY_COUNT_TEXT];
    int n = snprintf(digits, sizeof digits, "%llu", count), used = 0;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

static const char *shape_text(const lstm_shape *shape, char *text)
{
    size_t dims[LSTM_MAX_RANK];
    for (uint32_t i = 0; i < shape->rank; i++)
        dims[i] = shape->dims[i];
    return tensor_shape_text(shape->rank, dims, text);
}

/* Inputs are told only where they are not just the layer before. */
static void print_inputs(const lstm_layer_info *layer, uint32_t index)
{
    if (layer->n_inputs == 1 && layer->inputs[0] == index)
        return;
    printf("  reads");
    for (uint32_t i = 0; i < layer->n_inputs; i++) {
        if (layer->inputs[i] == 0)
            printf("%s the input", i ? "," : "");
        else
            printf("%s layer %u", i ? "," : "", layer->inputs[i] - 1);
    }
}

static void print_layer(const lstm_model *model, uint32_t index)
{
    char shape[TENSOR_SHAPE_TEXT], count[SUMMARY_COUNT_TEXT];
    lstm_layer_info layer;
    if (lstm_model_get_layer(model, index, &layer) != LSTM_OK)
        return;
    printf("  %5u  %-10s  %-24s  %-10s  %12s", index, layer.type, layer.name,
           shape_text(&layer.output, shape), summary_count(layer.n_parameters, count));
    if (layer.detail[0])
        printf("  %s", layer.detail);
    print_inputs(&layer, index);
    printf("\n");
}

void summary_print(const lstm_model *model)
{
    const lstm_model_info *info = lstm_model_get_info(model);
    char shape[TENSOR_SHAPE_TEXT], count[SUMMARY_COUNT_TEXT];
    printf("  input %s a step\n", shape_text(&info->input, shape));
    printf("  layer  type        name                      output        parameters\n");
    for (uint32_t i = 0; i < info->n_layers; i++)
        print_layer(model, i);
    printf("  output %s %s; %s parameters; ", shape_text(&info->output, shape),
           info->output_once ? "a run" : "a step", summary_count(info->n_parameters, count));
    printf("%s\n", info->streams ? "can run frame by frame" : "needs whole sequences");
}
