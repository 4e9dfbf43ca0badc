#pragma once

#include <optional>
#include <string>

namespace bissl::host {

/// To be called before anything is opened or written.
///
/// A standard stream that is closed gets a place holder: otherwise the next file that is opened
/// would have its number, and messages would be written into that file. Writing to the place holder
/// fails. From then on a reader that goes away does not end the process: writing to it fails with
/// EPIPE. So a stage in training is finished, or stopped with a checkpoint, whoever listens.
void guard_standard_streams();

/// Writes what is buffered for standard output. Why not everything that was written to it since the
/// program began has arrived; none if it has.
std::optional<std::string> lost_output();

}  // namespace bissl::host
