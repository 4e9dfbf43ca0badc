#include "cli/compare_command.h"

#include "base/atomic_file.h"
#include "bissl/error.h"
#include "cli/compare_advice.h"
#include "cli/compare_files.h"
#include "cli/compare_record.h"
#include "cli/exit_codes.h"
#include "cli/report_command.h"
#include "cli/run_settings.h"
#include "cli/sweep_command.h"
#include "pipeline/plain_names.h"
#include "report/gather.h"
#include "report/verdict.h"
#include "store/sweep_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// The share of the given time that trainings may take; the rest is for reading, scoring and what
/// the estimate does not know.
constexpr double share_of_time = 0.8;
/// No longer than this many times the standard numbers of steps, however much time there is.
constexpr double most = 25;
/// A network of half the width takes the place of one that has time for fewer than this share of
/// them: many steps of a small network say more than few of a larger one.
constexpr double few = 0.5;

/// One call of `bissl compare`.
class CompareCommand {
 public:
  CompareCommand(const PipelineArguments& arguments, const CompareArguments& compare,
                 PluginSearch& plugins, std::ostream& out, std::ostream& err)
      : arguments_(arguments), compare_(compare), plugins_(plugins), out_(out), err_(err) {}

  int run();

 private:
  void look();
  void describe() const;
  void write() const;
  std::optional<double> estimated_seconds();
  void print_data_warnings() const;
  bool fit_to_time();
  /// Whether an earlier call has chosen: a machine that is busier now must not choose otherwise.
  bool was_begun() const {
    return fs::exists(ablation_file()) && fs::exists(pipeline_file()) &&
           fs::exists(arguments_.out / settings_.name / plan_file);
  }
  int report();

  fs::path pipeline_file() const { return arguments_.out / (settings_.name + "-pipeline.toml"); }
  fs::path ablation_file() const { return arguments_.out / (settings_.name + ".toml"); }
  CompareFiles files() const { return {pipeline_file(), ablation_file()}; }
  CompareGiven given() const {
    const auto if_given = [](int64_t number) {
      return number > 0 ? std::optional(number) : std::nullopt;
    };
    return {.seeds = if_given(compare_.seeds), .size = if_given(compare_.size)};
  }
  /// Whether neither weights nor --set say which network it is.
  bool may_choose_width() const {
    return !settings_.weights &&
           std::none_of(arguments_.overrides.begin(), arguments_.overrides.end(),
                        [](const std::string& set) { return set.starts_with("model."); });
  }
  PipelineArguments of_sweep(bool json) const {
    PipelineArguments arguments = arguments_;
    arguments.file = ablation_file();
    arguments.json = json;
    return arguments;
  }

  const PipelineArguments& arguments_;
  const CompareArguments& compare_;
  PluginSearch& plugins_;
  std::ostream& out_;
  std::ostream& err_;
  CompareSettings settings_;
  std::string said_;  ///< by the last estimate
};

/// "my photos/" → "compare-my-photos".
std::string name_after(const fs::path& data) {
  std::string name = "compare-";
  fs::path whole = fs::absolute(data).lexically_normal();
  whole = whole.has_filename() ? whole : whole.parent_path();
  for (const char c : whole.filename().string()) {
    const std::string one(1, c);
    name += is_plain_name("a" + one) ? one : "-";
  }
  constexpr size_t longest = 60;
  return name.substr(0, longest);
}

void CompareCommand::look() {
  settings_.labelled = look_at_labelled(compare_.data);
  if (!compare_.unlabeled.empty()) {
    settings_.unlabeled = compare_.unlabeled;
    settings_.unlabeled_images = count_images(compare_.unlabeled);
  } else {
    settings_.unlabeled_images = settings_.labelled.train_images;
  }
  constexpr int64_t fewest = 8;
  if (settings_.unlabeled_images < fewest) {
    fail_input(
        "{}: {} images are too few for the pretext task, which tells the images of a batch apart: "
        "give at least {}, or more unlabelled ones with --unlabeled",
        (settings_.unlabeled ? *settings_.unlabeled : settings_.labelled.train).string(),
        settings_.unlabeled_images, fewest);
  }
  if (!compare_.weights.empty()) {
    if (!fs::is_regular_file(compare_.weights)) {
      fail_input("--weights {}: there is no such file", compare_.weights.string());
    }
    settings_.weights = compare_.weights;
    settings_.backbone = compare_.backbone;
  }
  settings_.name = compare_.name.empty() ? name_after(compare_.data) : compare_.name;
  if (!is_plain_name(settings_.name)) {
    fail_input("--name {}: expected {}", settings_.name, plain_name_rule());
  }
  settings_.seeds = given().seeds.value_or(settings_.seeds);
  constexpr double long_time = 120;
  settings_.size = compare_.size > 0              ? compare_.size
                   : settings_.weights            ? 96
                   : compare_.minutes < long_time ? 32
                                                  : 48;
}

