#include "bissl/error.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"
#include "stages/evaluate.h"
#include "stages/networks.h"
#include "stages/options.h"
#include "stages/schedule.h"
#include "stages/session.h"
#include "stages/stages.h"
#include "store/atomic_file.h"
#include "store/checkpoint.h"
#include "store/posix_file.h"

#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

/// What is random in one repeat, told by a word.
std::string use(const char* what, int64_t repeat) { return fmt::format("{}#{}", what, repeat); }

class Repeat {
 public:
  Repeat(const StageContext& context, const FinetuneOptions& options, int64_t number,
         std::filesystem::path folder)
      : context_(context), options_(options), number_(number), folder_(std::move(folder)) {}

  /// Trains and scores; the metrics on the test data.
  Metrics run();

 private:
  void build();
  void train();
  double step(const Batch& batch, double rate);

  const StageContext& context_;
  const FinetuneOptions& options_;
  int64_t number_;
  std::filesystem::path folder_;
  std::shared_ptr<BatchSource> source_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Downstream> downstream_;
  std::shared_ptr<Optimizer> optimizer_;
  NamedTensors parameters_;
};

void Repeat::build() {
  const Table& table = context_.stage.table;
  source_ = make_batches(
      context_, options_.data, table.component("augment"),
      {options_.batch, 1, Order::shuffled, context_.seed_for(use("batches", number_)), "finetune"});
  if (!source_->data().labelled()) {
    fail_input("stage.{}: data.{} has no labels", context_.stage.name, options_.data);
  }
  backbone_ = make_backbone(context_, source_->view_shape(),
                            context_.seed_for(use("init/backbone", number_)));
  if (context_.parent) {
    load_weights(*context_.parent, backbone_file, backbone_->module());
  }
  downstream_ = make_downstream(context_, table.component("downstream"), *backbone_,
                                static_cast<int64_t>(source_->data().class_names().size()),
                                context_.seed_for(use("init/head", number_)));
  for (const auto& [name, tensor] : trainable_parameters(downstream_->module())) {
    parameters_.emplace_back("head." + name, tensor);
  }
  if (options_.freeze_backbone) {
    set_training(backbone_->module(), false);
  } else {
    for (const auto& [name, tensor] : trainable_parameters(backbone_->module())) {
      parameters_.emplace_back("backbone." + name, tensor);
    }
  }
  optimizer_ = make_optimizer(table.component("optimizer"), parameters_);
}

double Repeat::step(const Batch& batch, double rate) {
  const at::Tensor images = batch.views[0].to(context_.settings.device);
  const at::Tensor targets = batch.targets.to(context_.settings.device);
  at::Tensor features;
  {
    const c10::AutoGradMode grad(!options_.freeze_backbone);
    features = backbone_->forward(images);
  }
  const at::Tensor loss = downstream_->loss(downstream_->forward(features), targets);
  TensorList gradients = gradients_of(loss, tensors_of(parameters_));
  const auto value = loss.item<double>();
  const double gradient_norm = clip_norm(gradients, options_.max_grad_norm);
  if (!std::isfinite(value) || !std::isfinite(gradient_norm)) {
    fail_run(
        "stage.{}: fine-tuning diverged: loss {}, gradient norm {}. Try a smaller learning rate",
        context_.stage.name, value, gradient_norm);
  }
  assign_gradients(parameters_, gradients);
  optimizer_->step(rate);
  return value;
}

void Repeat::train() {
  const int64_t steps = steps_of(options_.length, source_->samples(), options_.batch);
  const Schedule schedule(
      parse_schedule(context_.stage.table), steps,
      static_cast<double>(source_->samples()) / static_cast<double>(options_.batch));
  const std::string label = options_.repeats == 1 ? context_.stage.name
                                                  : fmt::format("{} {}/{}", context_.stage.name,
                                                                number_ + 1, options_.repeats);
  Session session(context_, folder_, label, steps, options_.batch);
  session.keep("backbone", backbone_->module());
  session.keep("head", downstream_->module());
  session.keep("optimizer", *optimizer_);
  seed_generator(context_.seed_for(use("noise", number_)));
  int64_t step_number = session.start();
  Prefetcher batches(source_, step_number, steps, context_.settings.loader_threads);
  for (; step_number < steps; ++step_number) {
    const double rate = schedule.rate(step_number);
    const double loss = step(batches.next(), rate);
    session.done(step_number, {{"loss", loss}}, {{"rate", rate}});
  }
  session.finish();
}

Metrics Repeat::run() {
  build();
  train();
  const Metrics metrics =
      evaluate(context_, context_.stage.table.table("evaluate"), *backbone_, *downstream_,
               source_->data().class_names(), source_->view_shape());
  save_weights(folder_, backbone_file, backbone_->module());
  save_weights(folder_, head_file, downstream_->module());
  return metrics;
}

/// Mean and sample standard deviation (0 for a single run) of each metric.
nlohmann::json summarise(const std::vector<nlohmann::json>& runs) {
  nlohmann::json summary = nlohmann::json::object();
  const auto count = static_cast<double>(runs.size());
  for (const auto& [name, ignored] : runs.front().items()) {
    double sum = 0;
    for (const auto& run : runs) {
      sum += run.at(name).get<double>();
    }
    const double mean = sum / count;
    double squares = 0;
    for (const auto& run : runs) {
      squares += std::pow(run.at(name).get<double>() - mean, 2);
    }
    summary[name] = {{"mean", mean}, {"std", count > 1 ? std::sqrt(squares / (count - 1)) : 0.0}};
  }
  return summary;
}

}  // namespace

nlohmann::json run_finetune(const StageContext& context) {
  const FinetuneOptions options = parse_finetune(context.stage.table);
  std::vector<nlohmann::json> runs;
  for (int64_t repeat = 0; repeat < options.repeats; ++repeat) {
    const std::filesystem::path folder = context.folder / fmt::format("run-{}", repeat);
    const std::filesystem::path results = folder / "results.json";
    make_folder(folder);
    if (!std::filesystem::exists(results)) {
      const Metrics metrics = Repeat(context, options, repeat, folder).run();
      nlohmann::json values = nlohmann::json::object();
      for (const auto& [name, value] : metrics) {
        values[name] = value;
      }
      write_file_atomically(results, values.dump(2) + "\n");
      remove_checkpoint(folder);
    }
    constexpr uint64_t limit = 1 << 20;
    runs.push_back(nlohmann::json::parse(read_whole(results, limit)));
  }
  const std::string data = parse_evaluate(context.stage.table.table("evaluate")).data;
  return {{"repeats", options.repeats}, {"metrics", {{data, summarise(runs)}}}, {"runs", runs}};
}

}  // namespace bissl
