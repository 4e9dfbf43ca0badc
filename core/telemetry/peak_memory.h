#pragma once

#include <cstdint>

namespace bissl::host {

/// Forgets the highest resident memory of this process so far, so that peak_memory() gives that of
/// what follows. Does nothing where the kernel does not allow it (Linux does since 4.0).
void reset_peak_memory();

/// The highest resident memory of this process since the last reset, or since its start, in bytes;
/// 0 if the system does not say.
int64_t peak_memory();

/// How much more that is than the resident memory now, once the program gives back what it has
/// freed.
int64_t memory_above_now();

/// The resident memory of this process now, in bytes; 0 if the system does not say.
int64_t resident_memory();

}  // namespace bissl::host
