#include "stages/analyse/memory.h"

#include "analysis/neighbours.h"
#include "analysis/working_memory.h"
#include "bissl/backbone_abilities.h"
#include "stages/analyse/figures_of.h"
#include "stages/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace bissl::host {
namespace {

/// Numbers that a network makes of a sample: its features, and those of its levels of maps.
struct Widths {
  std::vector<int64_t> levels;
  int64_t features = 0;

  explicit Widths(const AnalyseParts& parts) : features(parts.backbone->features()) {
    if (parts.levels > 0) {
      for (const FeatureMaps::Level& level :
           capability<FeatureMaps>(*parts.backbone)->map_levels()) {
        levels.push_back(level.channels);
      }
    }
  }

  int64_t at_level(size_t level) const { return level == 0 ? features : levels.at(level - 1); }
  double of_levels() const {
    double sum = 0;
    for (const int64_t channels : levels) {
      sum += static_cast<double>(channels);
    }
    return sum;
  }
};

int64_t chosen_samples(const AnalyseParts& parts, const BatchSource& source) {
  return std::min(source.samples(), parts.options.samples);
}

AnalysedSize size_of_figure(const AnalyseParts& parts, const Widths& widths,
                            const PlannedFigure& figure) {
  const BatchSource& source = *parts.sources[figure.source];
  AnalysedSize size{.samples = chosen_samples(parts, source),
                    .width = widths.at_level(figure.level),
                    .classes = std::max<int64_t>(1, source.data().targets().width)};
  if (figure.info->input == FigureInput::views) {
    size.samples = std::min(parts.pairs->samples, source.samples());
    size.views = parts.pairs->count;
  }
  return size;
}

/// Of the pictures with a point for each of `samples` samples.
double planes_bytes(const AnalyseParts& parts, int64_t samples, int64_t width) {
  const AnalyseOptions& options = parts.options;
  const AnalysedSize size{.samples = samples, .width = width};
  double most = 0;
  const auto consider = [&](const char* plane, double bytes) {
    most = parts.draws(plane) ? std::max({most, bytes, trustworthiness_bytes(size)}) : most;
  };
  consider("pca", components_bytes(size));
  const double perplexity = std::min(options.perplexity, static_cast<double>(samples) / 3);
  consider("tsne", tsne_bytes(size, static_cast<int64_t>(3 * perplexity) + 1));
  consider("umap", umap_bytes(size, options.umap_neighbours));
  return most;
}

/// Of the neighbours in the bank, and of fits to it.
double bank_bytes(const AnalyseParts& parts, int64_t samples, int64_t width) {
  if (!parts.bank) {
    return 0;
  }
  constexpr double copies = 2;  // in double: all, and those that are not held out
  const auto numbers = static_cast<double>(width);
  const double votes = static_cast<double>(samples) *
                       static_cast<double>(parts.bank->data().targets().width) * sizeof(double);
  const double search = static_cast<double>(samples) * numbers * sizeof(float) +
                        nearness_bytes(parts.bank->samples(), samples) + votes;
  const double rows = static_cast<double>(chosen_samples(parts, *parts.bank)) *
                      static_cast<double>(parts.probe_views ? parts.probe_views->count : 1);
  const double fit =
      parts.fits_probes() ? rows * numbers * (sizeof(float) + copies * sizeof(double)) : 0;
  return std::max(search, fit);
}

}  // namespace

AnalyseMemory analyse_memory(const AnalyseParts& parts) {
  const Widths widths(parts);
  const double of_sample =
      (static_cast<double>(widths.features) + widths.of_levels()) * sizeof(float);
  const double networks = 1 + static_cast<double>(parts.options.compare.size());
  AnalyseMemory memory;
  double largest = 0;
  for (const auto& source : parts.sources) {
    const int64_t chosen = chosen_samples(parts, *source);
    memory.kept += networks * static_cast<double>(chosen) * of_sample;
    largest = std::max(largest, static_cast<double>(source->samples()) *
                                    (of_sample + widths.of_levels() * sizeof(float)));
    memory.working = std::max({memory.working, planes_bytes(parts, chosen, widths.features),
                               bank_bytes(parts, source->samples(), widths.features)});
  }
  memory.kept += largest;
  if (parts.bank) {
    memory.kept += static_cast<double>(parts.bank->samples()) *
                   static_cast<double>(widths.features) * sizeof(float);
  }
  for (const PlannedFigure& figure : planned_figures(parts)) {
    memory.working =
        std::max(memory.working, figure_bytes(*figure.info, size_of_figure(parts, widths, figure)));
  }
  return memory;
}

void refuse_beyond_memory(const AnalyseParts& parts) {
  const AnalyseMemory memory = analyse_memory(parts);
  refuse_beyond_memory(
      fmt::format("samples = {}", parts.options.samples),
      fmt::format("what is kept and computed of {} features of each", parts.backbone->features()),
      memory.kept + memory.working,
      "Choose fewer samples, or leave out figures, pictures or stages of `compare`");
}

}  // namespace bissl::host
