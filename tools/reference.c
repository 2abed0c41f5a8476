/* SPDX-License-Identifier: MIT
 *
 * Loading reference vectors, see reference.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "tools/reference.h"

#include <stdlib.h>
#include <string.h>

#include "formats/npy.h"
#include "formats/npz.h"
#include "tools/input_map.h"
#include "tools/say.h"

static const char *const state_names[REFERENCE_STATES] = {
    [REFERENCE_H0] = "h0", [REFERENCE_C0] = "c0", [REFERENCE_HN] = "hn", [REFERENCE_CN] = "cn"};

static bool has_array(const struct npz *npz, const char *name)
{
    for (size_t i = 0; i < npz_count(npz); i++)
        if (strcmp(npz_name(npz, i), name) == 0)
            return true;
    return false;
}

static bool is_known_array(const char *name)
{
    for (unsigned i = 0; i < REFERENCE_STATES; i++)
        if (strcmp(name, state_names[i]) == 0)
            return true;
    return strcmp(name, "input") == 0 || strcmp(name, "output") == 0;
}

static bool check_arrays(const char *path, const struct npz *npz)
{
    for (size_t i = 0; i < npz_count(npz); i++)
        if (!is_known_array(npz_name(npz, i)))
            return complain("%s: array '%s' means nothing here; known are input, output, h0, c0, hn "
                            "and cn", path, npz_name(npz, i));
    return true;
}

static bool read_arrays(const char *path, struct npz *npz, struct reference *out)
{
    struct io_error error;
    bool good = check_arrays(path, npz);
    if (good && !(npz_read(npz, "input", &out->input, &error) &&
                  npz_read(npz, "output", &out->output, &error)))
        return complain("%s: %s", path, error.text);
    for (unsigned i = 0; good && i < REFERENCE_STATES; i++) {
        out->has_state[i] = has_array(npz, state_names[i]);
        if (out->has_state[i] && !npz_read(npz, state_names[i], &out->states[i], &error))
            return complain("%s: %s", path, error.text);
    }
    return good;
}

static bool load_npz(const char *path, struct reference *out)
{
    struct mapfile file;
    struct io_error error;
    struct npz *npz;
    bool good;
    if (!input_map(path, &file))
        return false;
    if (!npz_open(file.bytes, file.n_bytes, &npz, &error))
        return input_unmap(&file, complain("%s: %s", path, error.text));
    good = read_arrays(path, npz, out);
    npz_close(npz);
    return input_unmap(&file, good);
}

static bool load_npy(const char *path, struct tensor *out)
{
    struct mapfile file;
    struct io_error error;
    bool good;
    if (!input_map(path, &file))
        return false;
    good = npy_read(file.bytes, file.n_bytes, out, &error) || complain("%s: %s", path, error.text);
    return input_unmap(&file, good);
}

/* "IN.npy,OUT.npy" */
static bool load_pair(const char *text, const char *comma, struct reference *out)
{
    char *input = strdup(text);
    bool good = input || complain("%s: out of memory", text);
    if (good) {
        input[comma - text] = '\0';
        good = load_npy(input, &out->input) && load_npy(comma + 1, &out->output);
    }
    free(input);
    return good;
}

bool reference_load(const char *text, struct reference *out)
{
    const char *comma = strstr(text, ".npy,");
    bool good;
    memset(out, 0, sizeof *out);
    out->name = text;
    good = comma ? load_pair(text, comma + 4, out) : load_npz(text, out);
    if (!good)
        reference_free(out);
    return good;
}

static bool copy_frames(const float *frames, size_t steps, size_t size, struct tensor *out)
{
    out->rank = 2;
    out->dims[0] = steps;
    out->dims[1] = size;
    out->count = steps * size;
    out->data = malloc(out->count * sizeof *out->data);
    if (out->data)
        memcpy(out->data, frames, out->count * sizeof *out->data);
    return out->data != NULL;
}

bool reference_of_model(const lstm_model *model, const char *name, struct reference *out)
{
    const lstm_model_info *info = lstm_model_get_info(model);
    const float *input, *output;
    size_t steps;
    memset(out, 0, sizeof *out);
    out->name = name;
    lstm_model_get_reference(model, &steps, &input, &output);
    if (steps == 0)
        return complain("%s: no reference vectors are stored in it; give --verify a .npz file, or convert "
                        "with --keep-reference", name);
    if (copy_frames(input, steps, info->input.size, &out->input) &&
        copy_frames(output, lstm_model_get_output_steps(model, steps), info->output.size, &out->output))
        return true;
    reference_free(out);
    return complain("%s: out of memory", name);
}

void reference_free(struct reference *reference)
{
    tensor_free(&reference->input);
    tensor_free(&reference->output);
    for (unsigned i = 0; i < REFERENCE_STATES; i++)
        tensor_free(&reference->states[i]);
}
