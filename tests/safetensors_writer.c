/* SPDX-License-Identifier: MIT
 *
 * Safetensors files made in memory, see safetensors_writer.h.
 */
#include "tests/safetensors_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *bytes, size_t n)
{
    void *grown = realloc(bytes, n);
    if (!grown)
        abort();
    return grown;
}

static void put_le(uint8_t *out, uint64_t value, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

/* Exact for numbers with 11 significant bits that are normal in f16, and 0. */
static uint64_t f16_bits(float number)
{
    int exponent;
    double fraction = frexp(fabs((double)number), &exponent); /* 0.5 … 1 */
    uint64_t sign = signbit(number) ? 0x8000 : 0;
    if (number == 0)
        return sign;
    return sign | (uint64_t)(exponent + 14) << 10 | ((uint64_t)ldexp(fraction, 11) & 1023);
}

static uint64_t number_bits(float number, enum named_dtype dtype)
{
    uint32_t bits;
    uint64_t wide_bits;
    double wide = (double)number;
    memcpy(&bits, &number, sizeof bits);
    memcpy(&wide_bits, &wide, sizeof wide_bits);
    switch (dtype) {
    case NT_F64: return wide_bits;
    case NT_F16: return f16_bits(number);
    case NT_BF16: return bits >> 16;
    default: return bits;
    }
}

static unsigned dtype_bytes(enum named_dtype dtype)
{
    return dtype == NT_F64 ? 8 : dtype == NT_F16 || dtype == NT_BF16 ? 2 : 4;
}

static void add_entry(struct st_writer *writer, const char *name, enum named_dtype dtype,
                      const char *shape, size_t n_bytes)
{
    char entry[600];
    int n = snprintf(entry, sizeof entry,
                     "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                     writer->n_header ? "," : "", name, named_dtype_name(dtype), shape,
                     writer->n_data, writer->n_data + n_bytes);
    writer->header = grow(writer->header, writer->n_header + (size_t)n + 1);
    memcpy(writer->header + writer->n_header, entry, (size_t)n + 1);
    writer->n_header += (size_t)n;
    writer->data = grow(writer->data, writer->n_data + n_bytes + 1);
    memset(writer->data + writer->n_data, 0, n_bytes);
    writer->n_data += n_bytes;
}

void st_add(struct st_writer *writer, const char *name, enum named_dtype dtype, uint32_t rank,
            const uint64_t *dims, const float *numbers)
{
    char shape[200] = "";
    unsigned size = dtype_bytes(dtype);
    size_t count = 1;
    for (uint32_t i = 0; i < rank; i++) {
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%llu", i ? "," : "",
                 (unsigned long long)dims[i]);
        count *= dims[i];
    }
    add_entry(writer, name, dtype, shape, count * size);
    uint8_t *out = writer->data + writer->n_data - count * size;
    for (size_t i = 0; i < count; i++)
        put_le(out + i * size, number_bits(numbers[i], dtype), size);
}

void st_add_zeros(struct st_writer *writer, const char *name, enum named_dtype dtype,
                  uint64_t count, size_t n_bytes)
{
    char shape[40];
    snprintf(shape, sizeof shape, "%llu", (unsigned long long)count);
    add_entry(writer, name, dtype, shape, n_bytes);
}

static uint8_t *join(const char *header, size_t n_header, const uint8_t *data, size_t n_data,
                     size_t *n_bytes_out)
{
    uint8_t *bytes = grow(NULL, 8 + n_header + n_data);
    put_le(bytes, n_header, 8);
    memcpy(bytes + 8, header, n_header);
    if (data)
        memcpy(bytes + 8 + n_header, data, n_data);
    else
        memset(bytes + 8 + n_header, 0, n_data);
    *n_bytes_out = 8 + n_header + n_data;
    return bytes;
}

uint8_t *st_finish(struct st_writer *writer, size_t *n_bytes_out)
{
    char *text = grow(NULL, writer->n_header + 3);
    snprintf(text, writer->n_header + 3, "{%s}", writer->header ? writer->header : "");
    uint8_t *bytes = join(text, strlen(text), writer->data, writer->n_data, n_bytes_out);
    free(text);
    free(writer->header);
    free(writer->data);
    *writer = (struct st_writer){0};
    return bytes;
}

uint8_t *st_of_text(const char *header, size_t n_data, size_t *n_bytes_out)
{
    return join(header, strlen(header), NULL, n_data, n_bytes_out);
}
