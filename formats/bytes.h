/* SPDX-License-Identifier: MIT
 *
 * Little-endian numbers out of and into bytes, without casts onto the bytes: any
 * alignment, any host byte order. And arithmetic on sizes that says when it overflows.
 */
#ifndef LSTMRUN_FORMATS_BYTES_H
#define LSTMRUN_FORMATS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint32_t load_u16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t load_u32(const uint8_t *p)
{
    return load_u16(p) | load_u16(p + 2) << 16;
}

static inline uint64_t load_u64(const uint8_t *p)
{
    return (uint64_t)load_u32(p) | (uint64_t)load_u32(p + 4) << 32;
}

static inline void store_u16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void store_u32(uint8_t *p, uint32_t value)
{
    store_u16(p, value);
    store_u16(p + 2, value >> 16);
}

static inline void store_u64(uint8_t *p, uint64_t value)
{
    store_u32(p, (uint32_t)value);
    store_u32(p + 4, (uint32_t)(value >> 32));
}

/* A place in bytes. Reading past the end gives zeros, leaves the place at the end
 * and is remembered in `failed`. */
struct cursor {
    const uint8_t *bytes;
    size_t n_bytes;
    size_t at;
    bool failed;
};

static inline struct cursor cursor_at(const uint8_t *bytes, size_t n_bytes, uint64_t at)
{
    bool inside = at <= n_bytes;
    struct cursor cursor = { bytes, n_bytes, inside ? (size_t)at : n_bytes, !inside };
    return cursor;
}

/* The next n bytes, or NULL. */
static inline const uint8_t *cursor_take(struct cursor *cursor, size_t n)
{
    if (cursor->failed || n > cursor->n_bytes - cursor->at) {
        cursor->failed = true;
        cursor->at = cursor->n_bytes;
        return NULL;
    }
    const uint8_t *taken = cursor->bytes + cursor->at;
    cursor->at += n;
    return taken;
}

static inline uint32_t cursor_u16(struct cursor *cursor)
{
    const uint8_t *p = cursor_take(cursor, 2);
    return p ? load_u16(p) : 0;
}

static inline uint32_t cursor_u32(struct cursor *cursor)
{
    const uint8_t *p = cursor_take(cursor, 4);
    return p ? load_u32(p) : 0;
}

static inline uint64_t cursor_u64(struct cursor *cursor)
{
    const uint8_t *p = cursor_take(cursor, 8);
    return p ? load_u64(p) : 0;
}

/* False, and nothing stored, when the result does not fit. */
static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a > UINT64_MAX - b)
        return false;
    *out = a + b;
    return true;
}

static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b != 0 && a > UINT64_MAX / b)
        return false;
    *out = a * b;
    return true;
}

#endif
