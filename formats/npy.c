/* SPDX-License-Identifier: MIT
 *
 * .npy: the magic, a version, the length of a Python dictionary in text, the
 * dictionary ('descr', 'fortran_order', 'shape'), then the elements. See npy.h.
 */
#include "formats/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the dictionary ------------------------------------------------------ */

struct cursor {
    const char *text; /* the whole header text, not terminated */
    size_t at, end;
    struct io_error *error;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && strchr(" \t\r\n", c->text[c->at]) && c->text[c->at])
        c->at++;
}

static bool take(struct cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || c->text[c->at] != wanted)
        return false;
    c->at++;
    return true;
}

static bool expect(struct cursor *c, char wanted)
{
    return take(c, wanted) || io_fail(c->error, "npy header: expected '%c' at character %zu", wanted, c->at);
}

/* A quoted word without escapes: `start` and `n` bound it inside the header. */
static bool take_word(struct cursor *c, const char **start, size_t *n)
{
    skip_space(c);
    if (c->at == c->end || (c->text[c->at] != '\'' && c->text[c->at] != '"'))
        return io_fail(c->error, "npy header: expected a quoted word at character %zu", c->at);
    char quote = c->text[c->at++];
    size_t first = c->at;
    while (c->at < c->end && c->text[c->at] != quote)
        c->at++;
    if (c->at == c->end)
        return io_fail(c->error, "npy header: the word at character %zu does not end", first);
    *start = c->text + first;
    *n = c->at++ - first;
    return true;
}

static bool same(const char *start, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(start, word, n) == 0;
}

static bool read_order(struct cursor *c, struct npy_header *header)
{
    skip_space(c);
    size_t left = c->end - c->at;
    if (left >= 4 && memcmp(c->text + c->at, "True", 4) == 0) {
        header->fortran = true;
        c->at += 4;
        return true;
    }
    if (left >= 5 && memcmp(c->text + c->at, "False", 5) == 0) {
        header->fortran = false;
        c->at += 5;
        return true;
    }
    return io_fail(c->error, "npy header: fortran_order must be True or False");
}

static bool read_dim(struct cursor *c, size_t *dim)
{
    skip_space(c);
    size_t first = c->at;
    *dim = 0;
    for (; c->at < c->end && c->text[c->at] >= '0' && c->text[c->at] <= '9'; c->at++) {
        size_t digit = (size_t)(c->text[c->at] - '0');
        if (*dim > (SIZE_MAX - digit) / 10)
            return io_fail(c->error, "npy header: a dimension of the shape is too large");
        *dim = *dim * 10 + digit;
    }
    if (c->at == first)
        return io_fail(c->error, "npy header: expected a whole number in the shape at character %zu",
                       first);
    /* NumPy under Python 2 wrote long integers. */
    if (c->at < c->end && c->text[c->at] == 'L')
        c->at++;
    return true;
}

static bool read_shape(struct cursor *c, struct npy_header *header)
{
    if (!expect(c, '('))
        return false;
    header->rank = 0;
    while (!take(c, ')')) {
        if (header->rank == TENSOR_MAX_RANK)
            return io_fail(c->error, "npy header: more than %d dimensions", TENSOR_MAX_RANK);
        if (!read_dim(c, &header->dims[header->rank]))
            return false;
        header->rank++;
        if (!take(c, ',')) {
            if (!expect(c, ')'))
                return false;
            break;
        }
    }
    return true;
}

static bool read_type(struct cursor *c, struct npy_header *header)
{
    const char *word;
    size_t n;
    skip_space(c);
    if (c->at < c->end && c->text[c->at] == '[')
        return io_fail(c->error, "the array has records with named fields, expected plain numbers");
    if (!take_word(c, &word, &n))
        return false;
    if (n >= 2 && word[1] == 'O')
        return io_fail(c->error, "the array holds Python objects, expected numbers");
    bool known = n == 3 && strchr("<>|=", word[0]) && word[0] && word[2] >= '1' && word[2] <= '8';
    unsigned bytes = known ? (unsigned)(word[2] - '0') : 0;
    bool power = bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
    if (known && word[1] == 'f')
        known = power && bytes > 1;
    else if (known && (word[1] == 'i' || word[1] == 'u'))
        known = power;
    else if (known)
        known = word[1] == 'b' && bytes == 1;
    if (!known)
        return io_fail(c->error,
                       "elements of type '%.*s', expected one of f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1",
                       n > 16 ? 16 : (int)n, word);
    header->kind = word[1];
    header->element_bytes = bytes;
    header->big_endian = word[0] == '>';
    return true;
}

