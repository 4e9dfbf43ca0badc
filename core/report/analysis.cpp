#include "report/analysis.h"

#include "report/statistics.h"

namespace bissl::host {
namespace {

using Choices = std::vector<size_t>;

/// One metric's values, by cell and repetition.
using Values = std::map<Choices, std::map<std::string, double>>;

Values values_of(const ReportData& data, const std::string& metric) {
  Values values;
  for (const Observation& observation : data.observations) {
    const auto found = observation.metrics.find(metric);
    if (found != observation.metrics.end()) {
      values[observation.choices][observation.repetition] = found->second;
    }
  }
  return values;
}

std::vector<double> plain(const std::map<std::string, double>& by_repetition) {
  std::vector<double> values;
  values.reserve(by_repetition.size());
  for (const auto& [repetition, value] : by_repetition) {
    values.push_back(value);
  }
  return values;
}

std::optional<Comparison> compare(const std::vector<double>& differences) {
  if (differences.empty()) {
    return std::nullopt;
  }
  return Comparison{differences, estimate(differences), sign_flip_test(differences), 1};
}

std::optional<Comparison> compare(const std::map<std::string, double>& values,
                                  const std::map<std::string, double>& others) {
  std::vector<double> differences;
  for (const auto& [repetition, value] : values) {
    const auto other = others.find(repetition);
    if (other != others.end()) {
      differences.push_back(value - other->second);
    }
  }
  return compare(differences);
}

/// Fills in `adjusted` of those that are there, as one family of tests.
void adjust(const std::vector<std::optional<Comparison>*>& family) {
  std::vector<double> p_values;
  for (const auto* comparison : family) {
    if (*comparison) {
      p_values.push_back((*comparison)->test.p);
    }
  }
  const std::vector<double> adjusted = holm(p_values);
  size_t next = 0;
  for (auto* comparison : family) {
    if (*comparison) {
      (*comparison)->adjusted = adjusted[next++];
    }
  }
}

Choices baseline_of(const ReportData& data) {
  Choices choices;
  for (const ReportAxis& axis : data.axes) {
    choices.push_back(axis.baseline);
  }
  return choices;
}

/// A cell is compared with the baseline on its own task.
Choices with_task_of(const ReportData& data, Choices choices, const Choices& cell) {
  for (size_t i = 0; i < data.axes.size(); ++i) {
    if (data.axes[i].is_tasks) {
      choices[i] = cell[i];
    }
  }
  return choices;
}

/// For each repetition, the values of a label by the other axes' choices.
std::map<std::string, std::map<Choices, double>> slice(const Values& values, size_t axis,
                                                       size_t label) {
  std::map<std::string, std::map<Choices, double>> found;
  for (const auto& [choices, by_repetition] : values) {
    if (choices[axis] != label) {
      continue;
    }
    Choices others = choices;
    others.erase(others.begin() + static_cast<long>(axis));
    for (const auto& [repetition, value] : by_repetition) {
      found[repetition][others] = value;
    }
  }
  return found;
}

std::optional<Comparison> effect_of(const Values& values, size_t axis, size_t label,
                                    size_t baseline) {
  const auto chosen = slice(values, axis, label);
  const auto against = slice(values, axis, baseline);
  std::vector<double> differences;
  for (const auto& [repetition, cells] : chosen) {
    const auto same = against.find(repetition);
    std::vector<double> of_cells;
    if (same != against.end()) {
      for (const auto& [others, value] : cells) {
        const auto partner = same->second.find(others);
        if (partner != same->second.end()) {
          of_cells.push_back(value - partner->second);
        }
      }
    }
    if (!of_cells.empty()) {
      differences.push_back(mean_of(of_cells));
    }
  }
  return compare(differences);
}

}  // namespace

std::vector<CellSummary> summarise(const ReportData& data) {
  const std::string& first = data.metrics.front();
  std::map<Choices, CellSummary> cells;
  for (const std::string& metric : data.metrics) {
    for (const auto& [choices, by_repetition] : values_of(data, metric)) {
      cells[choices].choices = choices;
      cells[choices].metrics[metric] = estimate(plain(by_repetition));
    }
  }
  const Values values = values_of(data, first);
  const Values reference = data.reference.empty() ? Values{} : values_of(data, data.reference);
  const Choices baseline_choices = baseline_of(data);
  std::vector<CellSummary> result;
  for (auto& [choices, cell] : cells) {
    const auto own = values.find(choices);
    if (own != values.end()) {
      cell.values = plain(own->second);
      const auto baseline = values.find(with_task_of(data, baseline_choices, choices));
      if (baseline != values.end() && baseline->first != choices) {
        cell.to_baseline = compare(own->second, baseline->second);
      }
      const auto partner = reference.find(choices);
      if (partner != reference.end()) {
        cell.to_reference = compare(own->second, partner->second);
      }
    }
    result.push_back(std::move(cell));
  }
  std::vector<std::optional<Comparison>*> to_baseline;
  std::vector<std::optional<Comparison>*> to_reference;
  for (CellSummary& cell : result) {
    to_baseline.push_back(&cell.to_baseline);
    to_reference.push_back(&cell.to_reference);
  }
  adjust(to_baseline);
  adjust(to_reference);
  return result;
}

std::vector<AxisEffects> marginal_effects(const ReportData& data) {
  const Values values = values_of(data, data.metrics.front());
  std::vector<AxisEffects> result;
  for (size_t axis = 0; axis < data.axes.size(); ++axis) {
    const ReportAxis& description = data.axes[axis];
    if (description.labels.size() < 2 || description.is_tasks) {
      continue;
    }
    AxisEffects effects{description.name, {}};
    for (size_t label = 0; label < description.labels.size(); ++label) {
      std::vector<double> means;
      for (const auto& [repetition, cells] : slice(values, axis, label)) {
        std::vector<double> of_cells;
        for (const auto& [others, value] : cells) {
          of_cells.push_back(value);
        }
        means.push_back(mean_of(of_cells));
      }
      if (means.empty()) {
        continue;
      }
      MarginalEffect effect{description.labels[label], estimate(means), std::nullopt};
      if (label != description.baseline) {
        effect.effect = effect_of(values, axis, label, description.baseline);
      }
      effects.labels.push_back(std::move(effect));
    }
    std::vector<std::optional<Comparison>*> family;
    for (MarginalEffect& effect : effects.labels) {
      family.push_back(&effect.effect);
    }
    adjust(family);
    result.push_back(std::move(effects));
  }
  return result;
}

}  // namespace bissl::host
