/* SPDX-License-Identifier: MIT
 *
 * Between the two files that look for tensors in a pickle: dicts (torch_collect.c) and
 * pickled modules (torch_objects.c).
 */
#ifndef LSTMRUN_FORMATS_TORCH_COLLECT_H
#define LSTMRUN_FORMATS_TORCH_COLLECT_H

#include "formats/torch/torch_file.h"

enum { TORCH_MAX_NAME = 500 };

struct torch_names {
    char **texts;
    size_t n;
};

/* The list under construction. */
struct torch_collector {
    struct torch_file *file;
    struct named_tensors *out;
    struct torch_names *names; /* own the texts */
    size_t room;               /* of both */
    uint64_t n_numbers;        /* of all tensors so far */
    size_t n_looked;           /* modules and their attributes, so far */
    struct import_error *error;
};

/* A dict's key as a C string; false: it is no text, too long or not clean. */
bool torch_key_text(const struct pickle_value *key, char *text, size_t n_text);

/* Add a tensor to the list. */
bool torch_collect_tensor(struct torch_collector *work, const char *name, const struct pickle_value *value);

/* Whether the value is an object with tensors in it: an nn.Module or one of TorchScript. */
bool torch_is_module(const struct torch_file *file, const struct pickle_value *value);

/* Its tensors, and what its classes and attributes tell, into work->out->facts. */
bool torch_collect_module(struct torch_collector *work, const struct pickle_value *module);

/* The dict of an object's attributes; NULL: it has none. */
const struct pickle_value *torch_attributes(const struct torch_file *file, const struct pickle_value *value);

/* A module's child by the first name of `path`, whose length is *n_out; NULL: none. */
const struct pickle_value *torch_submodule(const struct torch_file *file, const struct pickle_value *value,
                                           const char *path, size_t *n_out);

#endif
