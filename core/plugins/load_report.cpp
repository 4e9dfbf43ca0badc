#include "plugins/load_report.h"

#include <fmt/format.h>

namespace bissl::host {

std::string LoadProblem::message() const {
  return fmt::format("{}: refused ({}, {}): found {}, expected {}; {}", path, step, code, found,
                     expected, advice);
}

}  // namespace bissl::host
