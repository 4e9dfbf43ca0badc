#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"
#include "bissl/pretext.h"
#include "data/prefetcher.h"
#include "stages/context.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

// What stages are made of, built from the pipeline's choices, on the run's device. Errors name the
// component, its library and its TOML line.

/// Weights of a stage's folder, by their role.
inline constexpr const char* backbone_file = "backbone.safetensors";
inline constexpr const char* pretext_file = "pretext.safetensors";
inline constexpr const char* head_file = "head.safetensors";

/// A backbone in training mode with random weights drawn from `seed`.
std::shared_ptr<Backbone> make_backbone(const StageContext& context, const ImageShape& input,
                                        uint64_t seed);

/// What a pretext task is made for.
struct PretextUse {
  std::vector<ImageShape> views;  ///< as PretextContext has them
  int64_t steps = 1;              ///< of the stage, or of its lower level
  int64_t samples = 0;            ///< as PretextContext has them
  int64_t batch = 0;              ///< the same
  int64_t hessian_batch = 0;      ///< the same
  uint64_t seed = 0;              ///< of the weights
  std::string data{};             ///< the name of the data source
  TargetSpec targets{};           ///< what its targets are
};

/// A pretext task in training mode for `backbone`, whose weights are those that its teacher, if it
/// makes one, begins with. Throws Error(input), which names both sides and their places, where it
/// takes targets, but none of the data's kind.
std::shared_ptr<Pretext> make_pretext(const StageContext& context, const ComponentChoice& choice,
                                      Backbone& backbone, const PretextUse& use);

/// Targets, and the data source that has them.
struct LabelledData {
  std::string name;  ///< of `[data.NAME]`
  const TargetSpec& targets;
  ImageShape view;  ///< of its images, as the network sees them
};

/// A task for these targets. Throws Error(input), which names both sides and their places, where it
/// takes no targets of their kind or reads what the backbone does not have.
std::shared_ptr<Downstream> make_downstream(const StageContext& context,
                                            const ComponentChoice& choice, Backbone& backbone,
                                            const LabelledData& data, uint64_t seed);

std::shared_ptr<Optimizer> make_optimizer(const ComponentChoice& choice, NamedTensors parameters);

/// The approximator of a stage whose rounds have `lower_steps` steps of the lower level. Refuses
/// one that goes back through more.
std::shared_ptr<Hypergradient> make_hypergradient(const ComponentChoice& choice,
                                                  int64_t lower_steps);

/// How many networks the stage that this one continues hands on: its repeats. 1 without a parent.
int64_t parent_networks(const StageContext& context);

/// Reads what the parent wrote under `file` into a module; in a check, only compares names and
/// shapes with what the parent will write. Nothing without a parent. `network` is one of
/// parent_networks(); unset, there must be one. Throws Error(input).
void take_over(const StageContext& context, const char* file, torch::nn::Module& module,
               std::optional<int64_t> network = std::nullopt);

/// Writes a module's weights to the stage's folder.
void save_weights(const std::filesystem::path& folder, const char* file,
                  const torch::nn::Module& module);

/// Throws Error(input) unless the pretext task takes as many views as the table declares; nothing
/// where it declares no number.
void require_views(const ViewsChoice& declared, const ComponentChoice& choice, const Pretext& task);

/// Throws Error(input) where gradients are accumulated over several batches, `key` of them, though
/// the mean of the losses of several is another loss than that of all their samples.
void require_separable(const char* key, int64_t accumulate, const Pretext& task);
/// The same for a downstream task, whose loss is separable where it does not say otherwise by the
/// ability LossCoupling.
void require_separable(const char* key, int64_t accumulate, Downstream& task);

/// A source of batches on the run's device for a table with `data`, `augment` and `batch`.
std::shared_ptr<BatchSource> make_batches(const StageContext& context, const std::string& data,
                                          const ViewsChoice& augment, BatchOptions options);

/// The same for a pretext task, with as many views as it takes; targets and geometry are in the
/// batches where it asks for them.
std::shared_ptr<BatchSource> make_pretext_batches(const StageContext& context,
                                                  const std::string& data, const Table& table,
                                                  const Pretext& task, BatchOptions options);

/// Whether the pretext task of a table learns from targets.
bool takes_targets(const ComponentChoice& pretext);

/// The same for data that must have targets; `key` is the one of the stage that names it.
std::shared_ptr<BatchSource> make_labelled_batches(const StageContext& context, const char* key,
                                                   const std::string& data,
                                                   const ViewsChoice& augment,
                                                   const BatchOptions& options);

}  // namespace bissl::host
