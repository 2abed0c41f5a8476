/* SPDX-License-Identifier: MIT
 *
 * Model files of audio plugins are JSON: parsing them within bounds, and taking names,
 * counts and arrays of weights out of them, with the place of what is wrong.
 */
#ifndef LSTMRUN_FORMATS_AUDIO_JSON_H
#define LSTMRUN_FORMATS_AUDIO_JSON_H

#include <jansson.h>

#include "formats/import.h"

/* What an import reads from and where it complains. */
struct audio_file {
    const struct import_source *source;
    struct import_error *error;
    json_t *root; /* an object */
};

/* Whether the bytes look like a JSON object with that key, as it would be written without
 * escapes, or (with `ending`) one that ends so. Nothing is parsed or allocated. */
bool audio_json_has_key(const uint8_t *bytes, size_t n_bytes, const char *key, bool ending);

/* False: refused, or out of memory. The caller ends the file after success only. */
bool audio_file_open(struct audio_file *file, const struct import_source *source, struct import_error *error);
void audio_file_close(struct audio_file *file);

/* The import of a file that `build` makes a model of. */
bool audio_import(const struct import_source *source, struct model_builder *builder,
                  struct import_error *error,
                  bool (*build)(const struct audio_file *file, struct model_builder *builder));

/* All below return false (or NULL) after a failure, with a sentence in file->error. `place`
 * is that of `object`, "" for the file itself; "layers[2]" and the like else. */

/* Refuses keys that are not in the NULL-terminated list. */
bool audio_only_keys(const struct audio_file *file, const json_t *object, const char *place,
                     const char *const *known);

/* Members that must be there and of that type. */
const json_t *audio_object(const struct audio_file *file, const json_t *object, const char *place,
                           const char *key);
const json_t *audio_array(const struct audio_file *file, const json_t *object, const char *place,
                          const char *key);
const char *audio_text(const struct audio_file *file, const json_t *object, const char *place,
                       const char *key);

/* A whole number from `least` to MODEL_MAX_DIM. */
bool audio_count(const struct audio_file *file, const json_t *object, const char *place, const char *key,
                 uint32_t least, uint32_t *out);
/* The same, or `otherwise` where there is no such key. */
bool audio_count_or(const struct audio_file *file, const json_t *object, const char *place, const char *key,
                    uint32_t otherwise, uint32_t *out);

/* An array of numbers in as many levels as `rank` says, each of exactly its size. The caller frees. */
float *audio_numbers(const struct audio_file *file, const json_t *value, const char *place, uint32_t rank,
                     const uint32_t *dims);

#endif
