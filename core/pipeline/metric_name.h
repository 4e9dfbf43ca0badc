#pragma once

#include <optional>
#include <string>

namespace bissl::host {

/// A score of a stage. Written as "STAGE.DATA.METRIC", each part spelled like a key of TOML:
/// `ft."test-10.1".top1`.
struct MetricName {
  std::string stage;
  std::string data;
  std::string metric;

  std::string text() const;
};

/// Nothing if the text does not have three parts.
std::optional<MetricName> parse_metric(const std::string& text);

/// "DATA.METRIC" in the same spelling: a score where the stage is known.
std::string score_text(const std::string& data, const std::string& metric);

/// What parse_metric accepts, in words.
inline constexpr const char* metric_form =
    R"("STAGE.DATA.METRIC", such as "finetune.test.top1"; a part that holds dots is put in )"
    R"(quotation marks: 'finetune."test.2".top1')";

}  // namespace bissl::host
