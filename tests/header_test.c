/* SPDX-License-Identifier: MIT
 *
 * lstmrun.h by itself, as C99 and (through header_test.cc) as C++: that it compiles
 * without anything before it is the test; running says which version it met.
 */
#include "runtime/lstmrun.h"

#include <stdio.h>

int main(void)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    lstm_model *model = NULL;
    lstm_error error;
    lstm_status status = lstm_model_open("/nonexistent/model.bin", &model, &error);
    if (options.struct_size != sizeof options || status != LSTM_E_IO || model)
        return 1;
    printf("lstmrun %s\n", lstm_version());
    return 0;
}
