#include "stages/trial.h"

#include "base/spelling.h"
#include "bilevel/hessian.h"
#include "bissl/error.h"
#include "models/module_state.h"
#include "pipeline/diagnostics.h"
#include "stages/held_tensors.h"
#include "stages/match.h"
#include "stages/memory.h"
#include "stages/rates.h"
#include "stages/schedule.h"
#include "stages/scoring.h"
#include "telemetry/peak_memory.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

namespace bissl::host {

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double StageTrial::pass(const char* key, int64_t batch, const std::function<void()>& work) const {
  // The first pass of a process is slower than the others; a long one is hardly so.
  try {
    const double first = seconds_of(work);
    return measure_ && first < long_pass ? std::min(first, seconds_of(work)) : first;
  } catch (const MissingDerivative&) {
    throw;  // has nothing to do with the batch
  } catch (const Error& error) {
    // What a library cannot do with a single sample is the batch's fault.
    const Error judged = batch == 1 ? Error(ErrorKind::input, error.what()) : error;
    throw judged.at(fmt::format("a step with {} = {}", key, batch));
  }
}

double StageTrial::pass(const char* key, int64_t batch, const ViewsChoice& declared,
                        const BatchSource& source, const std::function<void()>& work) const {
  const std::vector<ImageShape>& shapes = source.view_shapes();
  const bool differ = std::any_of(shapes.begin(), shapes.end(),
                                  [&](const ImageShape& shape) { return shape != shapes.front(); });
  return pass(key, batch, [&] {
    try {
      work();
    } catch (const MissingDerivative&) {
      throw;  // has nothing to do with the views
    } catch (const Error& error) {
      if (!differ) {
        throw;
      }
      throw Error(ErrorKind::input, error.what())
          .at(fmt::format("{} gives {}", declared.describe(), views_text(shapes)));
    }
  });
}

std::function<void(const Batch& batch)> StageTrial::evaluation_pass(Backbone& backbone) {
  return [&backbone](const Batch& batch) {
    const c10::NoGradGuard no_grad;
    const EvaluationMode mode(backbone.module());
    backbone.forward(batch.views[0]);
  };
}

void StageTrial::require_memory(StepOnBatch step, int64_t batches) {
  const int threads = context_.settings.loader_threads;
  step.held = batches_held(threads, batches);
  step.threads += threads;
  plan_.peak_before = std::max(plan_.peak_before, static_cast<double>(peak_memory()));
  refuse_step_beyond_memory(step);
}

double StageTrial::bytes_held(const BatchSource& source, int64_t batch, int64_t batches) const {
  return bytes_of({.key = "",
                   .batch = batch,
                   .views = source.view_shapes(),
                   .held = batches_held(context_.settings.loader_threads, batches)});
}

void StageTrial::hold_batches(const BatchSource& source, int64_t batch, int64_t batches) {
  plan_.held_bytes += bytes_held(source, batch, batches) -
                      bytes_of({.key = "", .batch = batch, .views = source.view_shapes()});
}

void StageTrial::warn_about_single(const char* key, int64_t batch, torch::nn::Module& module) {
  if (batch > 1 || !is_training(module)) {
    return;
  }
  const NamedTensors state = module_state(module);
  const bool normalises = std::any_of(state.begin(), state.end(), [](const auto& entry) {
    return entry.name.ends_with("running_mean");
  });
  if (normalises) {
    plan_.warnings.push_back(fmt::format(
        "{} = {}: batch normalisation takes its statistics from a single image, and those that it "
        "keeps for evaluation are of single images, too. Take at least 2",
        key, batch));
  }
}

void StageTrial::warn_about_repeats(const char* key, int64_t batch, const std::string& data,
                                    int64_t samples) {
  if (batch > samples) {
    plan_.warnings.push_back(
        fmt::format("{} = {} is more than the {} images of data.{}: every batch holds some of them "
                    "several times",
                    key, batch, samples, spelled_key(data)));
  }
}

void StageTrial::look_at_images(const char* key, const BatchSource& source) {
  constexpr int64_t most = 500;
  try {
    source.require_one_shape(most);
  } catch (const Error& error) {
    throw error.at(key);
  }
}

void StageTrial::warn_about_length(const std::string& path, const LengthOptions& length,
                                   const BatchSource& source, int64_t batch) {
  if (const std::string doubt = rounding_doubt(length, source.samples(), batch); !doubt.empty()) {
    plan_.warnings.push_back(path + doubt);
  }
}

void StageTrial::warn_about_schedule(const std::string& path, const Table& table, int64_t steps,
                                     const BatchSource& source, int64_t batch) {
  const double epoch = static_cast<double>(source.samples()) / static_cast<double>(batch);
  for (const std::string& doubt : doubts(parse_schedule(table), steps, epoch)) {
    plan_.warnings.push_back(fmt::format("{}schedule.{}", path, doubt));
  }
}

void StageTrial::warn_about_task(const std::string& key, const ComponentChoice& task,
                                 int64_t steps) {
  const Stage& stage = context_.stage;
  if (!stage.from.empty() && trains_pretext(context_.pipeline.stage(stage.from).kind)) {
    return;
  }
  for (const ParameterSpec& parameter : task.component->info.parameters) {
    const auto found = task.values.find(parameter.name);
    const auto* value = found == task.values.end() ? nullptr : std::get_if<int64_t>(&found->second);
    if (parameter.unit == "steps" && value != nullptr && *value > 0 && *value >= steps) {
      warn(fmt::format("{}.{} = {} ({}): the task has {} {} in this stage, which ends before that",
                       key, parameter.name, *value, parameter.doc, steps,
                       steps == 1 ? "step" : "steps"));
    }
  }
}

void StageTrial::warn(std::string text) {
  if (!text.empty()) {
    plan_.warnings.push_back(std::move(text));
  }
}

void StageTrial::warn_all(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    warn(text);
  }
}

void StageTrial::hand_on(const char* file, const torch::nn::Module& module) {
  plan_.weights[file] = shapes_of(module_state(module));
}

void StageTrial::describe(const BatchSource& source, Backbone& backbone) {
  plan_.networks =
      fmt::format("{} images, {}, {} features, {} backbone parameters", source.samples(),
                  views_text(source.view_shapes()), backbone.features(),
                  count(tensors_of(trainable_parameters(backbone.module()))));
  for (const auto& [key, rate] : scaled_rates(context_.stage)) {
    plan_.networks += fmt::format(", {} scaled to {}", key, rate);
  }
}

}  // namespace bissl::host
