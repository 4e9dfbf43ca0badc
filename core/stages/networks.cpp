#include "stages/networks.h"

#include "bissl/error.h"
#include "bissl/hash.h"
#include "models/evaluation_guard.h"
#include "models/guarded.h"
#include "models/module_state.h"
#include "store/safetensors.h"

namespace bissl {

uint64_t StageContext::seed_for(const std::string& use) const {
  return hash64(fmt::format("{}#{}/{}", stage.kind, generation, use), pipeline.seed);
}

std::shared_ptr<Backbone> make_backbone(const StageContext& context, const ImageShape& input,
                                        uint64_t seed) {
  seed_generator(seed);
  auto backbone = create_guarded(context.pipeline.backbone, BackboneContext{input});
  move_to(backbone->module(), context.settings.device);
  set_training(backbone->module(), true);
  return backbone;
}

std::shared_ptr<Pretext> make_pretext(const StageContext& context, const ComponentChoice& choice,
                                      const Backbone& backbone, uint64_t seed) {
  seed_generator(seed);
  auto pretext = create_guarded(choice, PretextContext{backbone.features()});
  move_to(pretext->module(), context.settings.device);
  set_training(pretext->module(), true);
  return pretext;
}

std::shared_ptr<Downstream> make_downstream(const StageContext& context,
                                            const ComponentChoice& choice, const Backbone& backbone,
                                            int64_t classes, uint64_t seed) {
  seed_generator(seed);
  auto downstream = create_guarded(choice, DownstreamContext{backbone.features(), classes});
  move_to(downstream->module(), context.settings.device);
  set_training(downstream->module(), true);
  return downstream;
}

std::shared_ptr<Optimizer> make_optimizer(const ComponentChoice& choice, NamedTensors parameters) {
  return create_guarded(choice, OptimizerContext{std::move(parameters)});
}

std::shared_ptr<Hypergradient> make_hypergradient(const ComponentChoice& choice,
                                                  int64_t lower_steps) {
  auto hypergradient = create_guarded(choice, HypergradientContext{});
  const int64_t wanted = hypergradient->needs().lower_steps;
  if (wanted > lower_steps) {
    fail_input("{} goes back through {} lower steps, but a round has {} (lower.steps)",
               choice.describe(), wanted, lower_steps);
  }
  return hypergradient;
}

void load_weights(const std::filesystem::path& folder, const char* file,
                  torch::nn::Module& module) {
  const std::filesystem::path path = folder / file;
  load_module_state(module, read_safetensors(path).tensors, path.string());
}

void save_weights(const std::filesystem::path& folder, const char* file,
                  const torch::nn::Module& module) {
  write_safetensors(folder / file, module_state(module));
}

std::shared_ptr<BatchSource> make_batches(const StageContext& context, const std::string& data,
                                          const ComponentChoice& augment,
                                          const BatchOptions& options) {
  return std::make_shared<BatchSource>(context.data.open(data),
                                       augment.create<Augmentation>(AugmentationContext{}), augment,
                                       options);
}

}  // namespace bissl
