/* SPDX-License-Identifier: MIT
 *
 * The child process's part of reading an HDF5 file: all use of libhdf5. Nothing is freed
 * and nothing is closed at the end, since the process is; anything odd ends the list with
 * a sentence. See hdf5_file.h.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <hdf5.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/keras/hdf5_file.h"

const bool hdf5_supported = true;

/* The attributes that somebody asks for; others are passed over. A name that ends in '*'
 * stands for all that begin like it. */
static const char *const wanted_texts[] = {"keras_version", "model_config", "layer_names*", "weight_names*",
                                           "name", "dtype", "backend", NULL};

struct child {
    const struct hdf5_job *job;
    FILE *out;
    uint64_t n_numbers, n_text; /* bytes sent */
    size_t n_items;
    unsigned depth;
    char path[HDF5_MAX_PATH];
};

/* ---- sending ------------------------------------------------------------- */

static void put(struct child *child, const void *bytes, size_t n)
{
    if (fwrite(bytes, 1, n, child->out) != n)
        _exit(1);
}

static void put_u32(struct child *child, uint32_t value)
{
    put(child, &value, sizeof value);
}

static void put_string(struct child *child, const char *text)
{
    size_t n = strlen(text) + 1;
    put_u32(child, (uint32_t)n);
    put(child, text, n);
}

_Noreturn static void finish(struct child *child)
{
    _exit(fflush(child->out) == 0 ? 0 : 1);
}

/* End the list with a sentence. */
__attribute__((format(printf, 2, 3)))
_Noreturn static void give_up(struct child *child, const char *format, ...)
{
    char text[HDF5_MESSAGE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_u32(child, HDF5_RECORD_FAILED);
    put_string(child, text);
    finish(child);
}

static void count_item(struct child *child)
{
    if (++child->n_items > HDF5_MAX_ITEMS)
        give_up(child, "the HDF5 file has more than %d groups, arrays and attributes", HDF5_MAX_ITEMS);
}

static void count_text(struct child *child, size_t n)
{
    child->n_text += n + 8;
    if (child->n_text >> 20 >= HDF5_MAX_TEXT_MIB)
        give_up(child, "the attributes of the HDF5 file are more than %d MiB large", HDF5_MAX_TEXT_MIB);
}

/* What the library gives must not be an error code. */
static hid_t sound(struct child *child, hid_t id, const char *what)
{
    if (id < 0)
        give_up(child, "the HDF5 library cannot read %s of '%.200s'", what, child->path);
    return id;
}

/* ---- attributes ---------------------------------------------------------- */

static bool is_wanted(const char *name)
{
    for (const char *const *row = wanted_texts; *row; row++) {
        size_t n = strcspn(*row, "*");
        if (strncmp(name, *row, n) == 0 && ((*row)[n] == '*' || name[n] == '\0'))
            return true;
    }
    return false;
}

/* Strings of any length, each an allocation of the library's. */
static void send_variable(struct child *child, hid_t attribute, hid_t type, size_t n)
{
    char **strings = calloc(n + 1, sizeof *strings);
    hid_t memory = sound(child, H5Tcopy(H5T_C_S1), "a type");
    H5Tset_size(memory, H5T_VARIABLE);
    H5Tset_cset(memory, H5Tget_cset(type));
    if (!strings || H5Aread(attribute, memory, strings) < 0)
        give_up(child, "the HDF5 library cannot read an attribute of '%.200s'", child->path);
    for (size_t i = 0; i < n; i++) {
        const char *text = strings[i] ? strings[i] : "";
        count_text(child, strlen(text));
        put_string(child, text);
    }
}

/* Strings of one length, filled up with NUL or spaces. */
static void send_fixed(struct child *child, hid_t attribute, hid_t type, size_t n)
{
    size_t size = H5Tget_size(type);
    char *bytes;
    if (size == 0 || n > ((size_t)HDF5_MAX_TEXT_MIB << 20) / size)
        give_up(child, "an attribute of '%.200s' is more than %d MiB large", child->path, HDF5_MAX_TEXT_MIB);
    bytes = calloc(n + 1, size + 1);
    if (!bytes || H5Aread(attribute, type, bytes) < 0)
        give_up(child, "the HDF5 library cannot read an attribute of '%.200s'", child->path);
    for (size_t i = 0; i < n; i++) {
        char *text = calloc(1, size + 1);
        if (!text)
            give_up(child, "out of memory");
        memcpy(text, bytes + i * size, size);
        for (size_t end = strlen(text); H5Tget_strpad(type) == H5T_STR_SPACEPAD && end &&
             text[end - 1] == ' ';)
            text[--end] = '\0';
        count_text(child, size);
        put_string(child, text);
        free(text);
    }
}

static void send_attribute(struct child *child, hid_t attribute, const char *name)
{
    hid_t type = sound(child, H5Aget_type(attribute), "an attribute's type");
    hid_t space = sound(child, H5Aget_space(attribute), "an attribute's shape");
    hssize_t n = H5Sget_simple_extent_npoints(space);
    /* numpy writes an empty list of names as floats. */
    if (H5Tget_class(type) != H5T_STRING || n < 0)
        return;
    if (n > HDF5_MAX_ITEMS)
        give_up(child, "attribute '%.100s' of '%.200s' has more than %d strings", name, child->path,
                HDF5_MAX_ITEMS);
    put_u32(child, HDF5_RECORD_TEXT);
    put_string(child, child->path);
    put_string(child, name);
    put_u32(child, (uint32_t)n);
    count_text(child, strlen(child->path) + strlen(name));
    if (H5Tis_variable_str(type) > 0)
        send_variable(child, attribute, type, (size_t)n);
    else
        send_fixed(child, attribute, type, (size_t)n);
}

static herr_t visit_attribute(hid_t object, const char *name, const H5A_info_t *info, void *context)
{
    struct child *child = context;
    (void)info;
    if (!is_wanted(name))
        return 0;
    count_item(child);
    send_attribute(child, sound(child, H5Aopen(object, name, H5P_DEFAULT), "an attribute"), name);
    return 0;
}

static void send_attributes(struct child *child, hid_t object)
{
    if (H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_attribute, child) < 0)
        give_up(child, "the HDF5 library cannot read the attributes of '%.200s'", child->path);
}

