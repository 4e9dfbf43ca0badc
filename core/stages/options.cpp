#include "stages/options.h"

#include "bissl/error.h"
#include "stages/option_schemas.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bissl::host {
namespace {

const Schema<ScheduleOptions>& schedule_schema() {
  static const Schema<ScheduleOptions> schema = [] {
    Schema<ScheduleOptions> s;
    s.add("use", &ScheduleOptions::use,
          "\"cosine\" falls from the base learning rate to `end_factor` times it over the stage "
          "(Loshchilov and Hutter 2017, arXiv 1608.03983); \"constant\" stays")
        .choices({"constant", "cosine"});
    s.add("warmup_epochs", &ScheduleOptions::warmup_epochs,
          "linear rise to the base learning rate over this many passes over the data")
        .at_least(0)
        .unit("epochs");
    s.add("warmup_steps", &ScheduleOptions::warmup_steps,
          "linear rise to the base learning rate over this many steps")
        .at_least(0)
        .unit("steps");
    s.add("end_factor", &ScheduleOptions::end_factor,
          "learning rate at the end of \"cosine\", as a share of the base learning rate")
        .at_least(0)
        .at_most(1)
        .only_with("use", "cosine")
        .formerly("final");
    s.rule([](const ScheduleOptions& options, std::vector<Finding>& findings) {
      if (options.warmup_epochs > 0 && options.warmup_steps > 0) {
        findings.push_back({Finding::Severity::error, "warmup_steps",
                            "warmup_epochs and warmup_steps are both given; give one of them"});
      }
    });
    return s;
  }();
  return schema;
}

double exact_steps(const LengthOptions& length, int64_t samples, int64_t batch) {
  return *length.epochs * static_cast<double>(samples) / static_cast<double>(batch);
}

}  // namespace

const Schema<LengthOptions>& length_schema() {
  static const Schema<LengthOptions> schema = [] {
    using Options = LengthOptions;
    Schema<Options> s;
    s.add("epochs", &Options::epochs, "passes over the data (or give steps)")
        .more_than(0)
        .unit("epochs");
    s.add("steps", &Options::steps, "optimizer steps (or give epochs)").at_least(1).unit("steps");
    s.rule([](const Options& options, std::vector<Finding>& findings) {
      if (options.epochs.has_value() == options.steps.has_value()) {
        findings.push_back({Finding::Severity::error, "epochs",
                            options.epochs ? "epochs and steps are both given; give one of them"
                                           : "give either epochs or steps"});
      }
    });
    return s;
  }();
  return schema;
}

SubtableSpec schedule_table() {
  return {"schedule", table_of(schedule_schema(), {{"warmup_epochs", "warmup_steps"}}), false,
          "the learning rate over time; constant if absent"};
}

AugmentSlot one_view() { return {false, "makes views of the images"}; }

AugmentSlot several_views() {
  return {true, "makes views of the images, as many as the pretext task takes"};
}

ComponentSlot pretext_slot() {
  return {"pretext", ComponentKind::pretext, true, "the self-supervised loss"};
}

ComponentSlot downstream_slot() {
  return {"downstream", ComponentKind::downstream, true, "head, loss and metrics"};
}

ComponentSlot optimizer_slot() {
  return {"optimizer", ComponentKind::optimizer, true, "updates the weights"};
}

ScheduleOptions parse_schedule(const Table& stage) {
  return stage.has_table("schedule") ? schedule_schema().parse(stage.table("schedule").values)
                                     : ScheduleOptions{};
}

void check_countable(const std::string& what, double steps, int64_t batch) {
  constexpr double most_steps = 1e12;
  if (!(steps <= most_steps)) {
    fail_input("{} makes {:.3g} steps; a stage can have 10^12 at most", what, steps);
  }
  constexpr double most_samples = 0x1p62;
  if (!(steps * static_cast<double>(batch) <= most_samples)) {
    fail_input("{}, of {} samples each, makes more samples than 64 bits can number", what, batch);
  }
}

int64_t steps_of(const LengthOptions& length, int64_t samples, int64_t batch) {
  if (length.steps) {
    check_countable(fmt::format("steps = {}", *length.steps), static_cast<double>(*length.steps),
                    batch);
    return *length.steps;
  }
  const double steps = exact_steps(length, samples, batch);
  check_countable(fmt::format("epochs = {}", *length.epochs), steps, batch);
  return std::max<int64_t>(1, std::llround(steps));
}

int64_t samples_of(int64_t batch, int64_t accumulate) {
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  return batch > most / accumulate ? most : batch * accumulate;
}

std::string rounding_doubt(const LengthOptions& length, int64_t samples, int64_t batch) {
  if (length.steps) {
    return "";
  }
  constexpr double far = 0.1;
  const double asked = exact_steps(length, samples, batch);
  const int64_t taken = steps_of(length, samples, batch);
  return std::abs(static_cast<double>(taken) - asked) <= far * asked
             ? ""
             : fmt::format("epochs = {} of {} images are {:.2g} steps of {}; {} {} taken",
                           *length.epochs, samples, asked, batch, taken, taken == 1 ? "is" : "are");
}

}  // namespace bissl::host
