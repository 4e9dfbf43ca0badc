#pragma once

#include <nlohmann/json.hpp>

#include <c10/core/Device.h>

#include <string>

namespace bissl::host {

/// What results may hang on although no key of a stage holds it: the same stage, computed with
/// another number of threads or by another kernel of the BLAS library, need not end with the same
/// bits. An object of texts and numbers:
///
///     bissl      version, and a checksum of the program's file
///     threads    compute, loader, and interop (LibTorch's pool for independent operations)
///     device     name ("cpu", "cuda:0"), and model and driver where the device gives them
///     precision  what matrix products and convolutions may round to, and whether they may differ
///                from call to call
///     blas       library, file, build and kernel, as far as the library gives them
///     cpu        model, processors, and the instruction set that LibTorch's kernels use
///     libtorch   version and how it was built
///     libc       version
///     variables  of the environment, those that these libraries read
///
/// What cannot be found out is left out. For the thread that computes: LibTorch's number of threads
/// is that of the calling one. Takes the checksum at the first call, some milliseconds.
nlohmann::json computing_environment(const c10::Device& device, int loader_threads);

/// Such an object in a line: "2 threads, cpu, OpenBLAS Haswell, AVX2, LibTorch 1.13.1".
std::string environment_summary(const nlohmann::json& environment);

/// Whether a variable of this name is one of those that are recorded.
bool is_recorded_variable(const std::string& name);

}  // namespace bissl::host
