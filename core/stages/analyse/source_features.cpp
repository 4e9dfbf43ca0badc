#include "stages/analyse/source_features.h"

#include "bissl/backbone_abilities.h"
#include "bissl/error.h"
#include "data/prefetcher.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cstdint>

namespace bissl::host {
namespace {

std::vector<at::Tensor> level_features(FeatureMaps& maps, const at::Tensor& images) {
  std::vector<at::Tensor> levels;
  for (const at::Tensor& map : maps.maps(images)) {
    levels.push_back(map.mean(at::IntArrayRef{2, 3}).cpu());
  }
  return levels;
}

at::Tensor look_at_views(const AnalyseParts& parts, size_t source,
                         const std::function<void()>& after_batch) {
  std::vector<at::Tensor> all;
  for (const int64_t number : parts.chosen_views(source)) {
    const Batch batch = parts.views[source]->make(number);
    std::vector<at::Tensor> views;
    for (const at::Tensor& view : batch.views) {
      views.push_back(analysed_features(view, *parts.backbone).cpu());
    }
    all.push_back(at::stack(views, 1));
    after_batch();
  }
  return at::cat(all);
}

}  // namespace

at::Tensor analysed_features(const at::Tensor& images, Backbone& backbone) {
  at::Tensor features = backbone.forward(images);
  if (!at::isfinite(features).all().item<bool>()) {
    fail_run("the backbone's features are not finite: the stage that it is from diverged");
  }
  return features;
}

AnalysedSource look_at_source(const StageContext& context, const AnalyseParts& parts, size_t source,
                              const std::function<void()>& after_batch) {
  const auto& batches = parts.sources[source];
  AnalysedSource found;
  found.features = at::empty({batches->samples(), parts.backbone->features()}, at::kFloat);
  std::vector<std::vector<at::Tensor>> levels(parts.levels);
  auto* maps = parts.levels == 0 ? nullptr : capability<FeatureMaps>(*parts.backbone);
  Prefetcher prefetched(batches, 0, batches->batches(), context.settings.loader_threads);
  for (int64_t begin = 0; begin < batches->samples();) {
    const Batch batch = prefetched.next();
    const at::Tensor features = analysed_features(batch.views[0], *parts.backbone);
    found.features.narrow(0, begin, features.size(0)).copy_(features);
    begin += features.size(0);
    if (maps != nullptr) {
      const std::vector<at::Tensor> of_batch = level_features(*maps, batch.views[0]);
      for (size_t i = 0; i < levels.size(); ++i) {
        levels[i].push_back(of_batch.at(i));
      }
    }
    after_batch();
  }
  for (const std::vector<at::Tensor>& level : levels) {
    found.levels.push_back(at::cat(level));
  }
  if (!parts.views.empty()) {
    found.views = look_at_views(parts, source, after_batch);
  }
  return found;
}

at::Tensor views_of(const AnalyseParts& parts, size_t source, const at::Tensor& rows) {
  std::vector<at::Tensor> views;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    const int64_t row = rows.data_ptr<int64_t>()[i];
    const Batch batch = parts.sources[source]->make(row / parts.options.batch);
    views.push_back(batch.views[0].narrow(0, row % parts.options.batch, 1));
  }
  return at::cat(views);
}

at::Tensor bank_features(const StageContext& context, const AnalyseParts& parts,
                         const std::function<void()>& after_batch) {
  at::Tensor features = at::empty({parts.bank->samples(), parts.backbone->features()},
                                  at::dtype(at::kFloat).device(context.settings.device));
  Prefetcher prefetched(parts.bank, 0, parts.bank->batches(), context.settings.loader_threads);
  for (int64_t begin = 0; begin < features.size(0);) {
    const Batch batch = prefetched.next();
    const at::Tensor of_batch = analysed_features(batch.views[0], *parts.backbone);
    features.narrow(0, begin, of_batch.size(0)).copy_(of_batch);
    begin += of_batch.size(0);
    after_batch();
  }
  return features;
}

at::Tensor categories_of(const BatchSource& source) {
  if (source.data().targets().kind != TargetKind::category) {
    return {};
  }
  at::Tensor labels = at::empty({source.samples()}, at::kLong);
  for (int64_t i = 0; i < source.samples(); ++i) {
    labels.data_ptr<int64_t>()[i] = source.data().target(i).category;
  }
  return labels;
}

at::Tensor spread_evenly(int64_t samples, int64_t most) {
  const int64_t count = std::min(samples, most);
  at::Tensor rows = at::empty({count}, at::kLong);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t first = i * samples / count;
    const int64_t block = (i + 1) * samples / count - first;
    const auto scattered =
        static_cast<int64_t>((static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15U) >> 33U);
    rows.data_ptr<int64_t>()[i] = first + scattered % block;
  }
  return rows;
}

}  // namespace bissl::host
