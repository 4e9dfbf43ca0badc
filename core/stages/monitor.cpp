#include "stages/monitor.h"

#include "analysis/figures.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "data/target_rules.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "pipeline/diagnostics.h"
#include "stages/histograms.h"
#include "stages/knn/classifier.h"
#include "stages/networks.h"
#include "stages/option_schemas.h"
#include "stages/scoring.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace bissl::host {
namespace {

constexpr const char* knn_figure = "knn";
constexpr const char* collapse_figure = "feature_std";

/// One of core/analysis that needs the features of one network and at most their labels; null for
/// any other name.
const FigureInfo* find_figure(const std::string& name) {
  for (const FigureInfo& figure : figures()) {
    if (figure.name == name &&
        (figure.input == FigureInput::features || figure.input == FigureInput::classes)) {
      return &figure;
    }
  }
  return nullptr;
}

std::vector<std::string> figure_names() {
  std::vector<std::string> names = {knn_figure};
  for (const FigureInfo& figure : figures()) {
    if (find_figure(figure.name) != nullptr) {
      names.emplace_back(figure.name);
    }
  }
  return names;
}

bool needs_labels(const std::string& name) {
  return name == knn_figure || find_figure(name)->input == FigureInput::classes;
}

std::optional<bool> direction_of(const std::string& name) {
  return name == knn_figure ? std::optional(true) : find_figure(name)->higher_is_better;
}

const Schema<MonitorOptions>& monitor_schema() {
  static const Schema<MonitorOptions> schema = [] {
    Schema<MonitorOptions> s;
    add_data(
        s, &MonitorOptions::data,
        "data source of the images that the figures are taken of; labelled for \"knn\" and the "
        "figures of classes");
    s.add("every", &MonitorOptions::every, "steps between two looks; the last step has one too")
        .required()
        .at_least(1)
        .unit("steps");
    s.add("figures", &MonitorOptions::figures,
          "what is taken of the backbone's features, in evaluation mode: \"knn\", the share of "
          "images whose class their nearest neighbours find, ranks, spreads, and how well classes "
          "are apart")
        .choices(figure_names());
    s.add("samples", &MonitorOptions::samples,
          "how many images, drawn once from the source; for \"knn\" one half are the neighbours of "
          "the other")
        .at_least(4)
        .unit("samples");
    s.add("batch", &MonitorOptions::batch, "most images that go through the backbone at once")
        .at_least(1)
        .unit("samples");
    s.add("k", &MonitorOptions::k, "of \"knn\": how many neighbours vote, at most half the images")
        .at_least(1)
        .unit("images");
    s.add("temperature", &MonitorOptions::temperature,
          "of \"knn\": a neighbour with the cosine s votes with the weight exp(s/τ)")
        .more_than(0);
    s.add("warn_below", &MonitorOptions::warn_below,
          "warn, once, when \"feature_std\" is below this at two looks in a row, whether or not it "
          "is "
          "among the figures: the features collapse into one direction; 0: never")
        .at_least(0)
        .at_most(1);
    s.add("keep_best", &MonitorOptions::keep_best,
          "one of the figures: the stage ends with the weights of the look at which it was best, "
          "instead of the last ones; \"\": with the last");
    s.add("histograms", &MonitorOptions::histograms,
          "histograms of all weights and of the last step's gradients at each look, for "
          "TensorBoard; about a kilobyte for each parameter in the event log");
    s.rule([](const MonitorOptions& options, std::vector<Finding>& findings) {
      const std::set<std::string> distinct(options.figures.begin(), options.figures.end());
      if (options.figures.empty() || distinct.size() != options.figures.size()) {
        findings.push_back(
            {Finding::Severity::error, "figures",
             options.figures.empty() ? "there is no figure to take" : "a figure is given twice"});
      }
      if (options.keep_best.empty()) {
        return;
      }
      if (!options.has(options.keep_best)) {
        findings.push_back({Finding::Severity::error, "keep_best",
                            "the best weights can be chosen by one of `figures` only"});
      } else if (!direction_of(options.keep_best)) {
        findings.push_back({Finding::Severity::error, "keep_best",
                            "neither more nor less of this figure is better"});
      }
    });
    return s;
  }();
  return schema;
}

}  // namespace

bool MonitorOptions::has(const std::string& figure) const {
  return std::find(figures.begin(), figures.end(), figure) != figures.end();
}

MonitorOptions parse_monitor(const Table& table) { return monitor_schema().parse(table.values); }

SubtableSpec monitor_table() {
  TableSpec table = table_of(monitor_schema());
  table.augment = one_view();
  return {"monitor", std::move(table), false,
          "figures of the backbone while it is trained, on some images"};
}

std::optional<DataUse> monitored_data(const Stage& stage) {
  if (!stage.table.has_table("monitor")) {
    return std::nullopt;
  }
  const MonitorOptions options = parse_monitor(stage.table.table("monitor"));
  // With keep_best the weights are chosen by it.
  return DataUse{
      .name = options.data,
      .trains = !options.keep_best.empty(),
      .labels = std::any_of(options.figures.begin(), options.figures.end(), needs_labels)};
}

