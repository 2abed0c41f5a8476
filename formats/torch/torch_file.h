/* SPDX-License-Identifier: MIT
 *
 * Files of torch.save and torch.jit.save: a pickle, and beside it the storages that its
 * tensors lie in. Also plain pickles, whose arrays are NumPy's and lie in the pickle.
 */
#ifndef LSTMRUN_FORMATS_TORCH_FILE_H
#define LSTMRUN_FORMATS_TORCH_FILE_H

#include "formats/archive.h"
#include "formats/import.h"
#include "formats/named_tensors.h"
#include "formats/torch/pickle.h"

enum torch_form {
    TORCH_ZIP,    /* torch.save since 1.6 */
    TORCH_SCRIPT, /* torch.jit.save */
    TORCH_LEGACY, /* torch.save before */
    TORCH_PICKLE, /* pickle.dump */
};

struct torch_file {
    enum torch_form form;
    const uint8_t *bytes;
    size_t n_bytes;
    struct pickle pickle;
    uint8_t **decoded; /* by value: bytes that old pickles keep as text; or NULL */

    /* zip */
    struct archive *archive;
    struct archive_bytes data;      /* of data.pkl */
    struct archive_bytes *unpacked; /* by entry */
    char prefix[300];               /* "NAME/" before each entry's name */

    /* legacy */
    json_t *places; /* storage key → [offset, bytes] of its data in the file */
};

bool torch_file_recognise(const uint8_t *bytes, size_t n_bytes);

/* Whether the bytes are a pickle of a binary protocol. */
bool torch_file_recognise_pickle(const uint8_t *bytes, size_t n_bytes);

/* `bytes` stay until torch_file_close, which is due after a failure too. */
bool torch_file_open(const uint8_t *bytes, size_t n_bytes, struct torch_file *out,
                     struct import_error *error);
void torch_file_close(struct torch_file *file);

/* Elements somewhere in the file. */
struct torch_storage {
    const uint8_t *data;
    enum named_dtype dtype;
    bool untyped;     /* of bytes, whatever the tensor makes of them; dtype means nothing */
    uint64_t n_bytes;
};

/* The storage that a PICKLE_PERSISTENT value stands for; `tensor` is for messages. */
bool torch_file_storage(struct torch_file *file, const struct pickle_value *value, const char *tensor,
                        struct torch_storage *out, struct import_error *error);

/* The bytes of a value: PICKLE_BYTES, or what protocol 2 makes of them, a call of
 * codecs.encode(text, "latin1"); or a text of Python 2. */
bool torch_file_bytes(struct torch_file *file, const struct pickle_value *value, const char *tensor,
                      struct pickle_bytes *out, struct import_error *error);

/* Whether the value stands for a tensor or an array. */
bool torch_is_tensor(const struct torch_file *file, const struct pickle_value *value);

/* The tensor that a value stands for, but for its name, which is given. */
bool torch_tensor_of(struct torch_file *file, const struct pickle_value *value, const char *name,
                     struct named_tensor *out, struct import_error *error);

/* Tensors and facts under `key` ("a.b"; NULL: found by itself), named as in a state_dict.
 * `out` is for named_tensors_free; its data are the file's. */
bool torch_collect(struct torch_file *file, const char *key, struct named_tensors *out,
                   struct import_error *error);

#endif
