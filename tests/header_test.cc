/* SPDX-License-Identifier: MIT
 *
 * The same program as header_test.c, read by a C++ compiler.
 */
#include "tests/header_test.c"
