/* SPDX-License-Identifier: MIT
 *
 * How many steps the values of a model have in a run, said once for those who run models and
 * those who make them. What one layer after the other leaves is again of this form, so two
 * values keep step exactly when their paces are equal.
 */
#ifndef LSTMRUN_FORMATS_PACE_H
#define LSTMRUN_FORMATS_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Of so many steps of the model's input: none of the first `lost`, then one, and one more for
 * every `stride` beyond it. */
struct pace {
    uint64_t lost, stride;
};

/* The input's own. */
static inline struct pace pace_of_input(void)
{
    return (struct pace){0, 1};
}

static inline bool pace_same(struct pace a, struct pace b)
{
    return a.lost == b.lost && a.stride == b.stride;
}

static inline uint64_t pace_steps(struct pace pace, uint64_t steps)
{
    return steps <= pace.lost ? 0 : (steps - pace.lost - 1) / pace.stride + 1;
}

/* What a layer leaves that looks at windows of its input's steps: their first and last taps are `reach`
 * steps apart, its words begin as a temporal_conv's. The padding is not more than the reach, the stride
 * not 0. False: more steps of input are needed for one to come out than a model may ask for. */
bool pace_of_windows(struct pace from, uint64_t reach, const uint32_t *words, struct pace *out);

#endif
