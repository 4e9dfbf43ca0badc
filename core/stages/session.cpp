#include "stages/session.h"

#include "base/exception_text.h"
#include "base/phase.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"
#include "distributed/process_group.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "models/precision.h"
#include "pipeline/diagnostics.h"
#include "stages/agreement.h"
#include "store/checkpoint.h"
#include "telemetry/interrupt.h"

#include <ATen/ops/zeros.h>

namespace bissl::host {
namespace {

using Clock = std::chrono::steady_clock;

/// The tensors of a checkpoint whose names begin with `prefix`, without it.
NamedTensors with_prefix(const NamedTensors& all, const std::string& prefix) {
  NamedTensors chosen;
  for (const auto& [name, tensor] : all) {
    if (name.starts_with(prefix)) {
      chosen.emplace_back(name.substr(prefix.size()), tensor);
    }
  }
  return chosen;
}

constexpr const char* generator_name = "generator";

struct AfterStep {
  bool stop = false;
  bool save = false;
};

/// What all processes of a group do after a step: they stop when one of them is asked to, and
/// process 0's clock tells when a checkpoint is due.
AfterStep agreed(const AfterStep& wanted) {
  ProcessGroup* const group = current_group();
  if (group == nullptr) {
    return wanted;
  }
  at::Tensor votes = at::zeros({2}, at::kDouble);
  votes.data_ptr<double>()[0] = wanted.stop ? 1 : 0;
  votes.data_ptr<double>()[1] = wanted.save && group->rank() == 0 ? 1 : 0;
  group->sum(votes);
  return {.stop = votes.data_ptr<double>()[0] > 0, .save = votes.data_ptr<double>()[1] > 0};
}

}  // namespace

Session::Session(const StageContext& context, std::filesystem::path folder, std::string label,
                 int64_t steps, int64_t images_per_step)
    : folder_(std::move(folder)),
      steps_(steps),
      from_(context.stage.from),
      label_(std::move(label)),
      settings_(context.settings),
      images_per_step_(images_per_step) {
  if (LossScale* const of_losses = loss_scale()) {
    of_losses->begin();
    keep(
        "loss_scale",
        [of_losses] {
          const LossScale::State& state = of_losses->state();
          return nlohmann::json{{"value", state.value}, {"good_steps", state.good_steps}};
        },
        [of_losses](const nlohmann::json& saved) {
          of_losses->restore({.value = saved.at("value").get<double>(),
                              .good_steps = saved.at("good_steps").get<int64_t>()});
        });
  }
}

Session::~Session() = default;

void Session::keep(const std::string& name, torch::nn::Module& module) {
  modules_.push_back({name, &module, {}});
  parts_.push_back({name, [&module] { return module_state(module); },
                    [&module, name](const NamedTensors& state) {
                      load_module_state(module, state, "checkpoint of " + name);
                    }});
}

void Session::keep(const std::string& name, Optimizer& optimizer) {
  parts_.push_back({name, [&optimizer] { return optimizer.state(); },
                    [&optimizer](const NamedTensors& state) { optimizer.load_state(state); }});
}

void Session::keep(const std::string& name, Hypergradient& hypergradient) {
  auto* ability = capability<HypergradientState>(hypergradient);
  if (ability == nullptr) {
    parts_.push_back({name, [] { return NamedTensors{}; },
                      [](const NamedTensors& state) {
                        if (!state.empty()) {
                          fail_input(
                              "the checkpoint holds a state \"{}\" for a hypergradient "
                              "approximator without one",
                              state.front().name);
                        }
                      }});
    return;
  }
  parts_.push_back({name, [ability] { return ability->state(); },
                    [ability](const NamedTensors& state) { ability->load_state(state); }});
}

void Session::keep_tensors(const std::string& name, std::function<NamedTensors()> save,
                           std::function<void(const NamedTensors&)> load) {
  parts_.push_back({name, std::move(save), std::move(load)});
}

void Session::keep(const std::string& name, std::function<nlohmann::json()> save,
                   std::function<void(const nlohmann::json&)> load) {
  extras_.push_back({name, std::move(save), std::move(load)});
}

int64_t Session::start() {
  for (Module& one : modules_) {
    one.exempt = buffers_not_finite(*one.module);
  }
  int64_t first = 0;
  uint64_t event_position = 0;
  if (const auto checkpoint = load_checkpoint(folder_)) {
    const nlohmann::json& state = checkpoint->state;
    try {
      first = state.at("next_step").get<int64_t>();
      event_position = state.at("events").get<uint64_t>();
      for (const Extra& extra : extras_) {
        extra.load(state.at("extra").at(extra.name));
      }
    } catch (const nlohmann::json::exception& error) {
      fail_input(
          "{}: the checkpoint does not hold what this version of the program keeps ({}): another "
          "version wrote it. Continue with that version, or delete the file to start the stage "
          "again",
          (folder_ / checkpoint_file).string(), exception_text(error));
    }
    for (const Part& part : parts_) {
      part.load(with_prefix(checkpoint->tensors, part.name + "/"));
    }
    set_generator_state(with_prefix(checkpoint->tensors, generator_name).at(0).tensor);
  }
  require_same_step(first);
  events_ = std::make_unique<EventLog>(folder_ / event_log_file, event_position);
  if (settings_.progress) {
    progress_ = settings_.progress({.stage = label_,
                                    .total = steps_,
                                    .items_per_step = images_per_step_,
                                    .first_step = first});
  }
  last_checkpoint_ = Clock::now();
  return first;
}

void Session::require_finite_weights(int64_t steps_done) const {
  for (const Module& one : modules_) {
    const std::string found = first_not_finite(*one.module, one.exempt);
    if (!found.empty()) {
      fail_run(
          "training diverged: after step {} of {} the weights of the {} are not finite: {}. Try a "
          "smaller learning rate (optimizer.lr) or a longer warm-up",
          steps_done, steps_, one.name, found);
    }
  }
}

void Session::diverged(int64_t step, const Diverged& error) const {
  if (step > 0 || from_.empty()) {
    throw error.at(fmt::format("step {} of {}", step + 1, steps_));
  }
  fail_run(
      "the loss is not finite before the first step, with the weights of stage.{}, which this "
      "stage "
      "continues: that stage diverged, try a smaller learning rate there ({})",
      spelled_key(from_), std::string(error.what()).substr(0, std::string(error.what()).find('.')));
}

void Session::save_checkpoint(int64_t next_step) {
  const Phase phase(checkpoint_phase);
  require_finite_weights(next_step);
  if (const ProcessGroup* const group = current_group(); group != nullptr && group->rank() > 0) {
    return;  // all processes have the same state, and process 0 writes it
  }
  Checkpoint checkpoint;
  for (const Part& part : parts_) {
    for (const auto& [name, tensor] : part.save()) {
      checkpoint.tensors.emplace_back(part.name + "/" + name, tensor);
    }
  }
  checkpoint.tensors.emplace_back(generator_name, generator_state());
  checkpoint.state = {{"next_step", next_step}, {"events", events_->position()}};
  checkpoint.state["extra"] = nlohmann::json::object();
  for (const Extra& extra : extras_) {
    checkpoint.state["extra"][extra.name] = extra.save();
  }
  host::save_checkpoint(folder_, checkpoint);
  last_checkpoint_ = Clock::now();
  if (settings_.checkpointed) {
    settings_.checkpointed();
  }
}

void Session::run(int64_t& step, int64_t end, const std::function<StepNews(int64_t)>& work) {
  for (; step < end; ++step) {
    StepNews news;
    try {
      const Phase phase(step_phase);
      news = work(step);
    } catch (const Diverged& error) {
      diverged(step, error);
    }
    done(step, news);
    if (news.last) {
      step = end;
      return;
    }
  }
}

void Session::done(int64_t step, const StepNews& news) {
  if (settings_.confirm) {
    settings_.confirm();
  }
  nlohmann::json line = {{"step", step}};
  for (const auto& [name, value] : news.values) {
    line[name] = value;
  }
  if (news.event.is_object()) {
    line.update(news.event);
  }
  if (const LossScale* const of_losses = loss_scale()) {
    line["loss_scale"] = of_losses->value();
    if (of_losses->skipped()) {
      line["skipped"] = true;
    }
  }
  events_->write(line);
  if (progress_) {
    Values all = news.values;
    all.insert(all.end(), news.shown.begin(), news.shown.end());
    progress_->update(step + 1, std::move(all));
  }
  const std::chrono::duration<double> since = Clock::now() - last_checkpoint_;
  const AfterStep next =
      agreed({.stop = interrupted(), .save = since.count() >= settings_.checkpoint_seconds});
  if (next.stop || next.save) {
    save_checkpoint(step + 1);
  }
  if (next.stop) {
    throw Interrupted();
  }
}

void Session::finish() {
  require_finite_weights(steps_);
  if (progress_) {
    progress_->finish();
    progress_.reset();
  }
}

}  // namespace bissl::host
