#include "cli/report_command.h"

#include "base/json_text.h"
#include "bissl/error.h"
#include "cli/compare_advice.h"
#include "cli/exit_codes.h"
#include "report/gather.h"
#include "report/pooled.h"
#include "report/report.h"
#include "report/run_difference.h"
#include "telemetry/interrupt.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <map>
#include <optional>
#include <ostream>
#include <system_error>
#include <thread>
#include <utility>

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

namespace {

namespace fs = std::filesystem;

/// Where the files of a report go; empty for nowhere.
fs::path folder_of(const ReportArguments& arguments) {
  return !arguments.to.empty() || arguments.folders.size() > 1 ? arguments.to
                                                               : arguments.folders.front();
}

using FileStates = std::map<fs::path, std::pair<uintmax_t, fs::file_time_type>>;

/// Size and time of each file that a report is made of. A run writes on while it is read: what is
/// gone in the meantime is left out.
FileStates state_of(const std::vector<fs::path>& folders) {
  FileStates state;
  constexpr auto options = fs::directory_options::follow_directory_symlink |
                           fs::directory_options::skip_permission_denied;
  for (const fs::path& folder : folders) {
    std::error_code fault;
    for (fs::recursive_directory_iterator file(folder, options, fault), end; !fault && file != end;
         file.increment(fault)) {
      const fs::path& path = file->path();
      std::error_code gone;
      const uintmax_t size = path.extension() == ".json" || path.extension() == ".jsonl"
                                 ? fs::file_size(path, gone)
                                 : 0;
      const fs::file_time_type time = gone ? fs::file_time_type() : fs::last_write_time(path, gone);
      if (size > 0 && !gone) {
        state[path] = {size, time};
      }
    }
  }
  return state;
}

/// Writes the report; what stops that, such as a run without results, is said and not thrown.
std::string report_or_reason(const ReportArguments& arguments, const fs::path& folder) {
  try {
    ReportData data = gather(arguments.folders, arguments.metric);
    set_baseline(data, arguments.baseline);
    const auto written = write_report(build_report(data), data, folder);
    return fmt::format("wrote {} and {} files beside it", written.front().string(),
                       written.size() - 1);
  } catch (const Error& error) {
    return fmt::format("nothing is written yet: {}", error.what());
  }
}

/// Puts which arm to use behind the verdict, and returns it; empty where nothing is compared.
std::string add_advice(const ReportData& data, Report& report) {
  const PooledResults pooled = pooled_results(data);
  if (!pooled.primary) {
    return "";
  }
  std::string advice = compare_advice(data, pooled);
  // The verdict is the first paragraph of the first section.
  std::vector<std::string>& paragraphs = report.sections.front().paragraphs;
  paragraphs.insert(paragraphs.begin() + 1, advice);
  return advice;
}

int follow_report(const ReportArguments& arguments, std::ostream& err) {
  const fs::path folder = folder_of(arguments);
  if (arguments.json || folder.empty()) {
    fail_input(
        "--follow writes files again and again: {}",
        arguments.json ? "leave out --json" : "name a folder for them with --to, or give one run");
  }
  for (const fs::path& one : arguments.folders) {
    if (!fs::is_directory(one)) {
      fail_input("{} is no folder", one.string());
    }
  }
  install_interrupt_handlers();
  err << "following; Ctrl-C ends it. `bissl serve` shows curves in a browser as they grow"
      << std::endl;
  std::optional<FileStates> seen;
  while (!interrupted()) {
    if (FileStates now = state_of(arguments.folders); now != seen) {
      seen = std::move(now);
      err << report_or_reason(arguments, folder) << std::endl;
    }
    for (int tenth = 0; tenth < 20 && !interrupted(); ++tenth) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
  return exit_done;
}

}  // namespace

int run_report(const ReportArguments& arguments, std::ostream& out, std::ostream& err) {
  if (arguments.follow) {
    return follow_report(arguments, err);
  }
  ReportData data = gather(arguments.folders, arguments.metric);
  set_baseline(data, arguments.baseline);
  Report report = build_report(data);
  const std::string advice = arguments.advises ? add_advice(data, report) : "";
  if (arguments.json) {
    nlohmann::json json = report_json(data, report);
    if (!advice.empty()) {
      json["advice"] = advice;
    }
    out << json_text(json, 2) << '\n';
  } else {
    out << to_terminal(report);
  }
  const int code = data.observations.empty() ? exit_wrong_input : exit_done;
  if (code != exit_done) {
    err << fmt::format("error: {}: no cell has results yet\n", arguments.folders.front().string());
  }
  const fs::path folder = folder_of(arguments);
  if (folder.empty()) {
    err << "no files are written for several folders unless --to names one\n";
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
        "What stages were computed with differs; it is in no key, and results can depend on it:");
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
