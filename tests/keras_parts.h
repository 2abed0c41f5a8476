/* SPDX-License-Identifier: MIT
 *
 * Keras models for tests without HDF5 files: a configuration and a list of arrays as
 * text, through the part of the importer that lies behind libhdf5.
 */
#ifndef LSTMRUN_TESTS_KERAS_PARTS_H
#define LSTMRUN_TESTS_KERAS_PARTS_H

#include "formats/keras/hdf5_file.h"
#include "tests/importing.h"

/* `list` has a line for each thing:
 *     array PATH DTYPE DIM DIM…     numbers are made up; DTYPE as in enum hdf5_dtype
 *     text PATH NAME STRING…        an attribute; PATH "." for the root
 * Lines that make no sense, and arrays that are large, are left out. */
bool keras_parts_list(const char *list, size_t n_list, struct hdf5_file *out, char *error);

/* The whole way to a model file, as import_bytes does it. */
void keras_parts_import(const char *config, size_t n_config, const char *list, size_t n_list,
                        const char *version, struct imported *out);

/* The number that an array has at `index`. */
float keras_parts_number(const char *path, size_t index);

#endif
