/* SPDX-License-Identifier: MIT
 *
 * ONNX files in tests: the seeds that frameworks/make_onnx_seeds.py writes, as bytes and as messages
 * that a test edits and packs again.
 */
#ifndef LSTMRUN_TESTS_ONNX_FILES_H
#define LSTMRUN_TESTS_ONNX_FILES_H

#include "onnx.pb-c.h"
#include "tests/importing.h"

struct file {
    uint8_t *bytes;
    size_t n_bytes;
};

/* All of these end the test where they cannot. */
struct file read_seed(const char *name);
Onnx__ModelProto *unpack_seed(const char *name);
struct file pack(const Onnx__ModelProto *model);
struct imported import_seed(const char *name, const char *spec);
Onnx__TensorProto *find_tensor(Onnx__ModelProto *model, const char *name);
Onnx__NodeProto *find_output(Onnx__ModelProto *model, const char *output);
/* Strings of unpacked messages are on the heap. */
void rename_to(char **text, const char *to);
void expect_types(const struct imported *imported, uint32_t n, const uint32_t *types);
/* Number k of a tensor in make_onnx_seeds.py. */
float seed_number(size_t k);

#endif
