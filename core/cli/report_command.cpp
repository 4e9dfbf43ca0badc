#include "cli/report_command.h"

#include "base/json_text.h"
#include "cli/exit_codes.h"
#include "report/gather.h"
#include "report/report.h"
#include "report/run_difference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ostream>

namespace bissl::host {
namespace {

nlohmann::json to_json(const std::vector<Difference>& differences) {
  nlohmann::json list = nlohmann::json::array();
  for (const Difference& one : differences) {
    list.push_back({{"key", one.path}, {"left", one.left}, {"right", one.right}});
  }
  return list;
}

/// Metrics: where a value is not finite there is a text, the reason.
nlohmann::json results_json(const std::vector<Difference>& results) {
  nlohmann::json list = to_json(results);
  for (nlohmann::json& one : list) {
    for (const char* side : {"left", "right"}) {
      if (one[side].is_string()) {
        one[not_finite_key][side] = one[side];
        one[side] = nullptr;
      }
    }
  }
  return list;
}

/// The last parts of two paths in which they differ, so that columns stay narrow.
std::pair<std::string, std::string> short_names(const std::filesystem::path& left,
                                                const std::filesystem::path& right) {
  const auto last = [](const std::filesystem::path& path) {
    const std::filesystem::path plain = path.lexically_normal();
    return (plain.has_filename() ? plain : plain.parent_path()).filename().string();
  };
  return last(left) == last(right) ? std::pair(left.string(), right.string())
                                   : std::pair(last(left), last(right));
}

}  // namespace

int run_report(const ReportArguments& arguments, std::ostream& out, std::ostream& err) {
  ReportData data = gather(arguments.folders, arguments.metric);
  set_baseline(data, arguments.baseline);
  const Report report = build_report(data);
  if (arguments.json) {
    out << json_text(report_json(data, report), 2) << '\n';
  } else {
    out << to_terminal(report);
  }
  const int code = data.observations.empty() ? exit_wrong_input : exit_done;
  if (code != exit_done) {
    err << fmt::format("error: {}: no cell has results yet\n", arguments.folders.front().string());
  }
  const std::filesystem::path folder = !arguments.to.empty() || arguments.folders.size() > 1
                                           ? arguments.to
                                           : arguments.folders.front();
  if (folder.empty()) {
    err << "no files are written for several runs unless --to names a folder\n";
    return code;
  }
  const auto written = write_report(report, data, folder);
  err << fmt::format("\nwrote {} and {} files beside it\n", written.front().string(),
                     written.size() - 1);
  return code;
}

namespace {

nlohmann::json difference_json(const RunDifference& difference) {
  nlohmann::json common = nlohmann::json::object();
  for (const auto& [stage, summary] : difference.common_environments) {
    common[stage] = summary;
  }
  return {{"configuration", to_json(difference.configuration)},
          {"environments", to_json(difference.environments)},
          {"common_environments", common},
          {"results", results_json(difference.results)},
          {"same_stages", difference.same_stages}};
}

/// What the comparison of the environments says, and where results differ without a known cause,
/// that too.
std::vector<std::string> environment_words(const RunDifference& difference) {
  std::vector<std::string> words;
  if (!difference.environments.empty()) {
    words.emplace_back(
        "What stages were computed with differs; it is in no key, and results can hang on it:");
  }
  for (const auto& [stage, summary] : difference.common_environments) {
    words.push_back(fmt::format("{}, on both sides: {}", stage, summary));
  }
  if (difference.configuration.empty() && difference.environments.empty() &&
      results_differ(difference)) {
    words.emplace_back(
        "The results differ and nothing that is recorded does. A component may draw random numbers "
        "of its own (bissl conform finds out), or the device may compute in another order each "
        "time.");
  }
  return words;
}

}  // namespace

int run_diff(const std::filesystem::path& left, const std::filesystem::path& right, bool json,
             std::ostream& out) {
  const RunDifference difference = compare_runs(left, right);
  if (json) {
    out << json_text(difference_json(difference), 2) << '\n';
    return exit_done;
  }
  const auto [left_name, right_name] = short_names(left, right);
  Report report;
  std::vector<ReportTable> tables = difference_tables(difference, left_name, right_name);
  report.sections.push_back(
      {"Configuration",
       {difference.configuration.empty() ? "No difference." : "What differs:"},
       {std::move(tables[0])},
       {}});
  report.sections.push_back(
      {"Environment", environment_words(difference), {std::move(tables[1])}, {}});
  report.sections.push_back(
      {"Results",
       {difference.same_stages.empty()
            ? "No stage is shared."
            : fmt::format("Shared stages: {}. Their keys are equal, so one store has them once.",
                          fmt::join(difference.same_stages, ", "))},
       {std::move(tables[2])},
       {}});
  out << to_terminal(report);
  return exit_done;
}

}  // namespace bissl::host
