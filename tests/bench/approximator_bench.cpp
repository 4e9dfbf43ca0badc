// Holds every hypergradient approximator against a reference solution on one problem: error against
// cost. The problem is the first round of a pipeline's bissl stage, from weights of its pretrain
// stage. approximators.py runs the pipeline and this program, and writes docs/approximators.md.
//
//     approximator_bench PIPELINE.toml --weights RUN/pretrain --out results.json

#include "base/atomic_file.h"
#include "bilevel/audit.h"
#include "bilevel/bissl_coupling.h"
#include "bilevel/lower_level.h"
#include "bilevel/lower_trajectory.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "bissl/error.h"
#include "cli/pipeline_arguments.h"
#include "models/guarded.h"
#include "models/module_state.h"
#include "stages/bissl/options.h"
#include "stages/networks.h"
#include "stages/trial.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iostream>
#include <map>
#include <set>

namespace bissl::host {
namespace {

/// One point of the picture: an approximator with its parameters; points of a series are joined.
struct Setting {
  std::string series;
  std::string use;
  ParameterValues values;
};

std::vector<Setting> settings() {
  std::vector<Setting> all;
  const auto add = [&](const std::string& series, const std::string& use, const char* count_name,
                       const std::vector<int64_t>& counts, const ParameterValues& more = {}) {
    for (const int64_t n : counts) {
      Setting setting{series, use, more};
      setting.values[count_name] = n;
      all.push_back(setting);
    }
  };
  const std::vector<int64_t> counts = {1, 2, 3, 5, 10, 20};
  add("cg", "cg", "iterations", counts);
  add("cg, layerwise", "cg", "iterations", counts, {{"form", std::string("layerwise")}});
  add("cg, finite differences", "cg", "iterations", counts,
      {{"products", std::string("finite-difference")}});
  add("cg, diagonal preconditioner", "cg", "iterations", counts,
      {{"preconditioner", std::string("diagonal")}});
  add("minres", "minres", "iterations", counts, {{"tolerance", 0.0}});
  for (const double tolerance : {0.1, 0.01}) {
    all.push_back({"minres, to a tolerance", "minres", {{"tolerance", tolerance}}});
  }
  add("gmres", "gmres", "iterations", counts, {{"tolerance", 0.0}});
  add("gmres, finite differences", "gmres", "iterations", counts,
      {{"products", std::string("finite-difference")}, {"tolerance", 0.0}});
  add("soba", "soba", "steps", {1, 3, 10});
  add("equilibrium", "equilibrium", "steps", {2, 5, 10});
  add("f2sa", "f2sa", "steps", {2, 5, 10});
  add("meha", "meha", "steps", {2, 5, 10});
  add("pzobo", "pzobo", "directions", {4, 16});
  add("neumann", "neumann", "terms", counts);
  add("nystrom", "nystrom", "rank", {5, 20, 80});
  add("unrolled", "unrolled", "steps", {2, 5, 10, 20});
  all.push_back({"darts", "darts", {}});
  all.push_back({"kfac", "kfac", {}});
  all.push_back({"ekfac", "ekfac", {}});
  all.push_back({"sama", "sama", {}});
  all.push_back({"identity", "identity", {}});
  all.push_back({"exact", "exact", {{"max_parameters", int64_t{40000}}}});
  return all;
}

std::string text_of(const ParameterValues& values) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : values) {
    parts.push_back(fmt::format("{} = {}", name, to_toml(value)));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// The models of a round whose lower steps are done, and the upper steps' vectors u.
class Round {
 public:
  explicit Round(const StageContext& context)
      : context_(context),
        lower_table_(context.stage.table.table("lower")),
        upper_table_(context.stage.table.table("upper")),
        options_(parse_bissl(context.stage.table)),
        lower_options_(parse_lower(lower_table_)),
        upper_options_(parse_upper(upper_table_)),
        setting_{.lambda = options_.lambda, .noise_seed = context.seed_for("hessian-noise#0")} {
    build_networks();
    train_lower_level();
    batch_ = source("hessian", pretext_->views(), lower_options_.batch)->make(0);
    collect_u();
    build_double_problem();
  }

  /// A lower problem as a round of training makes it.
  std::unique_ptr<PretextProblem> problem() const {
    return std::make_unique<PretextProblem>(
        *backbone_, *pretext_, std::vector<Batch>{batch_}, setting_,
        PretextProblem::Training{
            .optimizer = optimizer_.get(),
            .trajectory = trajectory_.get(),
            .fresh = [this](int64_t index) {
              return source("fresh", pretext_->views(), lower_options_.batch)->make(index);
            }});
  }

  /// The same in double precision, for references.
  PretextProblem& double_problem() { return *double_problem_; }

  const std::vector<TensorList>& right_sides() const { return u_; }
  int64_t lower_steps() const { return lower_options_.steps; }
  double lambda() const { return options_.lambda; }
  int64_t batch() const { return lower_options_.batch; }

 private:
  std::shared_ptr<BatchSource> source(const std::string& use, int64_t views, int64_t batch) const {
    const bool upper = use == "upper";
    const Table& table = upper ? upper_table_ : lower_table_;
    return make_batches(context_, upper ? upper_options_.data : lower_options_.data,
                        table.augment(),
                        {batch, views, Order::shuffled, context_.seed_for(use), "bissl/" + use});
  }

  void build_networks() {
    const ImageShape shape = source("lower", 1, 1)->view_shape();
    backbone_ = make_backbone(context_, shape, 0);
    upper_ = make_backbone(context_, shape, 0);
    pretext_ = make_pretext(context_, lower_table_.component("pretext"), *backbone_,
                            {.views = {shape},
                             .steps = lower_options_.steps,
                             .data = lower_options_.data,
                             .targets = source("lower", 1, 1)->data().targets()});
    take_over(context_, backbone_file, backbone_->module());
    take_over(context_, backbone_file, upper_->module());
    take_over(context_, pretext_file, pretext_->module());
    const auto labelled = source("upper", 1, 1);
    downstream_ = make_downstream(context_, upper_table_.component("downstream"), *upper_,
                                  {.name = upper_options_.data,
                                   .targets = labelled->data().targets(),
                                   .view = labelled->view_shape()},
                                  context_.seed_for("init/head"));
    optimizer_ = make_optimizer(lower_table_.component("optimizer"),
                                lower_parameters(*backbone_, *pretext_));
  }

  void train_lower_level() {
    LowerLevel level(*backbone_, *pretext_, *optimizer_, lower_options_.max_grad_norm);
    level.tie_to(*upper_, options_.lambda);
    trajectory_ = std::make_unique<LowerTrajectory>(*backbone_, *pretext_, lower_options_.steps,
                                                    options_.lambda);
    const auto batches = source("lower", pretext_->views(), lower_options_.batch);
    const auto record = [this](const TensorList& gradients, double clip) {
      trajectory_->with_gradients(*optimizer_, gradients, 1.0, clip);
    };
    for (int64_t step = 0; step < lower_options_.steps; ++step) {
      const Batch batch = batches->make(step);
      trajectory_->before_step(batch, step);
      level.step(batch, 1.0, {step, lower_options_.steps}, {.before_update = record});
    }
  }

  void collect_u() {
    const auto batches = source("upper", 1, upper_options_.batch);
    const auto registry_choice = context_.stage.table.component("hypergradient");
    const auto unused = create_guarded(registry_choice, HypergradientContext{});
    const auto descent = make_optimizer(upper_table_.component("optimizer"),
                                        upper_parameters(*upper_, *downstream_));
    BisslCoupling coupling({*backbone_, *upper_, *downstream_}, 0.0);
    UpperLevel level(coupling, *unused, *descent, 0.0);
    const auto collect = [this](const TensorList& u, const HypergradientSolution& /*solution*/) {
      u_.push_back(copy(u));
    };
    const auto problem = this->problem();
    for (int64_t step = 0; step < upper_options_.steps; ++step) {
      const Batch batch = batches->make(step);
      level.gradient({batch.views[0], batch.targets}, *problem, 0, collect);
    }
  }

  void build_double_problem() {
    const ImageShape shape = source("lower", 1, 1)->view_shape();
    double_backbone_ = make_backbone(context_, shape, 0);
    double_pretext_ = make_pretext(context_, lower_table_.component("pretext"), *double_backbone_,
                                   {.views = {shape},
                                    .steps = lower_options_.steps,
                                    .data = lower_options_.data,
                                    .targets = source("lower", 1, 1)->data().targets()});
    convert_to_double(double_backbone_->module());
    convert_to_double(double_pretext_->module());
    copy_state(backbone_->module(), double_backbone_->module());
    copy_state(pretext_->module(), double_pretext_->module());
    double_problem_ = std::make_unique<PretextProblem>(
        *double_backbone_, *double_pretext_,
        std::vector<Batch>{converted_batch(batch_, at::kDouble)}, setting_);
  }

  const StageContext& context_;
  const Table& lower_table_;
  const Table& upper_table_;
  BisslOptions options_;
  LowerOptions lower_options_;
  UpperOptions upper_options_;
  PretextProblem::Setting setting_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Backbone> upper_;
  std::shared_ptr<Pretext> pretext_;
  std::shared_ptr<Downstream> downstream_;
  std::shared_ptr<Optimizer> optimizer_;
  std::unique_ptr<LowerTrajectory> trajectory_;
  std::shared_ptr<Backbone> double_backbone_;
  std::shared_ptr<Pretext> double_pretext_;
  std::unique_ptr<PretextProblem> double_problem_;
  Batch batch_;
  std::vector<TensorList> u_;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Means of scores over the upper steps.
class Means {
 public:
  void add(const AuditScore& score) {
    sum_.cosine += score.cosine;
    sum_.norm_ratio += score.norm_ratio;
    sum_.residual += score.residual;
    ++count_;
  }
  nlohmann::json result() const {
    return {{"cosine", sum_.cosine / count_},
            {"norm_ratio", sum_.norm_ratio / count_},
            {"residual", sum_.residual / count_}};
  }

 private:
  AuditScore sum_;
  double count_ = 0;
};

/// All approximators at one damping.
class Comparison {
 public:
  /// `only`: names of approximators; empty for all.
  Comparison(const Registry& registry, Round& round, double damping, int repeats,
             std::vector<std::string> only)
      : registry_(registry), round_(round), repeats_(repeats), only_(std::move(only)) {
    setting_ = {.damping = damping, .dense_below = 0, .iterations = 5000, .tolerance = 1e-10};
    for (const TensorList& u : round_.right_sides()) {
      references_.push_back(reference_solution(u, round_.double_problem(), setting_));
    }
  }

  nlohmann::json run(double gradient_seconds) {
    nlohmann::json rows = nlohmann::json::array();
    std::set<std::string> known;
    std::vector<Setting> all = settings();
    for (const Setting& setting : all) {
      known.insert(setting.use);
    }
    for (const auto& component : registry_.components()) {
      const bool other = known.count(component->info.text.name) == 0;
      if (component->info.kind == ComponentKind::hypergradient && other) {
        all.push_back({component->info.text.name, component->info.text.name, {}});
      }
    }
    for (const Setting& setting : all) {
      if (!only_.empty() && std::find(only_.begin(), only_.end(), setting.use) == only_.end()) {
        continue;
      }
      rows.push_back(row(setting, gradient_seconds));
      std::cerr << fmt::format("{} {}: {}\n", setting.use, text_of(setting.values),
                               rows.back()["error"].dump());
    }
    double worst = 0;
    for (const ReferenceSolution& reference : references_) {
      worst = std::max(worst, reference.residual);
    }
    return {{"damping", setting_.damping}, {"reference_residual", worst}, {"rows", rows}};
  }

 private:
  ComponentChoice choice_of(const Setting& setting) const {
    const auto component = registry_.find(ComponentKind::hypergradient, setting.use);
    if (!component) {
      fail_input("there is no approximator {}", setting.use);
    }
    ComponentChoice choice{component, defaults(component->info.parameters), "approximator_bench"};
    if (choice.values.count("damping") > 0) {
      choice.values["damping"] = setting_.damping;
    }
    for (const auto& [name, value] : setting.values) {
      choice.values[name] = value;
    }
    return choice;
  }

  nlohmann::json row(const Setting& setting, double gradient_seconds) {
    const ComponentChoice choice = choice_of(setting);
    const std::vector<TensorList>& u = round_.right_sides();
    std::vector<HypergradientSolution> solutions;
    std::vector<double> times;
    // A dense matrix takes minutes, and its time does not matter to a digit.
    const int repeats = setting.use == "exact" ? 1 : repeats_;
    for (int repeat = 0; repeat < repeats; ++repeat) {
      solutions.clear();
      const auto hypergradient = create_guarded(choice, HypergradientContext{});
      const auto problem = round_.problem();
      times.push_back(seconds_of([&] {
        for (const TensorList& right : u) {
          solutions.push_back(hypergradient->solve(right, *problem));
        }
      }));
    }
    nlohmann::json ended = nlohmann::json::object();
    double error = 0;
    Means means;
    std::map<std::string, Means> groups;
    for (size_t i = 0; i < u.size(); ++i) {
      const AuditReport report =
          audit(u[i], solutions[i].v, references_[i], round_.double_problem(), setting_);
      means.add(report.approximation);
      for (const auto& [name, score] : report.groups) {
        groups[name].add(score);
      }
      const at::Tensor reference = flatten(references_[i].v);
      error += norm({flatten(solutions[i].v) - reference}) / norm({reference}) / double(u.size());
      const std::string status = to_string(solutions[i].status);
      ended[status] = ended.value(status, 0) + 1;
    }
    nlohmann::json by_group = nlohmann::json::object();
    for (const auto& [name, of_group] : groups) {
      by_group[name] = of_group.result();
    }
    return {{"series", setting.series},
            {"use", setting.use},
            {"parameters", text_of(setting.values)},
            {"cost", median(times) / double(u.size()) / gradient_seconds},
            {"cosine", means.result()["cosine"]},
            {"norm_ratio", means.result()["norm_ratio"]},
            {"residual", means.result()["residual"]},
            {"groups", by_group},
            {"error", error},
            {"ended", ended}};
  }

  const Registry& registry_;
  Round& round_;
  int repeats_;
  std::vector<std::string> only_;
  AuditSetting setting_;
  std::vector<ReferenceSolution> references_;
};

struct Arguments {
  PipelineArguments pipeline;
  std::string stage = "bissl";
  std::filesystem::path weights;
  std::filesystem::path results = "approximators.json";
  std::vector<std::string> plugin_folders;
  std::vector<std::string> only;
  std::vector<double> dampings = {10.0, 0.1};
  int repeats = 3;
};

void run(const Arguments& arguments) {
  Registry registry;
  PluginSearch plugins(registry, arguments.plugin_folders, true);
  plugins.begin();
  const auto pipeline = read_or_report(arguments.pipeline, plugins, std::cout, std::cerr);
  if (!pipeline) {
    fail_input("the pipeline cannot be used");
  }
  const auto stage = std::find_if(pipeline->stages.begin(), pipeline->stages.end(),
                                  [&](const Stage& s) { return s.name == arguments.stage; });
  if (stage == pipeline->stages.end() || stage->kind != "bissl") {
    fail_input("there is no stage.{} of kind bissl", arguments.stage);
  }
  const int threads = set_threads(arguments.pipeline.threads);
  DataCatalog data(*pipeline);
  const RunSettings settings;
  const StageContext context{.pipeline = *pipeline,
                             .stage = *stage,
                             .data = data,
                             .folder = {},
                             .parent = arguments.weights,
                             .generation = 0,
                             .settings = settings};
  Round round(context);
  const auto problem = round.problem();
  const TensorList nowhere = zeros_like(problem->parameters());
  std::vector<double> times;
  for (int i = 0; i < 2 * arguments.repeats + 1; ++i) {
    times.push_back(seconds_of([&] { problem->gradient(nowhere); }));
  }
  const double gradient_seconds = median(times);
  nlohmann::json results = {{"backbone_parameters", count(problem->parameters())},
                            {"batch", round.batch()},
                            {"lambda", round.lambda()},
                            {"lower_steps", round.lower_steps()},
                            {"upper_steps", round.right_sides().size()},
                            {"threads", threads},
                            {"gradient_seconds", gradient_seconds},
                            {"comparisons", nlohmann::json::array()}};
  for (const double damping : arguments.dampings) {
    Comparison comparison(registry, round, damping, arguments.repeats, arguments.only);
    results["comparisons"].push_back(comparison.run(gradient_seconds));
  }
  write_file_atomically(arguments.results, results.dump(1) + "\n");
}

}  // namespace
}  // namespace bissl::host

int main(int argc, char** argv) {
  bissl::host::Arguments arguments;
  CLI::App app("compares hypergradient approximators with a reference: error against cost");
  app.add_option("pipeline", arguments.pipeline.file, "the pipeline")->required();
  app.add_option("--stage", arguments.stage, "its bissl stage");
  app.add_option("--weights", arguments.weights, "folder of the finished parent stage")->required();
  app.add_option("--out", arguments.results, "where the results go, as JSON");
  app.add_option("--plugin-path", arguments.plugin_folders, "folders with more approximators");
  app.add_option("--only", arguments.only, "approximators by name; without it all");
  app.add_option("--damping", arguments.dampings, "values of δ");
  app.add_option("--repeats", arguments.repeats, "of each measurement");
  app.add_option("--threads", arguments.pipeline.threads, "0: all");
  app.add_option("--set", arguments.pipeline.overrides, "overrides of the pipeline");
  CLI11_PARSE(app, argc, argv);
  try {
    bissl::host::run(arguments);
  } catch (const bissl::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return error.kind() == bissl::ErrorKind::input ? 2 : 1;
  }
}
