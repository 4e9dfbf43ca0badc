#pragma once

#include "cli/pipeline_arguments.h"
#include "stages/context.h"

namespace bissl::host {

/// The device that --device names, a GPU with its number. Throws Error(ErrorKind::input), with the
/// devices that are there, for one that is none or that this LibTorch or machine lacks.
c10::Device checked_device(const std::string& text);

/// Device, threads and progress display as the arguments ask for. Sets LibTorch's threads, to the
/// most where each stage is to choose, its arithmetic on a GPU, and the generators that this
/// process draws from. Without `progress` nothing is displayed. Throws Error(ErrorKind::input) for
/// a device that is none, and for an arithmetic that it does not have.
RunSettings make_settings(const PipelineArguments& arguments, std::ostream* progress);

}  // namespace bissl::host
