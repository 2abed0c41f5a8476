/* SPDX-License-Identifier: MIT
 *
 * Whether bytes are text as the model file wants it (FORMAT.md, rules F13 and F14).
 */
#ifndef LSTMRUN_FORMATS_UTF8_H
#define LSTMRUN_FORMATS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum utf8_fault { UTF8_OK, UTF8_MALFORMED, UTF8_CONTROL };

/* The first fault in n bytes of text and where it is. `lines`: tab, LF and CR are
 * allowed among the control characters. */
enum utf8_fault utf8_check(const uint8_t *text, size_t n_bytes, bool lines, size_t *at_out);

/* Cut a message off at the first character that is not whole: what a buffer that was
 * too small leaves at its end. */
void utf8_trim(char *text);

#endif