/* ---- arrays -------------------------------------------------------------- */

/* Whether the 16-bit float has these fields, little-endian. */
static bool has_fields(hid_t type, size_t exponent_bits, size_t fraction_bits, size_t bias)
{
    size_t sign, exponent, n_exponent, fraction, n_fraction;
    if (H5Tget_order(type) != H5T_ORDER_LE || H5Tget_norm(type) != H5T_NORM_IMPLIED ||
        H5Tget_fields(type, &sign, &exponent, &n_exponent, &fraction, &n_fraction) < 0)
        return false;
    return sign == 15 && n_exponent == exponent_bits && exponent == fraction_bits && fraction == 0 &&
           n_fraction == fraction_bits && H5Tget_ebias(type) == bias;
}

static bool is_bfloat16(hid_t dataset)
{
    char text[16] = "";
    hid_t attribute, type;
    if (H5Aexists(dataset, "dtype") <= 0)
        return false;
    attribute = H5Aopen(dataset, "dtype", H5P_DEFAULT);
    type = attribute < 0 ? -1 : H5Aget_type(attribute);
    if (type < 0 || H5Tget_class(type) != H5T_STRING)
        return false;
    if (H5Tis_variable_str(type) > 0) {
        char *string = NULL;
        if (H5Aread(attribute, type, &string) >= 0 && string)
            snprintf(text, sizeof text, "%s", string);
    } else if (H5Tget_size(type) < sizeof text) {
        H5Aread(attribute, type, text);
    }
    return strcmp(text, "bfloat16") == 0;
}

/* How the numbers of a type are sent; *memory_out is what to read them as. */
static enum hdf5_dtype dtype_of(hid_t dataset, hid_t type, hid_t *memory_out)
{
    H5T_class_t class = H5Tget_class(type);
    size_t size = H5Tget_size(type);
    *memory_out = type;
    if (size == 2 && (class == H5T_FLOAT || class == H5T_OPAQUE || class == H5T_INTEGER) &&
        is_bfloat16(dataset))
        return HDF5_BF16;
    if (class != H5T_FLOAT)
        return HDF5_OTHER;
    if (size == 2 && has_fields(type, 5, 10, 15))
        return HDF5_F16;
    if (size == 2 && has_fields(type, 8, 7, 127))
        return HDF5_BF16;
    if (size == 4)
        *memory_out = H5T_IEEE_F32LE;
    else if (size == 8)
        *memory_out = H5T_IEEE_F64LE;
    return size == 4 ? HDF5_F32 : size == 8 ? HDF5_F64 : HDF5_OTHER;
}

/* Numbers must lie in the file itself. */
static void check_storage(struct child *child, hid_t dataset)
{
    hid_t list = sound(child, H5Dget_create_plist(dataset), "the storage");
    H5D_layout_t layout = H5Pget_layout(list);
    if (H5Pget_external_count(list) != 0)
        give_up(child, "array '%.200s' lies in another file; only numbers in the file itself are read",
                child->path);
    if (layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED && layout != H5D_COMPACT)
        give_up(child, "array '%.200s' is virtual; only numbers in the file itself are read", child->path);
}

static size_t number_size(enum hdf5_dtype dtype)
{
    return dtype == HDF5_F32 ? 4 : dtype == HDF5_F64 ? 8 : dtype == HDF5_OTHER ? 0 : 2;
}

/* Shape of a dataset; returns the number of its elements. */
static uint64_t shape_of(struct child *child, hid_t dataset, uint32_t *rank_out, uint32_t *dims_out)
{
    hid_t space = sound(child, H5Dget_space(dataset), "the shape");
    hsize_t dims[H5S_MAX_RANK] = {0};
    int rank = H5Sget_simple_extent_ndims(space);
    uint64_t count = 1;
    if (rank < 0 || rank > HDF5_MAX_RANK || H5Sget_simple_extent_dims(space, dims, NULL) < 0)
        give_up(child, "array '%.200s' has %d dimensions, expected at most %d", child->path, rank,
                HDF5_MAX_RANK);
    for (int i = 0; i < rank; i++) {
        if (dims[i] > UINT32_MAX || (dims[i] && count > child->job->n_max / dims[i]))
            give_up(child, "array '%.200s' is larger than its file allows", child->path);
        dims_out[i] = (uint32_t)dims[i];
        count *= dims[i];
    }
    if (H5Sget_simple_extent_type(space) == H5S_NULL)
        count = 0, rank = 1, dims_out[0] = 0;
    *rank_out = (uint32_t)rank;
    return count;
}

