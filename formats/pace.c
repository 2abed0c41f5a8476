/* SPDX-License-Identifier: MIT
 *
 * See pace.h: floor((floor((n - a) / s) - b) / t) is floor((n - a - b · s) / (s · t)).
 */
#include "formats/pace.h"

#include "formats/bytes.h"
#include "formats/model_file.h"

bool pace_of_windows(struct pace from, uint64_t reach, const uint32_t *words, struct pace *out)
{
    uint64_t lost = reach - words[MODEL_CONV_PAD_BEFORE] - words[MODEL_CONV_PAD_AFTER];
    if (!checked_mul(lost, from.stride, &lost) || lost >= MODEL_MAX_STEPS - from.lost)
        return false;
    out->lost = from.lost + lost;
    if (!checked_mul(from.stride, words[MODEL_CONV_STRIDE], &out->stride))
        out->stride = UINT64_MAX; /* no run is so long that another step comes */
    return true;
}
