#pragma once

namespace bissl {

/// From the first call on, LibTorch's own batch normalisation in training, at::batch_norm, is over
/// all parts of a batch where that is divided on the thread: layers::batch_norm, with a result of
/// the input's type. Everywhere else it is what it was. LibTorch's modules call it. For the CPU,
/// CUDA and devices of private use; further calls do nothing. Threads: any.
void divide_library_batch_norm();

}  // namespace bissl