static bool read_entry(struct cursor *c, struct npy_header *header, unsigned *seen)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    const char *word;
    size_t n;
    if (!take_word(c, &word, &n) || !expect(c, ':'))
        return false;
    unsigned key = 0;
    while (key < 3 && !same(word, n, keys[key]))
        key++;
    if (key == 3)
        return io_fail(c->error, "npy header: unknown key '%.*s'", n > 32 ? 32 : (int)n, word);
    if (*seen & 1u << key)
        return io_fail(c->error, "npy header: '%s' appears twice", keys[key]);
    *seen |= 1u << key;
    if (key == 0)
        return read_type(c, header);
    return key == 1 ? read_order(c, header) : read_shape(c, header);
}

static bool read_dictionary(struct cursor *c, struct npy_header *header)
{
    unsigned seen = 0;
    if (!expect(c, '{'))
        return false;
    while (!take(c, '}')) {
        if (!read_entry(c, header, &seen))
            return false;
        if (!take(c, ',')) {
            if (!expect(c, '}'))
                return false;
            break;
        }
    }
    if (seen != 7)
        return io_fail(c->error, "npy header: needs all of 'descr', 'fortran_order' and 'shape'");
    skip_space(c);
    if (c->at != c->end)
        return io_fail(c->error, "npy header: text after the dictionary at character %zu", c->at);
    return true;
}

/* ---- the file ------------------------------------------------------------ */

static bool find_dictionary(const uint8_t *b, size_t n_bytes, struct cursor *c)
{
    if (n_bytes == 0)
        return io_fail(c->error, "the file is empty, expected an npy array");
    if (n_bytes < 10 || memcmp(b, "\x93NUMPY", 6) != 0)
        return io_fail(c->error, "not an npy file: it does not start with the bytes 93 'NUMPY'");
    if (b[6] < 1 || b[6] > 3)
        return io_fail(c->error, "npy version %u.%u, expected 1.0, 2.0 or 3.0", b[6], b[7]);
    size_t start = b[6] == 1 ? 10 : 12;
    if (n_bytes < start)
        return io_fail(c->error, "the file ends inside the npy header");
    size_t length = (size_t)b[8] | (size_t)b[9] << 8;
    if (b[6] > 1)
        length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    if (length > n_bytes - start)
        return io_fail(c->error, "npy header of %zu bytes, but only %zu bytes are left in the file", length,
                       n_bytes - start);
    c->text = (const char *)b + start;
    c->at = 0;
    c->end = length;
    return true;
}

bool npy_read_header(const void *bytes, size_t n_bytes, struct npy_header *out, struct io_error *error)
{
    struct cursor c = {.error = error};
    *out = (struct npy_header){0};
    if (!find_dictionary(bytes, n_bytes, &c) || !read_dictionary(&c, out))
        return false;
    out->data_offset = (size_t)(c.text - (const char *)bytes) + c.end;
    size_t there = n_bytes - out->data_offset;
    char shape[TENSOR_SHAPE_TEXT];
    tensor_shape_text(out->rank, out->dims, shape);
    if (!tensor_count(out->rank, out->dims, &out->count) || out->count > SIZE_MAX / out->element_bytes)
        return io_fail(error, "the shape %s has too many elements", shape);
    if (out->count * out->element_bytes != there)
        return io_fail(error, "shape %s of %u-byte elements needs %zu bytes, but the file holds %zu", shape,
                       out->element_bytes, out->count * out->element_bytes, there);
    return true;
}

/* ---- elements ------------------------------------------------------------ */

