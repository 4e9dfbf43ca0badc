#include "stages/chosen_values.h"

#include "base/spelling.h"
#include "bissl/parameters.h"

#include <fmt/format.h>

namespace bissl::host {

std::vector<std::pair<std::string, double>> chosen_values(const StageResults& results) {
  std::vector<std::pair<std::string, double>> values;
  const auto add = [&](const char* key, const char* entry, const char* field) {
    const auto found = results.details.find(entry);
    if (found != results.details.end() && found->contains(field)) {
      values.emplace_back(key, found->at(field).get<double>());
    }
  };
  add("lambda", "lambda", "chosen");
  add("upper.lr_factor", "upper_rate", "factor");
  return values;
}

std::string with_chosen_values(std::string lock, const RunResults& results) {
  std::string lines;
  for (const auto& [stage, of_stage] : results.stages) {
    for (const auto& [key, value] : chosen_values(of_stage)) {
      lines += fmt::format("{} = {}\n", spelled_key(fmt::format("stage.{}.{}", stage, key)),
                           to_toml(Value(value)));
    }
  }
  if (!lines.empty()) {
    lock += "\n[lock.chosen]\n" + lines;
  }
  return lock;
}

}  // namespace bissl::host