Monitor::Monitor(const StageContext& context, const BatchSource& training, Backbone& backbone,
                 BestWeights::Networks networks)
    : context_(context),
      options_(parse_monitor(context.stage.table.table("monitor"))),
      backbone_(backbone),
      networks_(std::move(networks)) {
  const Table& table = context.stage.table.table("monitor");
  const bool labelled = std::any_of(options_.figures.begin(), options_.figures.end(), needs_labels);
  const BatchOptions options{.batch = std::min(options_.batch, options_.samples),
                             .order = Order::shuffled,
                             .seed = context.seed_for("monitor"),
                             .purpose = "monitor",
                             .targets = labelled};
  batches_ = labelled ? make_labelled_batches(context, "monitor.data", options_.data,
                                              table.augment(), options)
                      : make_batches(context, options_.data, table.augment(), options);
  if (labelled && batches_->data().targets().kind != TargetKind::category) {
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
  if (!options_.keep_best.empty()) {
    best_.emplace(networks_, *direction_of(options_.keep_best));
  }
}

void Monitor::keep(Session& session) {
  if (best_) {
    best_->keep(session, "monitor_best");
  }
  session.keep(
      "monitor",
      [this] {
        nlohmann::json last = nlohmann::json::array();
        for (const auto& [name, value] : last_) {
          last.push_back({name, value});
        }
        return nlohmann::json{
            {"last", last}, {"last_step", last_step_}, {"low", low_}, {"warned", warned_}};
      },
      [this](const nlohmann::json& saved) {
        last_.clear();
        for (const nlohmann::json& one : saved.at("last")) {
          last_.emplace_back(one.at(0).get<std::string>(), one.at(1).get<double>());
        }
        last_step_ = saved.at("last_step").get<int64_t>();
        low_ = saved.at("low").get<int64_t>();
        warned_ = saved.at("warned").get<bool>();
      });
}

int64_t Monitor::images(int64_t steps) const {
  return (steps / options_.every + (steps % options_.every == 0 ? 0 : 1)) * samples_;
}

at::Tensor Monitor::features(int64_t rows, at::Tensor* labels) const {
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

void Monitor::try_images() const {
  at::Tensor labels;
  features(std::min<int64_t>(samples_, 2), &labels);
}

std::optional<double> Monitor::measure(const std::string& figure, const at::Tensor& features,
                                       const at::Tensor& labels) const {
  if (const FigureInfo* info = find_figure(figure)) {
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

void Monitor::judge_spread(double spread, int64_t done) {
  low_ = spread < options_.warn_below ? low_ + 1 : 0;
  if (low_ < 2 || warned_ || !context_.settings.warn) {
    return;
  }
  warned_ = true;
  context_.settings.warn(fmt::format(
      "the features collapse: after step {} their feature_std is {:.3g}, at the second look in a "
      "row below {:.3g} (monitor.warn_below); 1 is that of features in all directions, 0 of "
      "features in one",
      done, spread, options_.warn_below));
}

void Monitor::look(int64_t done, Session::StepNews& news) {
  at::Tensor labels;
  const at::Tensor found = features(samples_, &labels);
  last_.clear();
  last_step_ = done;
  nlohmann::json event = nlohmann::json::object();
  const bool finite = at::isfinite(found).all().item<bool>();
  for (const std::string& figure : options_.figures) {
    // Weights that are not finite end the stage elsewhere, with words of their own.
    const std::optional<double> value =
        finite ? measure(figure, found, labels) : std::optional<double>();
    event[figure] = value ? number_or_null(*value) : nlohmann::json();
    if (value && std::isfinite(*value)) {
      last_.emplace_back(figure, *value);
    }
    if (best_ && figure == options_.keep_best) {
      best_->offer(value.value_or(std::nan("")), done);
    }
  }
  if (finite && options_.warn_below > 0) {
    if (const std::optional<double> spread = measure(collapse_figure, found, labels)) {
      judge_spread(*spread, done);
    }
  }
  news.event["monitor"] = std::move(event);
  if (options_.histograms) {
    nlohmann::json& all = news.event["histograms"] = nlohmann::json::object();
    for (const auto& [name, module] : networks_) {
      add_histograms(name, trainable_parameters(*module), all);
    }
  }
}

void Monitor::after_step(int64_t done, int64_t steps, Session::StepNews& news) {
  if (done % options_.every == 0 || done == steps) {
    look(done, news);
  }
  news.shown.insert(news.shown.end(), last_.begin(), last_.end());
}

void Monitor::put_best() const {
  if (best_) {
    best_->put();
  }
}

nlohmann::json Monitor::report() const {
  nlohmann::json last = nlohmann::json::object();
  for (const auto& [name, value] : last_) {
    last[name] = value;
  }
  nlohmann::json report = {{"data", options_.data}, {"last", last}, {"last_step", last_step_}};
  if (best_) {
    report["best"] = {{"figure", options_.keep_best},
                      {"value", number_or_null(best_->value())},
                      {"step", best_->step()}};
  }
  return report;
}

std::unique_ptr<Monitor> make_monitor(const StageContext& context, const BatchSource& training,
                                      Backbone& backbone, BestWeights::Networks networks) {
  return context.stage.table.has_table("monitor")
             ? std::make_unique<Monitor>(context, training, backbone, std::move(networks))
             : nullptr;
}

}  // namespace bissl::host
