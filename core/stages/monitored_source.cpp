#include "stages/monitored_source.h"

#include "analysis/neighbours.h"
#include "analysis/working_memory.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "data/target_rules.h"
#include "models/evaluation_guard.h"
#include "stages/knn/classifier.h"
#include "stages/memory.h"
#include "stages/networks.h"
#include "stages/scoring.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

constexpr const char* collapse_figure = "feature_std";

}  // namespace

MonitoredSource::MonitoredSource(const StageContext& context, const Table& table,
                                 const BatchSource& training, Backbone& backbone, bool named)
    : context_(context),
      options_(parse_monitor(table)),
      augment_(table.augment()),
      backbone_(backbone),
      named_(named),
      batches_(batches_of(std::min(options_.batch, options_.samples))) {
  if (options_.needs_labels() && batches_->data().targets().kind != TargetKind::category) {
    fail_input("monitor.figures: data.{} has {}; figures of classes need one class of an image",
               spelled_key(options_.data), describe(batches_->data().targets()));
  }
  if (batches_->view_shape().channels != training.view_shape().channels) {
    fail_input("monitor.data: data.{} has images of {} channels, the training's have {}",
               spelled_key(options_.data), batches_->view_shape().channels,
               training.view_shape().channels);
  }
  samples_ = std::min(options_.samples, batches_->samples());
  if (samples_ < 4) {
    fail_input("monitor.data: data.{} has {} images; a monitor needs 4 at least",
               spelled_key(options_.data), samples_);
  }
}

std::shared_ptr<BatchSource> MonitoredSource::batches_of(int64_t batch) const {
  const bool labelled = options_.needs_labels();
  const BatchOptions options{.batch = batch,
                             .order = Order::shuffled,
                             .seed = context_.seed_for("monitor"),
                             .purpose = "monitor",
                             .targets = labelled};
  return labelled
             ? make_labelled_batches(context_, "monitor.data", options_.data, augment_, options)
             : make_batches(context_, options_.data, augment_, options);
}

std::vector<std::string> MonitoredSource::doubts() const {
  std::vector<std::string> found;
  if (options_.samples > samples_ && options_.samples != MonitorOptions{}.samples) {
    found.push_back(fmt::format(
        "monitor.samples = {} is more than the {} images of data.{}: the figures are of these",
        options_.samples, samples_, spelled_key(options_.data)));
  }
  if (const int64_t half = samples_ / 2; options_.has(knn_figure) && options_.k > half) {
    found.push_back(fmt::format(
        "monitor.k = {} is more than half of the {} images of data.{}, which are the neighbours of "
        "the other half: {} vote",
        options_.k, samples_, spelled_key(options_.data), half));
  }
  return found;
}

int64_t MonitoredSource::images(int64_t steps) const {
  return (steps / options_.every + (steps % options_.every == 0 ? 0 : 1)) * samples_;
}

at::Tensor MonitoredSource::features(int64_t rows, at::Tensor* labels) const {
  const c10::NoGradGuard no_grad;
  const EvaluationGuard guard({}, 0);  // the generator is put back
  const EvaluationMode mode(backbone_.module());
  std::vector<at::Tensor> features;
  std::vector<at::Tensor> targets;
  for (int64_t number = 0, done = 0; done < rows; ++number) {
    const Batch batch = batches_->make(number);
    features.push_back(backbone_.forward(batch.views[0]).to(at::kFloat));
    if (batch.targets.dense.defined()) {
      targets.push_back(batch.targets.dense.cpu());
    }
    done += features.back().size(0);
  }
  if (!targets.empty()) {
    *labels = at::cat(targets).narrow(0, 0, rows).contiguous();
  }
  return at::cat(features).narrow(0, 0, rows).contiguous();
}

void MonitoredSource::try_images() const {
  at::Tensor labels;
  features(std::min<int64_t>(samples_, 2), &labels);
}

StepOnBatch MonitoredSource::pass() const {
  return {.key = "monitor.batch",
          .batch = std::min(options_.batch, samples_),
          .beside = features_bytes(),
          .make = [this](int64_t samples) { return batches_of(samples)->make(0); },
          .work =
              [this](const Batch& batch) {
                const c10::NoGradGuard no_grad;
                const EvaluationGuard guard({}, 0);  // the generator is put back
                const EvaluationMode mode(backbone_.module());
                backbone_.forward(batch.views[0]);
              }};
}

double MonitoredSource::features_bytes() const {
  return static_cast<double>(samples_) * static_cast<double>(backbone_.features()) * sizeof(float);
}