static void send_array(struct child *child, hid_t dataset)
{
    uint32_t rank, dims[HDF5_MAX_RANK] = {0};
    uint64_t count = shape_of(child, dataset, &rank, dims), n_bytes;
    hid_t memory, type = sound(child, H5Dget_type(dataset), "the type");
    enum hdf5_dtype dtype = dtype_of(dataset, type, &memory);
    void *numbers = NULL;
    check_storage(child, dataset);
    n_bytes = count * number_size(dtype);
    child->n_numbers += n_bytes;
    if (child->n_numbers > child->job->n_max)
        give_up(child, "array '%.200s' is larger than its file allows", child->path);
    if (n_bytes) {
        numbers = malloc((size_t)n_bytes);
        if (!numbers || H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers) < 0)
            give_up(child, "the HDF5 library cannot read the numbers of '%.200s'", child->path);
    }
    put_u32(child, HDF5_RECORD_ARRAY);
    put_string(child, child->path);
    put_u32(child, dtype);
    put_u32(child, rank);
    for (uint32_t i = 0; i < rank; i++)
        put_u32(child, dims[i]);
    put(child, &n_bytes, sizeof n_bytes);
    put(child, numbers, (size_t)n_bytes);
    free(numbers);
}

/* ---- groups -------------------------------------------------------------- */

static bool is_skipped(const struct child *child, const char *name)
{
    for (const char *const *row = child->job->skip; child->depth == 0 && *row; row++)
        if (strcmp(*row, name) == 0)
            return true;
    return false;
}

static void send_group(struct child *child, hid_t group);

static void send_object(struct child *child, hid_t object)
{
    switch (H5Iget_type(object)) {
    case H5I_GROUP:
        if (++child->depth > HDF5_MAX_DEPTH)
            give_up(child, "the HDF5 file has groups more than %d deep", HDF5_MAX_DEPTH);
        send_group(child, object);
        child->depth--;
        break;
    case H5I_DATASET: send_array(child, object); break;
    default: break;
    }
    H5Oclose(object);
}

/* A name as part of a path: Windows' separator may be in it. */
static size_t extend_path(struct child *child, const char *name)
{
    size_t used = strlen(child->path);
    int n = snprintf(child->path + used, sizeof child->path - used, "%s%s", used ? "/" : "", name);
    if (n < 0 || (size_t)n >= sizeof child->path - used) {
        child->path[used] = '\0';
        give_up(child, "a path below '%.200s' is longer than %d bytes", child->path, HDF5_MAX_PATH);
    }
    for (char *at = child->path + used; *at; at++)
        if (*at == '\\')
            *at = '/';
    return used;
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    struct child *child = context;
    size_t used;
    if (is_skipped(child, name))
        return 0;
    count_item(child);
    used = extend_path(child, name);
    if (info->type != H5L_TYPE_HARD)
        give_up(child, "'%.200s' is a soft or external link; only what lies in the file itself is read",
                child->path);
    send_object(child, sound(child, H5Oopen(group, name, H5P_DEFAULT), "the object"));
    child->path[used] = '\0';
    return 0;
}

static void send_group(struct child *child, hid_t group)
{
    send_attributes(child, group);
    if (H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_link, child) < 0)
        give_up(child, "the HDF5 library cannot list the group '%.200s'", child->path);
}

/* ---- the file ------------------------------------------------------------ */

/* The file from memory; no plugin and no other file is ever opened. */
static hid_t open_image(struct child *child)
{
    hid_t access = sound(child, H5Pcreate(H5P_FILE_ACCESS), "anything");
    hid_t file;
    H5PLset_loading_state(0);
    H5Pset_fapl_core(access, (size_t)1 << 16, 0);
    /* The library copies what it is given and does not write to it. */
    if (H5Pset_file_image(access, (void *)(uintptr_t)child->job->bytes, child->job->n_bytes) < 0)
        give_up(child, "the HDF5 library has no memory for the file");
    file = H5Fopen("lstmconvert-image.h5", H5F_ACC_RDONLY, access);
    if (file < 0)
        give_up(child, "is no HDF5 file that the library can open: damaged or cut short");
    return file;
}

_Noreturn void hdf5_child_run(const struct hdf5_job *job, int fd)
{
    struct child *child = calloc(1, sizeof *child);
    hid_t root;
    if (!child || !(child->out = fdopen(fd, "wb")))
        _exit(1);
    child->job = job;
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    root = sound(child, H5Gopen2(open_image(child), "/", H5P_DEFAULT), "the root");
    send_group(child, root);
    put_u32(child, HDF5_RECORD_END);
    finish(child);
}
