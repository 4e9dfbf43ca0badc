#include "stages/mix.h"

#include "stages/option_schemas.h"

#include <utility>

namespace bissl::host {
namespace {

const Schema<MixOptions>& mix_schema() {
  static const Schema<MixOptions> schema = [] {
    Schema<MixOptions> s;
    s.add("mixup", &MixOptions::mixup,
          "α of the share of two images that are laid over each other, drawn from Beta(α, "
          "α) (Zhang et al. 2018, arXiv 1710.09412); 0: never")
        .at_least(0);
    s.add("cutmix", &MixOptions::cutmix,
          "α of the share of an image that a rectangle of another one covers, drawn from "
          "Beta(α, α) (Yun et al. 2019, arXiv 1905.04899); 0: never")
        .at_least(0);
    s.add("probability", &MixOptions::probability, "that a batch is mixed").at_least(0).at_most(1);
    s.add("cutmix_share", &MixOptions::cutmix_share,
          "share of the mixed batches that \"cutmix\" takes where both are on")
        .at_least(0)
        .at_most(1)
        .only_above("mixup", 0)
        .only_above("cutmix", 0);
    s.rule([](const MixOptions& options, std::vector<Finding>& findings) {
      if (options.mixup == 0 && options.cutmix == 0) {
        findings.push_back({Finding::Severity::error, "mixup",
                            "give mixup or cutmix a number of more than 0, or both"});
      }
    });
    return s;
  }();
  return schema;
}

}  // namespace

SubtableSpec mix_table() {
  return {"mix", table_of(mix_schema()), false,
          "mixes the images of a batch in pairs, and their targets"};
}

std::optional<BatchMix> make_mix(const Table& table, uint64_t seed, const TargetSpec& targets) {
  if (!table.has_table("mix")) {
    return std::nullopt;
  }
  return BatchMix(mix_schema().parse(table.table("mix").values), seed, targets);
}

TaskBatch task_batch(const Batch& batch, const std::optional<BatchMix>& mix, int64_t number) {
  TaskBatch result{.images = batch.views[0], .targets = batch.targets};
  if (mix) {
    MixedBatch mixed = mix->mix(batch.views[0], batch.targets, number);
    result.images = std::move(mixed.images);
    result.partners = std::move(mixed.partners);
    result.share = mixed.share;
  }
  return result;
}

}  // namespace bissl::host
