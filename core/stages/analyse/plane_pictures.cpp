#include "stages/analyse/plane_pictures.h"

#include "analysis/embedding.h"
#include "base/atomic_file.h"
#include "base/spelling.h"
#include "pipeline/metric_name.h"
#include "stages/agreement.h"
#include "stages/analyse/bank_pictures.h"
#include "stages/analyse/picture.h"

#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace bissl::host {
namespace {

struct Plane {
  const char* name;
  const char* title;
  int64_t least_samples;
};

constexpr std::array<Plane, 3> planes{{{"pca", "Principal components", 1},
                                       {"tsne", "t-SNE", least_placed},
                                       {"umap", "UMAP", least_placed}}};

/// (n, 2), double: where the plane has the features (n, D).
at::Tensor place(const std::string& plane, const StageContext& context,
                 const AnalyseOptions& options, const at::Tensor& features) {
  if (plane == "tsne") {
    return tsne(features,
                {.perplexity = options.perplexity, .after_iteration = stop_if_any_interrupted});
  }
  if (plane == "umap") {
    return umap(features, {.neighbours = options.umap_neighbours,
                           .least_distance = options.umap_distance,
                           .seed = context.seed_for("umap"),
                           .after_epoch = stop_if_any_interrupted});
  }
  at::Tensor points = at::zeros({features.size(0), 2}, at::kDouble);
  const Components found = principal_components(features, 2);
  points.narrow(1, 0, found.points.size(1)).copy_(found.points);
  return points;
}

/// Without title and points.
FeaturePicture picture_of(const StageContext& context, const AnalyseParts& parts,
                          const DrawnSamples& samples) {
  const std::vector<std::string> all =
      context.data.sample_names(parts.options.data[samples.source]);
  FeaturePicture picture;
  for (int64_t i = 0; i < samples.rows.size(0); ++i) {
    const int64_t row = samples.rows.data_ptr<int64_t>()[i];
    picture.names.push_back(all.at(static_cast<size_t>(row)));
    if (samples.labels.defined()) {
      picture.classes.push_back(samples.labels.data_ptr<int64_t>()[i]);
    }
  }
  if (samples.labels.defined()) {
    picture.legend = parts.sources[samples.source]->data().targets().names;
  }
  return picture;
}

/// In the stage's folder; adds the files' names.
void write(const StageContext& context, const std::string& name, const FeaturePicture& picture,
           std::vector<std::string>& files) {
  const auto write_one = [&](const char* ending, const std::string& text) {
    files.push_back(name + ending);
    write_file_atomically(context.folder / files.back(), text);
  };
  write_one(".svg", picture.svg());
  write_one(".png", picture.png());
  write_one(".csv", picture.csv());
}

}  // namespace

std::vector<std::string> chosen_planes(const AnalyseOptions& options) {
  std::vector<std::string> chosen;
  for (const Plane& plane : planes) {
    if (std::find(options.pictures.begin(), options.pictures.end(), plane.name) !=
        options.pictures.end()) {
      chosen.emplace_back(plane.name);
    }
  }
  return chosen;
}

std::vector<std::string> plane_doubts(const AnalyseOptions& options, const std::string& data,
                                      int64_t samples) {
  std::vector<std::string> found;
  const std::vector<std::string> chosen = chosen_planes(options);
  const auto is_drawn = [&](const char* plane) {
    return samples >= least_placed &&
           std::find(chosen.begin(), chosen.end(), plane) != chosen.end();
  };
  const double most = static_cast<double>(samples - 1) / 3;
  if (is_drawn("tsne") && options.perplexity > most) {
    found.push_back(fmt::format(
        "perplexity = {:.6g} is more than a third of the other {} samples of data.{}: t-SNE takes "
        "{:.3g}",
        options.perplexity, samples - 1, spelled_key(data), most));
  }
  if (is_drawn("umap") && options.umap_neighbours > samples) {
    found.push_back(
        fmt::format("umap_neighbours = {} is more than the {} samples of data.{}: "
                    "UMAP takes all of them",
                    options.umap_neighbours, samples, spelled_key(data)));
  }
  return found;
}

std::vector<std::string> draw_planes(const StageContext& context, const AnalyseParts& parts,
                                     const DrawnSamples& samples, const AnalysedNetwork& network,
                                     const std::map<std::string, AnalysedNetwork>& compared,
                                     std::vector<MetricResult>& metrics,
                                     std::map<std::string, std::string>& left_out) {
  const AnalyseOptions& options = parts.options;
  const std::string& data = options.data[samples.source];
  const std::string own = context.stage.from.empty() ? "scratch" : context.stage.from;
  std::vector<std::string> files;
  FeaturePicture picture = picture_of(context, parts, samples);
  for (const Plane& plane : planes) {
    const std::string name = plane.name;
    if (!parts.draws(plane.name)) {
      continue;
    }
    const at::Tensor& features = network[samples.source].features;
    const std::string metric = name + "_trustworthiness";
    if (features.size(0) < plane.least_samples) {
      left_out[score_text(data, name)] = left_out[score_text(data, metric)] =
          fmt::format("{} places {} samples at least, and there are {}", plane.title,
                      plane.least_samples, features.size(0));
      continue;
    }
    const at::Tensor points = place(name, context, options, features);
    const Measured kept = trustworthiness(features, points, trusted_neighbours);
    if (kept.value) {
      metrics.push_back(
          {.data = data, .metric = metric, .higher_is_better = true, .values = {*kept.value}});
    } else {
      left_out[score_text(data, metric)] = kept.why_not;
    }
    picture.title = fmt::format("{} of data.{}", plane.title, data);
    picture.panels = {{own, points}};
    for (const std::string& other : options.compare) {
      const at::Tensor& others = compared.at(other).at(samples.source).features;
      picture.panels.push_back({other, place(name, context, options, others)});
    }
    write(context, fmt::format("{}-{}", name, data), picture, files);
  }
  if (!files.empty()) {
    for (std::string& file : draw_thumbnails(context, parts, samples.source, samples.rows)) {
      files.push_back(std::move(file));
    }
  }
  return files;
}

}  // namespace bissl::host
