#include "plugins/load_report.h"

#include "plugins/collector.h"

#include <fmt/format.h>

namespace bissl::host {

std::string LoadProblem::message() const {
  return fmt::format("{}: {} ({}, {}): found {}, expected {}; {}", path,
                     code == name_taken ? "one component left out" : "refused", step, code, found,
                     expected, advice);
}

}  // namespace bissl::host
