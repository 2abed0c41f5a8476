/* SPDX-License-Identifier: MIT
 *
 * UTF-8 as RFC 3629 has it: shortest forms only, no surrogates, up to U+10FFFF.
 * Control characters are refused so that no file can talk to a terminal.
 */
#include "formats/utf8.h"

#include <string.h>

/* Bytes of a character by its first byte, 0 if none starts so. */
static size_t length_of(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2)
        return 0;
    if (first < 0xe0)
        return 2;
    if (first < 0xf0)
        return 3;
    return first < 0xf5 ? 4 : 0;
}

/* The character of `length` bytes, or UINT32_MAX. */
static uint32_t decode(const uint8_t *p, size_t length)
{
    static const uint8_t first_mask[5] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t code = p[0] & first_mask[length];
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return UINT32_MAX;
        code = code << 6 | (p[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[length] || code > 0x10ffff || surrogate ? UINT32_MAX : code;
}

static bool is_control(uint32_t code, bool lines)
{
    if (lines && (code == '\t' || code == '\n' || code == '\r'))
        return false;
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

enum utf8_fault utf8_check(const uint8_t *text, size_t n_bytes, bool lines, size_t *at_out)
{
    for (size_t at = 0; at < n_bytes;) {
        size_t length = length_of(text[at]);
        *at_out = at;
        if (length == 0 || length > n_bytes - at)
            return UTF8_MALFORMED;
        uint32_t code = decode(text + at, length);
        if (code == UINT32_MAX)
            return UTF8_MALFORMED;
        if (is_control(code, lines))
            return UTF8_CONTROL;
        at += length;
    }
    *at_out = n_bytes;
    return UTF8_OK;
}

void utf8_trim(char *text)
{
    size_t at = 0;
    if (utf8_check((const uint8_t *)text, strlen(text), true, &at) == UTF8_MALFORMED)
        text[at] = '\0';
}
