#include "numerics/one_thread.h"

#include <ATen/Parallel.h>

namespace bissl::host {

OneThread::OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }

OneThread::~OneThread() { at::set_num_threads(before_); }

}  // namespace bissl::host
