/* SPDX-License-Identifier: MIT
 *
 * Threads by OpenMP.
 */
#include "runtime/parallel.h"

#ifdef _OPENMP
#include <omp.h>

#include "runtime/processor.h"
#endif

uint32_t parallel_most(void)
{
#ifdef _OPENMP
    const int most = omp_get_thread_limit();
    return most > 1 ? (uint32_t)most : 1;
#else
    return 1;
#endif
}

uint32_t parallel_default(void)
{
#ifdef _OPENMP
    const int threads = omp_get_max_threads();
    const uint32_t most = parallel_most();
    return threads < 2 ? 1 : (uint32_t)threads < most ? (uint32_t)threads : most;
#else
    return 1;
#endif
}

bool parallel_nested(void)
{
#ifdef _OPENMP
    return omp_get_active_level() >= omp_get_max_active_levels();
#else
    return false;
#endif
}

void parallel_run(uint32_t threads, parallel_body *body, void *argument)
{
#ifdef _OPENMP
    if (threads > 1) {
        const int callers = processor_current();
#pragma omp parallel num_threads((int)threads)
        {
            if (omp_get_thread_num() > 0)
                (void)processor_avoid(callers);
            body(argument, (uint32_t)omp_get_thread_num(), (uint32_t)omp_get_num_threads());
        }
        return;
    }
#else
    (void)threads;
#endif
    body(argument, 0, 1);
}