static float half_to_float(unsigned half)
{
    uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
    uint32_t bits;
    if (exponent == 0) { /* zero and denormals: fraction · 2^-24, exact in f32 */
        float value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    if (exponent == 31)
        bits = sign | 0x7f800000u | fraction << 13;
    else
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t load(const uint8_t *at, unsigned n, bool big_endian)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < n; i++)
        word |= (uint64_t)at[big_endian ? n - 1 - i : i] << 8 * i;
    return word;
}

static double to_double(uint64_t word)
{
    double value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static float from_float(uint64_t word, unsigned n)
{
    if (n == 2)
        return half_to_float((unsigned)word);
    if (n == 4) {
        uint32_t bits = (uint32_t)word;
        float value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    double value = to_double(word);
    /* C leaves the conversion of a value out of f32's range undefined without IEEE's rules. */
    if (value > 0x1.fffffefffffffp127)
        return (float)(1.0 / 0.0);
    if (value < -0x1.fffffefffffffp127)
        return (float)(-1.0 / 0.0);
    return (float)value;
}

static float element(const struct npy_header *header, const uint8_t *at)
{
    unsigned n = header->element_bytes;
    uint64_t word = load(at, n, header->big_endian);
    switch (header->kind) {
    case 'f':
        return from_float(word, n);
    case 'b':
        return word != 0;
    case 'u':
        return (float)word;
    default: {
        uint64_t sign = UINT64_C(1) << (8 * n - 1);
        return (float)(int64_t)((word ^ sign) - sign);
    }
    }
}

/* Where the element of row-major number `index` lies in Fortran order. */
static size_t fortran_index(const struct npy_header *header, size_t index)
{
    size_t coordinate[TENSOR_MAX_RANK];
    for (uint32_t i = header->rank; i-- > 0;) {
        coordinate[i] = index % header->dims[i];
        index /= header->dims[i];
    }
    size_t place = 0;
    for (uint32_t i = header->rank; i-- > 0;)
        place = place * header->dims[i] + coordinate[i];
    return place;
}

void npy_get(const struct npy_header *header, const void *bytes, size_t first, size_t n, float *out)
{
    const uint8_t *data = (const uint8_t *)bytes + header->data_offset;
    if (header->fortran) {
        for (size_t i = 0; i < n; i++)
            out[i] = element(header, data + fortran_index(header, first + i) * header->element_bytes);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = element(header, data + (first + i) * header->element_bytes);
}

double npy_get_double(const struct npy_header *header, const void *bytes, size_t index)
{
    size_t place = header->fortran ? fortran_index(header, index) : index;
    const uint8_t *at = (const uint8_t *)bytes + header->data_offset + place * header->element_bytes;
    return to_double(load(at, header->element_bytes, header->big_endian));
}

bool npy_read(const void *bytes, size_t n_bytes, struct tensor *out, struct io_error *error)
{
    struct npy_header header;
    *out = (struct tensor){0};
    if (!npy_read_header(bytes, n_bytes, &header, error))
        return false;
    if (header.count > SIZE_MAX / sizeof(float))
        return io_fail(error, "out of memory for %zu numbers", header.count);
    if (header.count) {
        out->data = malloc(header.count * sizeof(float));
        if (!out->data)
            return io_fail(error, "out of memory for %zu numbers", header.count);
        npy_get(&header, bytes, 0, header.count, out->data);
    }
    out->rank = header.rank;
    memcpy(out->dims, header.dims, sizeof out->dims);
    out->count = header.count;
    return true;
}

void npy_write_header(uint32_t rank, const size_t *dims, char out[NPY_HEADER_BYTES])
{
    enum { LENGTH = NPY_HEADER_BYTES - 10 };
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)(LENGTH & 0xff);
    out[9] = (char)(LENGTH >> 8);
    char *text = out + 10;
    size_t used =
        (size_t)snprintf(text, LENGTH, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (uint32_t i = 0; i < rank; i++)
        used += (size_t)snprintf(text + used, LENGTH - used, i ? ", %zu" : "%zu", dims[i]);
    used += (size_t)snprintf(text + used, LENGTH - used, rank == 1 ? ",), }" : "), }");
    memset(text + used, ' ', LENGTH - used);
    text[LENGTH - 1] = '\n';
}
