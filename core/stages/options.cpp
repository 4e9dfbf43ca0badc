#include "stages/options.h"

#include "bissl/error.h"
#include "stages/option_schemas.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace bissl::host {
namespace {

/// What is wrong with the milestones of a schedule "step"; empty if nothing.
std::string milestones_fault(const std::vector<double>& milestones) {
  if (milestones.empty()) {
    return "\"step\" needs some: milestones = [0.6, 0.8]";
  }
  return std::adjacent_find(milestones.begin(), milestones.end(), std::greater_equal<>()) ==
                 milestones.end()
             ? ""
             : "each is to be later than the one before it";
}

void check_schedule(const ScheduleOptions& options, std::vector<Finding>& findings) {
  const auto error = [&](const char* parameter, std::string message) {
    findings.push_back({Finding::Severity::error, parameter, std::move(message)});
  };
  if (options.warmup_epochs > 0 && options.warmup_steps > 0) {
    error("warmup_steps", "warmup_epochs and warmup_steps are both given; give one of them");
  }
  if (options.use == "one-cycle" && (options.warmup_epochs > 0 || options.warmup_steps > 0)) {
    error(options.warmup_epochs > 0 ? "warmup_epochs" : "warmup_steps",
          "\"one-cycle\" rises by itself: give its `rise`, or no warm-up");
  }
  if (options.use == "step") {
    if (std::string fault = milestones_fault(options.milestones); !fault.empty()) {
      error("milestones", std::move(fault));
    }
  }
  if (options.use == "exponential" && options.end_factor == 0) {
    error("end_factor", "an \"exponential\" fall never reaches 0: give a small number");
  }
}

void add_shapes(Schema<ScheduleOptions>& s) {
  s.add("end_factor", &ScheduleOptions::end_factor,
        "learning rate at the end, as a share of the base learning rate")
      .at_least(0)
      .at_most(1)
      .only_with("use",
                 {std::string("cosine"), std::string("polynomial"), std::string("exponential"),
                  std::string("one-cycle"), std::string("warm-restarts")})
      .formerly("final");
  s.add("open_end", &ScheduleOptions::open_end,
        "the fall ends one step after the last one, as in the authors' code of arXiv 2410.02387, "
        "instead of in it")
      .only_with("use",
                 {std::string("cosine"), std::string("polynomial"), std::string("exponential")});
  s.add(
      "set_after_step", &ScheduleOptions::set_after_step,
      "each step has the learning rate that is meant for the one before it, and the first one the "
      "base learning rate, as where the schedule is asked after the step");
  s.add("power", &ScheduleOptions::power, "power of \"polynomial\"; 1 is a straight line")
      .more_than(0)
      .only_with("use", std::string("polynomial"));
  s.add("milestones", &ScheduleOptions::milestones,
        "when \"step\" multiplies the learning rate, as shares of the stage's steps: [0.6, 0.8]")
      .more_than(0)
      .less_than(1)
      .only_with("use", std::string("step"));
  s.add("factor", &ScheduleOptions::factor, "factor of \"step\" at each milestone")
      .more_than(0)
      .at_most(1)
      .only_with("use", std::string("step"));
  s.add("start_factor", &ScheduleOptions::start_factor,
        "where \"one-cycle\" begins, as a share of the base learning rate")
      .at_least(0)
      .at_most(1)
      .only_with("use", std::string("one-cycle"));
  s.add("rise", &ScheduleOptions::rise, "share of the steps in which \"one-cycle\" rises")
      .at_least(0)
      .less_than(1)
      .only_with("use", std::string("one-cycle"));
  s.add("cycles", &ScheduleOptions::cycles, "how many cosines \"warm-restarts\" has")
      .at_least(1)
      .at_most(1000)
      .unit("cycles")
      .only_with("use", std::string("warm-restarts"));
  s.add("cycle_growth", &ScheduleOptions::cycle_growth,
        "how much longer each cosine of \"warm-restarts\" is than the one before it")
      .at_least(1)
      .at_most(100)
      .only_with("use", std::string("warm-restarts"));
}

const Schema<ScheduleOptions>& schedule_schema() {
  static const Schema<ScheduleOptions> schema = [] {
    Schema<ScheduleOptions> s;
    s.add("use", &ScheduleOptions::use,
          "\"cosine\" falls from the base learning rate to `end_factor` times it over the stage "
          "(Loshchilov and Hutter 2017, arXiv 1608.03983); \"constant\" stays; \"step\" is "
          "multiplied at milestones; \"polynomial\" and \"exponential\" fall to `end_factor`; "
          "\"one-cycle\" rises and falls (Smith and Topin 2017, arXiv 1708.07120); "
          "\"warm-restarts\" has several cosines (arXiv 1608.03983)")
        .choices({"constant", "cosine", "step", "polynomial", "exponential", "one-cycle",
                  "warm-restarts"});
    s.add("warmup_epochs", &ScheduleOptions::warmup_epochs,
          "linear rise to the base learning rate over this many passes over the data")
        .at_least(0)
        .unit("epochs");
    s.add("warmup_steps", &ScheduleOptions::warmup_steps,
          "linear rise to the base learning rate over this many steps")
        .at_least(0)
        .unit("steps");
    add_shapes(s);
    s.rule(check_schedule);
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
