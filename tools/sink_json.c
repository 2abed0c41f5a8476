/* SPDX-License-Identifier: MIT
 *
 * JSON output: {"model": …, "labels": […], "output": […]}, where "output" has the
 * shape that .npy would have. Frame by frame, so that it may be longer than memory.
 */
#include "tools/sink.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/say.h"

/* JSON has no infinities and no NaN; they become null. */
static json_t *number(float value)
{
    return isfinite(value) ? json_real((double)value) : json_null();
}

/* The numbers of a frame, or of a part of it, as nested arrays; moves *at on. */
static json_t *nested(const uint32_t *dims, uint32_t rank, const float **at)
{
    if (rank == 0)
        return number(*(*at)++);
    json_t *array = json_array();
    for (uint32_t i = 0; array && i < dims[0]; i++) {
        if (json_array_append_new(array, nested(dims + 1, rank - 1, at)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* 9 digits tell any two f32 apart. */
static bool dump(struct sink *sink, json_t *value)
{
    size_t flags = JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9);
    char *text = value ? json_dumps(value, flags) : NULL;
    json_decref(value);
    if (!text)
        return complain("%s: out of memory, or a name that is no UTF-8", sink->name);
    fputs(text, sink->file);
    free(text);
    return true;
}

static json_t *split_labels(const char *labels)
{
    json_t *array = json_array();
    for (const char *at = labels; array && *at;) {
        size_t n = strcspn(at, "\n");
        json_array_append_new(array, json_stringn(at, n));
        at += n + (at[n] == '\n');
    }
    return array;
}

static bool begin(struct sink *sink)
{
    fputs("{\"model\": ", sink->file);
    /* A file name need not be UTF-8; then it is left out. */
    json_t *model = json_string(sink->setup.model);
    if (!dump(sink, model ? model : json_null()))
        return false;
    if (sink->setup.labels) {
        fputs(",\n \"labels\": ", sink->file);
        if (!dump(sink, split_labels(sink->setup.labels)))
            return false;
    }
    fputs(",\n \"output\": ", sink->file);
    fputs(sink->setup.batch ? "[" : "", sink->file);
    fputs(sink->setup.once ? "" : "[", sink->file);
    return true;
}

static bool frames(struct sink *sink, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float *at = values + i * sink->setup.frame.size;
        if (sink->item_frames + i > 0)
            fputs(",", sink->file);
        if (!sink->setup.once || sink->setup.batch)
            fputs("\n  ", sink->file);
        if (!dump(sink, nested(sink->setup.frame.dims, sink->setup.frame.rank, &at)))
            return false;
    }
    return true;
}

static bool next_item(struct sink *sink)
{
    fputs(sink->setup.once ? "," : "],\n [", sink->file);
    return true;
}

static bool end(struct sink *sink)
{
    fputs(sink->setup.batch ? "]" : "", sink->file);
    fputs(sink->setup.once ? "" : "]", sink->file);
    fputs("}\n", sink->file);
    return true;
}

static void release(struct sink *sink)
{
    (void)sink;
}

const struct sink_format sink_format_json = {
    "json", {"json", NULL}, false, begin, frames, next_item, end, release};