void CompareCommand::describe() const {
  const LabelledFolder& labelled = settings_.labelled;
  err_ << fmt::format(
      "{} classes, {} images to train with, {} to score on ({}); pretext task on {} images{}\n",
      labelled.classes.size(), labelled.train_images, labelled.test_images,
      labelled.test ? labelled.test->string()
                    : fmt::format("{} of each class, the same in every call", labelled.held_out),
      settings_.unlabeled_images,
      settings_.unlabeled ? " of " + settings_.unlabeled->string() : ", the labelled ones");
}

void CompareCommand::write() const {
  fs::create_directories(arguments_.out);
  write_file_atomically(pipeline_file(), marked_as_written(compare_pipeline(settings_)));
  write_file_atomically(ablation_file(), marked_as_written(compare_ablation(
                                             settings_, pipeline_file().filename().string())));
}

/// What the files would take, by trial steps; none where they are refused, which is printed.
std::optional<double> CompareCommand::estimated_seconds() {
  std::ostringstream plan;
  SweepArguments sweep;
  sweep.plan = true;
  sweep.jobs = compare_.jobs;
  std::ostringstream said;
  const int code = run_sweep(of_sweep(true), sweep, plugins_, plan, said);
  said_ = said.str();
  const nlohmann::json found = nlohmann::json::parse(plan.str(), nullptr, false);
  if (code != exit_done || !found.is_object() || !found.contains("estimated_wall_seconds")) {
    sweep.plan = false;
    sweep.check = true;  // says for people what is wrong
    run_sweep(of_sweep(arguments_.json), sweep, plugins_, out_, err_);
    return std::nullopt;
  }
  return found.at("estimated_wall_seconds").get<double>();
}

/// What the estimate found of the data. A sweep that runs says it by itself.
void CompareCommand::print_data_warnings() const {
  std::istringstream lines(said_);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("warning: data.")) {
      err_ << line << '\n';
    }
  }
}

/// Chooses numbers of steps by the time; false where the data are refused.
bool CompareCommand::fit_to_time() {
  refuse_to_overwrite(files());
  write();
  const double wanted = share_of_time * 60 * compare_.minutes;
  std::optional<double> seconds = estimated_seconds();
  if (seconds && wanted < few * *seconds && may_choose_width()) {
    settings_.width /= 2;
    write();
    seconds = estimated_seconds();
  }
  if (!seconds) {
    return false;
  }
  const double factor = *seconds > 0 ? std::min(most, wanted / *seconds) : 1.0;
  const double least =
      static_cast<double>(least_pretext_steps) / static_cast<double>(settings_.pretext_steps);
  if (factor < least) {
    fail_input(
        "--minutes {:.3g} is too short: {} seeds of all arms with {} pretext steps, the fewest "
        "that say anything, take about {:.0f} minutes here. Give more time, fewer --seeds or a "
        "smaller --size",
        compare_.minutes, settings_.seeds, least_pretext_steps,
        std::ceil(*seconds * least / (share_of_time * 60)));
  }
  settings_ = settings_.scaled(factor);
  write();
  err_ << fmt::format(
      "{} px{}, {} seeds, {} pretext steps, {} rounds of bissl, {} steps of fine-tuning: about "
      "{:.0f} minutes. Settings: {} and {}\n",
      settings_.size,
      may_choose_width() ? fmt::format(", a ResNet-18 of width {}", settings_.width) : "",
      settings_.seeds, settings_.pretext_steps, settings_.rounds, settings_.finetune_steps,
      std::max(1.0, *seconds * factor / 60), ablation_file().string(),
      pipeline_file().filename().string());
  return true;
}

int CompareCommand::report() {
  const fs::path folder = arguments_.out / settings_.name;
  ReportArguments of_report;
  of_report.folders = {folder};
  of_report.json = arguments_.json;
  of_report.advises = true;
  const int code = run_report(of_report, out_, err_);
  if (code == exit_done && !arguments_.json) {
    const ReportData data = gather({folder}, "");
    const PooledResults pooled = pooled_results(data);
    if (const std::string words = verdict(data, pooled); !words.empty()) {
      out_ << '\n' << words << ' ' << compare_advice(data, pooled) << '\n';
    }
  }
  return code;
}

int CompareCommand::run() {
  checked_device(arguments_.device);  // before anything is read
  look();
  describe();
  if (was_begun()) {
    refuse_other_comparison(files(), settings_, given());
    err_ << fmt::format("continues {} with its settings; another --name begins anew\n",
                        (arguments_.out / settings_.name).string());
  } else if (!fit_to_time()) {
    return exit_wrong_input;
  }
  if (compare_.dry_run) {
    print_data_warnings();
    return exit_done;
  }
  std::ostringstream cells;
  SweepArguments sweep;
  sweep.jobs = compare_.jobs;
  sweep.common = compare_.common;
  const int code = run_sweep(of_sweep(arguments_.json), sweep, plugins_, cells, err_);
  if (code == exit_wrong_input) {
    out_ << cells.str();
    return code;
  }
  return std::max(code, report());
}

}  // namespace

int run_compare(const PipelineArguments& arguments, const CompareArguments& compare,
                PluginSearch& plugins, std::ostream& out, std::ostream& err) {
  return CompareCommand(arguments, compare, plugins, out, err).run();
}

}  // namespace bissl::host
