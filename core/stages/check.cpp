#include "stages/check.h"

#include "bilevel/lower_level.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "bissl/error.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/guarded.h"
#include "models/module_state.h"
#include "stages/networks.h"
#include "stages/options.h"
#include "stages/runner.h"

#include <algorithm>
#include <chrono>
#include <map>

namespace bissl {
namespace {

constexpr int64_t probe_samples = 2;

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::string shape_text(const ImageShape& shape) {
  return fmt::format("{}x{}x{}", shape.channels, shape.height, shape.width);
}

int64_t count_elements(const NamedTensors& tensors) {
  int64_t count = 0;
  for (const auto& entry : tensors) {
    count += entry.second.numel();
  }
  return count;
}

/// The pass through one stage.
class StageCheck {
 public:
  StageCheck(const StageContext& context, bool measure, StagePlan& plan)
      : context_(context), measure_(measure), plan_(plan) {}

  void run() {
    if (context_.stage.kind == "pretrain") {
      check_pretrain();
    } else if (context_.stage.kind == "bissl") {
      check_bissl();
    } else {
      check_finetune();
    }
  }

 private:
  struct PretextNetworks {
    std::shared_ptr<Backbone> backbone;
    std::shared_ptr<Pretext> pretext;
    int64_t samples = 0;
  };

  void check_pretrain();
  void check_bissl();
  void check_finetune();

  PretextNetworks build_pretext(const Table& table, const std::string& data);
  at::Tensor pretext_views(const PretextNetworks& networks, const Table& table,
                           const std::string& data, int64_t batch);
  /// The time of a gradient of the pretext loss on a batch of this size.
  double pretext_gradient(const PretextNetworks& networks, const Table& table,
                          const std::string& data, int64_t batch);
  double downstream_gradient(Backbone& backbone, const Table& table, const std::string& data,
                             int64_t batch, bool freeze);
  double hessian_product(const PretextNetworks& networks, const Table& table,
                         const std::string& data, int64_t batch);
  void warn_about_pull(const BisslOptions& options, const LowerOptions& lower,
                       const PretextNetworks& networks);

