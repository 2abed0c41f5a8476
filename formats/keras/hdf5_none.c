/* SPDX-License-Identifier: MIT
 *
 * A build without libhdf5: no child is ever asked. See hdf5_file.h.
 */
#include <stdlib.h>

#include "formats/keras/hdf5_file.h"

const bool hdf5_supported = false;

_Noreturn void hdf5_child_run(const struct hdf5_job *job, int fd)
{
    (void)job, (void)fd;
    abort();
}