double MonitoredSource::neighbours_bytes() const {
  const int64_t half = samples_ / 2;
  const auto classes = static_cast<double>(batches_->data().targets().width);
  const double votes = static_cast<double>(samples_ - half) * classes * sizeof(double);
  return features_bytes() / 2 + nearness_bytes(half, samples_ - half) + votes;
}

double MonitoredSource::figures_bytes() const {
  const AnalysedSize size{.samples = samples_,
                          .width = backbone_.features(),
                          .classes = std::max<int64_t>(1, batches_->data().targets().width)};
  double beside = features_bytes();  // those of the batches, while they are put together
  const auto consider = [&](const std::string& figure) {
    const FigureInfo* info = monitor_figure(figure);
    beside = std::max(beside, info == nullptr ? neighbours_bytes() : figure_bytes(*info, size));
  };
  for (const std::string& figure : options_.figures) {
    consider(figure);
  }
  if (options_.warn_below > 0) {
    consider(collapse_figure);
  }
  return features_bytes() + beside;
}

void MonitoredSource::refuse_beyond_memory() const {
  host::refuse_beyond_memory(
      fmt::format("monitor.samples = {}", options_.samples),
      fmt::format("what a look keeps and computes of {} features of each", backbone_.features()),
      figures_bytes(), "Choose fewer samples, or leave out figures");
}

std::optional<double> MonitoredSource::measure(const std::string& figure,
                                               const at::Tensor& features,
                                               const at::Tensor& labels) const {
  if (const FigureInfo* info = monitor_figure(figure)) {
    const Measured measured = info->input == FigureInput::classes ? info->of_two(features, labels)
                                                                  : info->of_one(features);
    return measured.value;
  }
  const int64_t half = samples_ / 2;
  const KnnClassifier classifier(features.narrow(0, 0, half).clone(), labels.narrow(0, 0, half),
                                 batches_->data().targets().width,
                                 {std::min(options_.k, half), options_.temperature});
  const at::Tensor ranks = ranks_of(classifier.votes(features.narrow(0, half, samples_ - half)),
                                    labels.narrow(0, half, samples_ - half).contiguous());
  return static_cast<double>(ranks.lt(1).sum().item<int64_t>()) /
         static_cast<double>(ranks.size(0));
}

void MonitoredSource::judge_spread(double spread, int64_t done) {
  low_ = spread < options_.warn_below ? low_ + 1 : 0;
  if (low_ < 2 || warned_ || !context_.settings.warn) {
    return;
  }
  warned_ = true;
  context_.settings.warn(fmt::format(
      "the features{} collapse: after step {} their feature_std is {:.3g}, at the second look in a "
      "row below {:.3g} (monitor.warn_below); 1 is that of features in all directions, 0 of "
      "features in one",
      named_ ? " of data." + spelled_key(options_.data) : "", done, spread, options_.warn_below));
}

std::vector<std::pair<std::string, std::optional<double>>> MonitoredSource::look(int64_t done) {
  at::Tensor labels;
  const at::Tensor found = features(samples_, &labels);
  last_.clear();
  last_step_ = done;
  std::vector<std::pair<std::string, std::optional<double>>> values;
  const bool finite = at::isfinite(found).all().item<bool>();
  for (const std::string& figure : options_.figures) {
    // Weights that are not finite end the stage elsewhere, with words of their own.
    const std::optional<double> value =
        finite ? measure(figure, found, labels) : std::optional<double>();
    values.emplace_back(figure, value);
    if (value && std::isfinite(*value)) {
      last_.emplace_back(figure, *value);
    }
  }
  if (finite && options_.warn_below > 0) {
    if (const std::optional<double> spread = measure(collapse_figure, found, labels)) {
      judge_spread(*spread, done);
    }
  }
  return values;
}

nlohmann::json MonitoredSource::report() const {
  nlohmann::json last = nlohmann::json::object();
  for (const auto& [name, value] : last_) {
    last[name] = value;
  }
  return {{"last", last}, {"last_step", last_step_}};
}

nlohmann::json MonitoredSource::save() const {
  nlohmann::json last = nlohmann::json::array();
  for (const auto& [name, value] : last_) {
    last.push_back({name, value});
  }
  return {{"last", last}, {"last_step", last_step_}, {"low", low_}, {"warned", warned_}};
}

void MonitoredSource::load(const nlohmann::json& saved) {
  last_.clear();
  for (const nlohmann::json& one : saved.at("last")) {
    last_.emplace_back(one.at(0).get<std::string>(), one.at(1).get<double>());
  }
  last_step_ = saved.at("last_step").get<int64_t>();
  low_ = saved.at("low").get<int64_t>();
  warned_ = saved.at("warned").get<bool>();
}

}  // namespace bissl::host
