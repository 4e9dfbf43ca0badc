#pragma once

#include "program.h"
#include "support/paths.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bissl::host::test {

/// The path of a library of tests/fixtures/plugins.
inline std::string fixture(const std::string& name) {
  return (std::filesystem::path(fixture_plugin_folder) / (name + ".so")).string();
}

/// Name of a component → its checks.
inline std::map<std::string, std::vector<nlohmann::json>> checks_of(const Outcome& outcome) {
  std::map<std::string, std::vector<nlohmann::json>> checks;
  const auto report = nlohmann::json::parse(outcome.out);
  for (const auto& check : report.at("checks")) {
    checks[check["component"]].push_back(check);
  }
  return checks;
}

}  // namespace bissl::host::test
