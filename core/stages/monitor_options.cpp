#include "stages/monitor_options.h"

#include "stages/option_schemas.h"

#include <algorithm>
#include <set>

namespace bissl::host {
namespace {

std::vector<std::string> monitor_figure_names() {
  std::vector<std::string> names = {knn_figure};
  for (const FigureInfo& figure : figures()) {
    if (monitor_figure(figure.name) != nullptr) {
      names.emplace_back(figure.name);
    }
  }
  return names;
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
        .choices(monitor_figure_names());
    s.add("samples", &MonitorOptions::samples,
          "how many images, drawn once from the source; for \"knn\" one half are the neighbours of "
          "the other")
        .at_least(4)
        .unit("samples");
    s.add("batch", &MonitorOptions::batch, "most images that go through the backbone at once")
        .at_least(1)
        .unit("samples");
    s.add("k", &MonitorOptions::k, "neighbours that vote in \"knn\", at most half the images")
        .at_least(1)
        .unit("images");
    s.add("temperature", &MonitorOptions::temperature,
          "τ: in \"knn\" a neighbour with the cosine s votes with the weight exp(s/τ)")
        .more_than(0);
    s.add("warn_below", &MonitorOptions::warn_below,
          "warn, once, when \"feature_std\" is below this at two looks in a row, whether or not it "
          "is among the figures: the features collapse into one direction; 0: never")
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
      } else if (!monitor_direction(options.keep_best)) {
        findings.push_back({Finding::Severity::error, "keep_best",
                            "neither more nor less of this figure is better"});
      }
    });
    return s;
  }();
  return schema;
}

}  // namespace

const FigureInfo* monitor_figure(const std::string& name) {
  // Those that need the features of one network and at most their labels.
  for (const FigureInfo& figure : figures()) {
    if (figure.name == name &&
        (figure.input == FigureInput::features || figure.input == FigureInput::classes)) {
      return &figure;
    }
  }
  return nullptr;
}

std::optional<bool> monitor_direction(const std::string& name) {
  return name == knn_figure ? std::optional(true) : monitor_figure(name)->higher_is_better;
}

bool MonitorOptions::has(const std::string& figure) const {
  return std::find(figures.begin(), figures.end(), figure) != figures.end();
}

bool MonitorOptions::needs_labels() const {
  return std::any_of(figures.begin(), figures.end(), [](const std::string& name) {
    return name == knn_figure || monitor_figure(name)->input == FigureInput::classes;
  });
}

MonitorOptions parse_monitor(const Table& table) { return monitor_schema().parse(table.values); }

SubtableSpec monitor_table() {
  TableSpec table = table_of(monitor_schema());
  table.augment = one_view();
  SubtableSpec monitor{monitor_key, std::move(table), false,
                       "figures of the backbone while it is trained, on some images; an array of "
                       "tables has one for each data source"};
  monitor.or_list = true;
  return monitor;
}

std::vector<const Table*> monitor_tables(const Stage& stage) {
  std::vector<const Table*> tables;
  if (stage.table.has_table(monitor_key)) {
    tables.push_back(&stage.table.table(monitor_key));
  }
  if (const auto list = stage.table.lists.find(monitor_key); list != stage.table.lists.end()) {
    for (const Table& table : list->second) {
      tables.push_back(&table);
    }
  }
  return tables;
}

std::vector<DataUse> monitored_data(const Stage& stage) {
  std::vector<DataUse> uses;
  for (const Table* table : monitor_tables(stage)) {
    const MonitorOptions options = parse_monitor(*table);
    // With keep_best the weights are chosen by it.
    uses.push_back({.name = options.data,
                    .trains = !options.keep_best.empty(),
                    .labels = options.needs_labels()});
  }
  return uses;
}

}  // namespace bissl::host