  const StageContext& context_;
  bool measure_;
  StagePlan& plan_;
};

StageCheck::PretextNetworks StageCheck::build_pretext(const Table& table, const std::string& data) {
  const auto source = make_batches(context_, data, table.component("augment"), {});
  PretextNetworks networks;
  networks.samples = source->samples();
  networks.backbone = make_backbone(context_, source->view_shape(), 0);
  networks.pretext = make_pretext(context_, table.component("pretext"), *networks.backbone, 0);
  plan_.networks = fmt::format(
      "{} images, views of {}, {} features, {} backbone parameters, {} in the pretext head",
      networks.samples, shape_text(source->view_shape()), networks.backbone->features(),
      count_elements(trainable_parameters(networks.backbone->module())),
      count_elements(trainable_parameters(networks.pretext->module())));
  // Made, and thrown away, to see that it accepts the parameters.
  make_optimizer(table.component("optimizer"),
                 lower_parameters(*networks.backbone, *networks.pretext));
  return networks;
}

at::Tensor StageCheck::pretext_views(const PretextNetworks& networks, const Table& table,
                                     const std::string& data, int64_t batch) {
  const auto source = make_batches(context_, data, table.component("augment"),
                                   {batch, networks.pretext->views(), Order::shuffled, 0, "check"});
  return source->make(0).views.to(context_.settings.device);
}

double StageCheck::pretext_gradient(const PretextNetworks& networks, const Table& table,
                                    const std::string& data, int64_t batch) {
  PretextProblem problem(*networks.backbone, *networks.pretext,
                         {pretext_views(networks, table, data, batch)}, {.lambda = 1.0});
  return seconds_of([&] { problem.gradient({}); });
}

double StageCheck::hessian_product(const PretextNetworks& networks, const Table& table,
                                   const std::string& data, int64_t batch) {
  PretextProblem problem(*networks.backbone, *networks.pretext,
                         {pretext_views(networks, table, data, batch)}, {.lambda = 1.0});
  const TensorList direction = copy(tensors_of(trainable_parameters(networks.backbone->module())));
  problem.hessian_product(direction);  // builds the graph
  return measure_ ? seconds_of([&] { problem.hessian_product(direction); }) : 0.0;
}

double StageCheck::downstream_gradient(Backbone& backbone, const Table& table,
                                       const std::string& data, int64_t batch, bool freeze) {
  const auto source = make_batches(context_, data, table.component("augment"),
                                   {batch, 1, Order::shuffled, 0, "check"});
  if (!source->data().labelled()) {
    fail_input("data.{} has no labels", data);
  }
  const auto classes = static_cast<int64_t>(source->data().class_names().size());
  const auto downstream =
      make_downstream(context_, table.component("downstream"), backbone, classes, 0);
  NamedTensors parameters = trainable_parameters(downstream->module());
  if (!freeze) {
    parameters = upper_parameters(backbone, *downstream);
  }
  make_optimizer(table.component("optimizer"), parameters);
  const Batch samples = source->make(0);
  return seconds_of([&] {
    const at::Tensor images = samples.views[0].to(context_.settings.device);
    const at::Tensor targets = samples.targets.to(context_.settings.device);
    const at::Tensor loss =
        downstream->loss(downstream->forward(backbone.forward(images)), targets);
    gradients_of(loss, tensors_of(parameters));
  });
}

void StageCheck::check_pretrain() {
  const Table& table = context_.stage.table;
  const PretrainOptions options = parse_pretrain(table);
  const PretextNetworks networks = build_pretext(table, options.data);
  pretext_gradient(networks, table, options.data, probe_samples);
  plan_.steps = steps_of(options.length, networks.samples, options.batch);
  plan_.gradients = plan_.steps;
  if (options.batch > networks.samples) {
    plan_.warnings.push_back(
        fmt::format("batch = {} is more than the {} images of data.{}: every batch holds some of "
                    "them several times",
                    options.batch, networks.samples, options.data));
  }
  if (measure_) {
    plan_.seconds = static_cast<double>(plan_.gradients) *
                    pretext_gradient(networks, table, options.data, options.batch);
  }
}

void StageCheck::warn_about_pull(const BisslOptions& options, const LowerOptions& lower,
                                 const PretextNetworks& networks) {
  const auto optimizer = make_optimizer(context_.stage.table.table("lower").component("optimizer"),
                                        lower_parameters(*networks.backbone, *networks.pretext));
  const int64_t steps = options.rounds * lower.steps;
  const double pull =
      proximity_pull(options.lambda, optimizer->learning_rate(), optimizer->momentum(), steps);
  plan_.networks += fmt::format("; pull of λ {:.3g}", pull);
  constexpr double weak = 0.3;
  if (pull < weak) {
    plan_.warnings.push_back(fmt::format(
        "λ · lr/(1 − momentum) · lower steps = {:.2g} is far below 1: the lower backbone will "
        "hardly follow the upper one. A λ of about {:.2g} makes it 1",
        pull, options.lambda / pull));
  }
}

void StageCheck::check_bissl() {
  const Table& table = context_.stage.table;
  const Table& lower_table = table.table("lower");
  const Table& upper_table = table.table("upper");
  const BisslOptions options = parse_bissl(table);
  const LowerOptions lower = parse_lower(lower_table);
  const UpperOptions upper = parse_upper(upper_table);
  const auto hypergradient =
      create_guarded(table.component("hypergradient"), HypergradientContext{});
  const PretextNetworks networks = build_pretext(lower_table, lower.data);
  downstream_gradient(*networks.backbone, upper_table, upper.data, probe_samples, false);
  pretext_gradient(networks, lower_table, lower.data, probe_samples);
  const HypergradientNeeds needs = hypergradient->needs();
  if (needs.second_derivatives()) {
    try {
      hessian_product(networks, lower_table, lower.data, probe_samples);
    } catch (const Error&) {
      plan_.lacks_second_derivatives = true;
      throw;
    }
  }
  warn_about_pull(options, lower, networks);

  int64_t warmup = 0;
  if (table.has_table("warmup")) {
    warmup = steps_of(parse_warmup(table.table("warmup")).length,
                      context_.data.open(upper.data)->size(), upper.batch);
  }
  const int64_t upper_passes = options.gamma == 0 ? 1 : 2;
  plan_.steps = warmup + options.rounds * (lower.steps + upper.steps);
  const int64_t parameters = count_elements(trainable_parameters(networks.backbone->module()));
  const int64_t products =
      upper.steps * needs.hessian_products + std::min(needs.shared_products, parameters);
  const int64_t graphs = !needs.second_derivatives()           ? 0
                         : lower.hessian_graph == "recomputed" ? products
                                                               : 1;
  const int64_t shifted = upper.steps * needs.gradients + needs.shared_gradients;
  plan_.gradients = warmup + options.rounds * (lower.steps + upper.steps * upper_passes +
                                               (shifted + graphs) * lower.hessian_batches);
  plan_.hessian_products = options.rounds * products * lower.hessian_batches;
  if (!measure_) {
    return;
  }
  const int64_t hessian_batch = lower.hessian_batch > 0 ? lower.hessian_batch : lower.batch;
  const double lower_seconds = pretext_gradient(networks, lower_table, lower.data, lower.batch);
  const double upper_seconds =
      downstream_gradient(*networks.backbone, upper_table, upper.data, upper.batch, false);
  const double product_seconds =
      plan_.hessian_products > 0 ? hessian_product(networks, lower_table, lower.data, hessian_batch)
                                 : 0.0;
  plan_.seconds = double(options.rounds * lower.steps) * lower_seconds +
                  double(options.rounds * (shifted + graphs) * lower.hessian_batches) *
                      lower_seconds * double(hessian_batch) / double(lower.batch) +
                  double(warmup + options.rounds * upper.steps * upper_passes) * upper_seconds +
                  double(plan_.hessian_products) * product_seconds;
}

void StageCheck::check_finetune() {
  const Table& table = context_.stage.table;
  const FinetuneOptions options = parse_finetune(table);
  const auto source = make_batches(context_, options.data, table.component("augment"), {});
  const auto backbone = make_backbone(context_, source->view_shape(), 0);
  plan_.networks =
      fmt::format("{} images, views of {}, {} features, {} backbone parameters", source->samples(),
                  shape_text(source->view_shape()), backbone->features(),
                  count_elements(trainable_parameters(backbone->module())));
  downstream_gradient(*backbone, table, options.data, probe_samples, options.freeze_backbone);
  const auto test = context_.data.open(parse_evaluate(table.table("evaluate")).data);
  if (test->class_names() != source->data().class_names()) {
    fail_input("evaluate: the test data has other classes than the training data");
  }
  plan_.steps = options.repeats * steps_of(options.length, source->samples(), options.batch);
  plan_.gradients = plan_.steps;
  if (measure_) {
    plan_.seconds =
        static_cast<double>(plan_.steps) *
        downstream_gradient(*backbone, table, options.data, options.batch, options.freeze_backbone);
  }
}

}  // namespace

double proximity_pull(double lambda, double learning_rate, double momentum, int64_t lower_steps) {
  return lambda * learning_rate / (1.0 - momentum) * static_cast<double>(lower_steps);
}

std::vector<StagePlan> check_pipeline(const Pipeline& pipeline, const RunSettings& settings,
                                      const std::filesystem::path& out, bool measure) {
  DataCatalog data(pipeline);
  const std::filesystem::path root = store_folder(out);
  std::vector<StagePlan> plans;
  std::map<std::string, std::string> keys;
  for (const Stage& stage : pipeline.stages) {
    StagePlan plan;
    plan.name = stage.name;
    plan.kind = stage.kind;
    plan.from = stage.from;
    const StageContext context{.pipeline = pipeline,
                               .stage = stage,
                               .data = data,
                               .folder = {},
                               .parent = std::nullopt,
                               .generation = generation_of(pipeline, stage),
                               .settings = settings};
    try {
      plan.key = identify(pipeline, stage, data, stage.from.empty() ? "" : keys.at(stage.from)).key;
      keys[stage.name] = plan.key;
      plan.in_store = std::filesystem::exists(root) && StageStore(root).find(plan.key).has_value();
      StageCheck(context, measure, plan).run();
    } catch (const Error& error) {
      keys.emplace(stage.name, "");
      plan.errors.push_back(error.at(fmt::format("stage.{}", stage.name)).what());
    }
    plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace bissl
