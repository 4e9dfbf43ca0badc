#include "cli/pipeline_arguments.h"

#include "base/json_text.h"
#include "data/selection.h"
#include "pipeline/reader.h"
#include "stages/match.h"
#include "stages/stage_kind.h"
#include "telemetry/limits.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string_view>

namespace bissl::host {
namespace {

/// Tells how far decoding is, every few seconds and at its end.
class DecodingProgress {
 public:
  void operator()(int64_t done, int64_t all) {
    constexpr auto pause = std::chrono::seconds(5);
    const auto now = std::chrono::steady_clock::now();
    if (done != all && now - last_ < pause) {
      return;
    }
    last_ = now;
    std::cerr << fmt::format("decoding images once: {} of {}\n", done, all);
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

std::shared_ptr<DatasetCache> PipelineArguments::make_datasets() const {
  return std::make_shared<DatasetCache>(
      ContentHashes(content_hash_folder(), rehash),
      PixelCacheSettings{.threads = threads, .progress = DecodingProgress()});
}

void print_diagnostics(const std::vector<Diagnostic>& diagnostics, bool refused, bool json,
                       std::ostream& out, std::ostream& err) {
  if (!json || !refused) {
    err << to_text(diagnostics);
    return;
  }
  nlohmann::json list = nlohmann::json::array();
  for (const Diagnostic& diagnostic : diagnostics) {
    list.push_back(to_json(diagnostic));
  }
  out << json_text({{"ok", false}, {"diagnostics", list}}, 2) << '\n';
}

std::optional<Pipeline> read_or_report(const PipelineArguments& arguments, PluginSearch& plugins,
                                       std::ostream& out, std::ostream& err) {
  RegistrySource components(plugins);
  const TableSpec selection = selection_spec();
  ReadResult read = read_pipeline({.file = arguments.file,
                                   .overrides = arguments.overrides,
                                   .components = components,
                                   .stage_kinds = stage_kinds(),
                                   .data_selection = selection,
                                   .unset = arguments.unset});
  for (const LoadProblem& problem : components.late_problems()) {
    err << "warning: " << problem.message() << '\n';
  }
  print_diagnostics(read.diagnostics, !read.pipeline, arguments.json, out, err);
  if (read.pipeline) {
    settle_lengths(*read.pipeline);
  }
  return std::move(read.pipeline);
}

void warn_about_threads(int threads, int jobs, std::ostream& err) {
  const int processors = available_processors();
  if (threads > processors) {
    err << fmt::format(
        "warning: --threads {}: this process may use {} {}; more threads than that take turns\n",
        threads, processors, processors == 1 ? "processor" : "processors");
  }
  const int shared = threads > 0 ? threads : usual_threads();
  if (jobs > shared) {
    err << fmt::format("warning: --jobs {} share {} {}: each job gets one of its own, {} in all\n",
                       jobs, shared, shared == 1 ? "thread" : "threads", jobs);
  }
}

std::string parse_threads(const std::string& text, PipelineArguments& arguments) {
  constexpr int most = 1024;
  constexpr std::string_view automatic = "auto";
  constexpr std::string_view bounded = "auto:";
  std::string_view number = text;
  const bool is_bounded = number.starts_with(bounded);
  if (is_bounded) {
    number.remove_prefix(bounded.size());
  } else if (number == automatic) {
    number = "0";
  }
  int threads = -1;
  const char* const end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, threads);
  if (error != std::errc() || stop != end || threads < (is_bounded ? 1 : 0) || threads > most) {
    return fmt::format(
        "--threads {}: expected auto, auto:N (chosen, at most N), N from 1 to {}, or 0 for as many "
        "as the process may use",
        text, most);
  }
  arguments.threads = threads;
  arguments.choose_threads = text.starts_with(automatic);
  return "";
}

std::string threads_argument(const PipelineArguments& arguments, int threads) {
  return fmt::format("{}{}", arguments.choose_threads && threads > 1 ? "auto:" : "", threads);
}

int set_threads(int wanted) {
  const int threads = wanted > 0 ? wanted : usual_threads();
  // Two pools of LibTorch have one thread each for all but the first; the loader's and the one that
  // renews a claim come on top.
  require_threads(2 * (threads - 1) + 2);
  at::set_num_threads(threads);
  return threads;
}

}  // namespace bissl::host
