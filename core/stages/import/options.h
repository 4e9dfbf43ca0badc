#pragma once

#include "pipeline/pipeline.h"
#include "weights/key_rules.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

struct ImportOptions {
  std::string file;
  std::string source = "detect";
  std::vector<std::string> allow;
  int64_t channels = 3;
  int64_t size = 224;
};

/// `source` that leaves the choice of a rule to the file.
inline constexpr const char* detected_source = "detect";

ImportOptions parse_import(const Table& table);

/// `rule = { … }`, if it is there. Throws Error(input) for a `rename` of another form.
std::optional<KeyRule> own_rule(const Table& table);

/// The data source whose targets the imported head tells; none without a `head`.
std::optional<std::string> head_data(const Table& table);

StageKindSpec import_spec();

}  // namespace bissl::host
