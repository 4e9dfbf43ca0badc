#include "stages/analyse/figures_of.h"

#include "analysis/similarity.h"
#include "pipeline/metric_name.h"

#include <fmt/format.h>

#include <algorithm>

namespace bissl::host {
namespace {

bool is_among(const std::vector<std::string>& names, const char* name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool has_categories(const BatchSource& source) {
  return source.data().targets().kind == TargetKind::category;
}

/// Adds a figure with all networks that it is of.
void plan_figure(const AnalyseParts& parts, PlannedFigure figure,
                 std::vector<PlannedFigure>& figures) {
  switch (figure.info->input) {
    case FigureInput::features:
      break;
    case FigureInput::classes:
      if (!has_categories(*parts.sources[figure.source])) {
        return;
      }
      break;
    case FigureInput::views:
      if (!parts.pairs) {
        return;
      }
      break;
    case FigureInput::networks:
      for (const std::string& other : parts.options.compare) {
        figure.compared = other;
        figures.push_back(figure);
      }
      return;
  }
  figures.push_back(std::move(figure));
}

const at::Tensor& input_of(const AnalysedSource& source, const PlannedFigure& figure) {
  return figure.info->input == FigureInput::views ? source.views
         : figure.level == 0                      ? source.features
                                                  : source.levels.at(figure.level - 1);
}

}  // namespace

std::string PlannedFigure::metric() const {
  return fmt::format("{}{}{}", info->name, compared.empty() ? "" : "_" + compared,
                     level == 0 ? "" : fmt::format("_map{}", level));
}

std::vector<PlannedFigure> planned_figures(const AnalyseParts& parts) {
  std::vector<PlannedFigure> planned;
  for (size_t source = 0; source < parts.sources.size(); ++source) {
    for (const FigureInfo& info : figures()) {
      if (is_among(parts.options.figures, info.name)) {
        plan_figure(parts, {.source = source, .info = &info, .compared = {}}, planned);
      }
    }
    for (size_t level = 1; level <= parts.levels; ++level) {
      for (const FigureInfo& info : figures()) {
        if (is_among(parts.options.layers, info.name)) {
          plan_figure(parts, {.source = source, .info = &info, .compared = {}, .level = level},
                      planned);
        }
      }
    }
  }
  return planned;
}

std::vector<PlannedScore> planned_scores(const AnalyseParts& parts, size_t source) {
  std::vector<PlannedScore> scores;
  if (!has_categories(*parts.sources[source])) {
    return scores;
  }
  const auto classes = parts.sources[source]->data().targets().width;
  for (const int64_t k : parts.options.k) {
    if (parts.bank) {
      scores.push_back({fmt::format("knn{}_top1", k), true});
    }
    if (parts.bank && classes > 5) {
      scores.push_back({fmt::format("knn{}_top5", k), true});
    }
  }
  for (const std::string& probe : parts.options.probe) {
    if (!parts.bank && probe != "head") {
      continue;
    }
    scores.push_back({probe + "_top1", true});
    scores.push_back({probe + "_loss", false});
    scores.push_back({probe + "_ece", false});
    if (probe == "logistic") {
      scores.push_back({"nc3", false});
    }
  }
  return scores;
}

AnalysedSource chosen_rows(const AnalysedSource& all, const at::Tensor& rows) {
  AnalysedSource chosen{all.features.index_select(0, rows), {}, all.views};
  for (const at::Tensor& level : all.levels) {
    chosen.levels.push_back(level.index_select(0, rows));
  }
  return chosen;
}

std::vector<MetricResult> compute_figures(const AnalyseParts& parts, const AnalysedNetwork& network,
                                          const std::map<std::string, AnalysedNetwork>& compared,
                                          const std::vector<at::Tensor>& labels,
                                          std::map<std::string, std::string>& left_out) {
  std::vector<MetricResult> results;
  for (const PlannedFigure& figure : planned_figures(parts)) {
    const at::Tensor& features = input_of(network.at(figure.source), figure);
    const FigureInfo& info = *figure.info;
    const Measured measured =
        info.of_one != nullptr ? info.of_one(features)
        : figure.compared.empty()
            ? info.of_two(features, labels.at(figure.source))
            : info.of_two(features,
                          input_of(compared.at(figure.compared).at(figure.source), figure));
    const std::string& data = parts.options.data[figure.source];
    if (measured.value) {
      results.push_back({.data = data,
                         .metric = figure.metric(),
                         .higher_is_better = info.higher_is_better,
                         .values = {*measured.value}});
    } else {
      left_out[score_text(data, figure.metric())] = measured.why_not;
    }
  }
  return results;
}

nlohmann::json compared_cosines(const AnalyseParts& parts, const AnalysedNetwork& network,
                                const std::map<std::string, AnalysedNetwork>& compared) {
  nlohmann::json cosines;
  if (!is_among(parts.options.figures, "subspace_overlap")) {
    return cosines;
  }
  for (size_t source = 0; source < network.size(); ++source) {
    for (const std::string& other : parts.options.compare) {
      cosines[parts.options.data[source]][other] = principal_cosines(
          network[source].features, compared.at(other).at(source).features, overlap_directions);
    }
  }
  return cosines;
}

}  // namespace bissl::host
