/* SPDX-License-Identifier: MIT
 *
 * CRC-32C in plain C, eight bytes at a time: eight tables, where table k holds what a
 * byte becomes with k bytes after it. The compiler computes the tables.
 */
#include "formats/crc32c.h"

#include "formats/bytes.h"

/* The checksum is linear: an entry is the xor of the entries of its bits, which are
 * given (bits 0 to 7), being 64 consecutive states of the shift register. */
#define ENTRY(n, b0, b1, b2, b3, b4, b5, b6, b7)                                        \
    (((n) & 1 ? b0 : 0u) ^ ((n) & 2 ? b1 : 0u) ^ ((n) & 4 ? b2 : 0u) ^                  \
     ((n) & 8 ? b3 : 0u) ^ ((n) & 16 ? b4 : 0u) ^ ((n) & 32 ? b5 : 0u) ^                \
     ((n) & 64 ? b6 : 0u) ^ ((n) & 128 ? b7 : 0u))
#define FOUR(n, ...)                                                                    \
    ENTRY(n, __VA_ARGS__), ENTRY((n) + 1, __VA_ARGS__), ENTRY((n) + 2, __VA_ARGS__),    \
        ENTRY((n) + 3, __VA_ARGS__)
#define SIXTEEN(n, ...)                                                                 \
    FOUR(n, __VA_ARGS__), FOUR((n) + 4, __VA_ARGS__), FOUR((n) + 8, __VA_ARGS__),       \
        FOUR((n) + 12, __VA_ARGS__)
#define SIXTY_FOUR(n, ...)                                                              \
    SIXTEEN(n, __VA_ARGS__), SIXTEEN((n) + 16, __VA_ARGS__),                            \
        SIXTEEN((n) + 32, __VA_ARGS__), SIXTEEN((n) + 48, __VA_ARGS__)
#define TABLE(...)                                                                      \
    { SIXTY_FOUR(0, __VA_ARGS__), SIXTY_FOUR(64, __VA_ARGS__),                          \
      SIXTY_FOUR(128, __VA_ARGS__), SIXTY_FOUR(192, __VA_ARGS__) }

static const uint32_t table[8][256] = {
    TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf,
          0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78),
    TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8,
          0x3fc5f181, 0x7f8be302, 0xff17c604, 0xfbc3faf9),
    TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5,
          0x70a27d8a, 0xe144fb14, 0xc76580d9, 0x8b277743),
    TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6,
          0xe964b13d, 0xd725148b, 0xaba65fe7, 0x52a0c93f),
    TABLE(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91,
          0x8f2261d3, 0x1ba8b557, 0x37516aae, 0x6ea2d55c),
    TABLE(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f,
          0xc00c303e, 0x85f4168d, 0x0e045beb, 0x1c08b7d6),
    TABLE(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53,
          0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4),
    TABLE(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da,
          0x847609b4, 0x0d006599, 0x1a00cb32, 0x34019664),
};

static uint32_t eight_bytes(uint32_t crc, const uint8_t *p)
{
    uint32_t low = crc ^ load_u32(p);
    uint32_t high = load_u32(p + 4);
    return table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^
           table[4][low >> 24] ^ table[3][high & 0xff] ^ table[2][high >> 8 & 0xff] ^
           table[1][high >> 16 & 0xff] ^ table[0][high >> 24];
}

uint32_t crc32c(uint32_t crc, const void *bytes, size_t n_bytes)
{
    const uint8_t *p = bytes;
    crc = ~crc;
    for (; n_bytes >= 8; n_bytes -= 8, p += 8)
        crc = eight_bytes(crc, p);
    for (; n_bytes > 0; n_bytes--, p++)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
    return ~crc;
}
