#pragma once

#include "cli/pipeline_arguments.h"
#include "stages/context.h"

namespace bissl::host {

/// The device that --device names. Throws Error(ErrorKind::input), with the devices that are there,
/// for one that is none or that this LibTorch or machine lacks.
c10::Device checked_device(const std::string& text);

/// Device, threads and progress display as the arguments ask for; sets LibTorch's threads: to the
/// most, where each stage is to choose. Without
/// `progress` nothing is displayed. Throws Error(ErrorKind::input) for a device that is none.
RunSettings make_settings(const PipelineArguments& arguments, std::ostream* progress);

}  // namespace bissl::host
