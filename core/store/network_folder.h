#pragma once

#include <filesystem>
#include <string>

namespace bissl::host {

/// The folder `name` of one of the networks that a stage has trained ("repeat-0"; empty: the
/// stage's own) below the stage's. Stages of versions before 2.0 call it "run-0": that one where it
/// is there and the other is not.
std::filesystem::path network_folder(const std::filesystem::path& stage, const std::string& name);

/// Whether a folder is called like that of a network, in whatever version.
bool is_network_folder(const std::string& name);

}  // namespace bissl::host
