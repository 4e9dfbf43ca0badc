#include "stages/networks.h"

#include "base/spelling.h"
#include "bissl/downstream_abilities.h"
#include "bissl/error.h"
#include "data/planned_views.h"
#include "data/target_rules.h"
#include "data/view_maker.h"
#include "models/attribution.h"
#include "models/evaluation_guard.h"
#include "models/guarded.h"
#include "models/head_outputs.h"
#include "models/module_state.h"
#include "models/second_backbone.h"
#include "pipeline/diagnostics.h"
#include "stages/stage_kind.h"
#include "store/network_folder.h"
#include "store/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <mutex>
#include <set>

namespace bissl::host {
namespace {

void require_takes(const StageContext& context, const ComponentChoice& task,
                   const std::string& data, const TargetSpec& targets) {
  const std::vector<TargetKind>& takes = task.component->info.text.takes;
  if (std::find(takes.begin(), takes.end(), targets.kind) != takes.end()) {
    return;
  }
  std::vector<std::string> kinds;
  for (const TargetKind kind : takes) {
    kinds.push_back(to_string(kind));
  }
  fail_input(
      "{} takes {} targets, but data.{} (dataset {}, used at {}) has {}: choose a task that takes "
      "them, or other data",
      task.describe(), fmt::join(kinds, " or "), spelled_key(data),
      context.pipeline.data_source(data).dataset.component->info.text.name,
      context.pipeline.data_source(data).dataset.origin, describe(targets));
}

}  // namespace

std::shared_ptr<Backbone> make_backbone(const StageContext& context, const ImageShape& input,
                                        uint64_t seed) {
  seed_generator(seed);
  auto backbone = create_guarded(context.pipeline.backbone, BackboneContext{input});
  move_to(backbone->module(), context.settings.device);
  set_training(backbone->module(), true);
  return backbone;
}

std::shared_ptr<Pretext> make_pretext(const StageContext& context, const ComponentChoice& choice,
                                      Backbone& backbone, const PretextUse& use) {
  const bool learns = takes_targets(choice);
  if (learns) {
    require_takes(context, choice, use.data, use.targets);
  }
  seed_generator(use.seed);
  const SecondBackbones second(backbone, [&context, &views = use.views] {
    return make_backbone(context, views.front(), 0);
  });
  auto pretext = create_guarded(
      choice,
      PretextContext{.features = backbone.features(),
                     .views = use.views,
                     .steps = use.steps,
                     .samples = use.samples,
                     .classes = use.targets.kind == TargetKind::category ? use.targets.width : 0,
                     .batch = use.batch,
                     .hessian_batch = use.hessian_batch,
                     .make_backbone = second.maker(),
                     .backbone = &backbone,
                     .backbone_name = describe(backbone),
                     .targets = learns ? use.targets : TargetSpec{}});
  move_to(pretext->module(), context.settings.device);
  set_training(pretext->module(), true);
  return pretext;
}

std::shared_ptr<Downstream> make_downstream(const StageContext& context,
                                            const ComponentChoice& choice, Backbone& backbone,
                                            const LabelledData& data, uint64_t seed) {
  require_takes(context, choice, data.name, data.targets);
  seed_generator(seed);
  auto downstream = create_guarded(choice, DownstreamContext{.features = backbone.features(),
                                                             .targets = data.targets,
                                                             .input = data.view,
                                                             .backbone = &backbone,
                                                             .backbone_name = describe(backbone)});
  try {
    require_readable(backbone, *downstream);
  } catch (const Error& error) {
    throw error.at(choice.describe());
  }
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

namespace {

std::vector<std::string> parent_folders(const StageContext& context) {
  if (context.stage.from.empty()) {
    return {""};
  }
  const Stage& parent = context.pipeline.stage(context.stage.from);
  return stage_kind(parent.kind).weight_folders(parent);
}

/// Whether the parent has no such weights and its children make their own.
bool starts_at_random(const StageContext& context, const char* file) {
  if (context.stage.from.empty()) {
    return true;
  }
  const Stage& parent = context.pipeline.stage(context.stage.from);
  const std::vector<std::string>& anew = stage_kind(parent.kind).spec().made_anew;
  return std::find(anew.begin(), anew.end(), std::filesystem::path(file).stem()) != anew.end();
}

}  // namespace

int64_t parent_networks(const StageContext& context) {
  return static_cast<int64_t>(parent_folders(context).size());
}

void take_over(const StageContext& context, const char* file, torch::nn::Module& module,
               std::optional<int64_t> network) {
  const std::vector<std::string> folders = parent_folders(context);
  if (!network && folders.size() > 1) {
    fail_input(
        "stage.{} has trained {} networks, and a stage of kind \"{}\" continues one. Set repeats = "
        "1 "
        "there",
        spelled_key(context.stage.from), folders.size(), context.stage.kind);
  }
  if (starts_at_random(context, file)) {
    return;
  }
  if (context.parent) {
    const std::filesystem::path path =
        network_folder(*context.parent, folders.at(static_cast<size_t>(network.value_or(0)))) /
        file;
    const std::set<std::string> exempt = buffers_not_finite(module);
    load_module_state(module, read_safetensors(path).tensors, path.string());
    if (const std::string found = first_not_finite(module, exempt); !found.empty()) {
      fail_run(
          "stage.{}, which this one continues, left weights that are not finite: {} in {}. That "
          "stage diverged: remove its folder and run it again with a smaller learning rate",
          spelled_key(context.stage.from), found, path.string());
    }
    return;
  }
  if (context.handed_on == nullptr || context.handed_on->count(file) == 0) {
    return;
  }
  const std::string what =
      fmt::format("the {} that stage.{} hands on does not fit",
                  std::filesystem::path(file).stem().string(), spelled_key(context.stage.from));
  require_shapes(context.handed_on->at(file), shapes_of(module_state(module)), what);
}

void save_weights(const std::filesystem::path& folder, const char* file,
                  const torch::nn::Module& module) {
  write_safetensors(folder / file, module_state(module));
}

void require_views(const ViewsChoice& declared, const ComponentChoice& choice,
                   const Pretext& task) {
  const int64_t taken = task.views();
  if (declared.count().value_or(taken) != taken) {
    fail_input("{} takes {} {} of each sample, but {} declares {}", choice.describe(), taken,
               taken == 1 ? "view" : "views", declared.describe(), *declared.count());
  }
}

namespace {

/// `task` in words, and how its loss couples samples.
void refuse_coupled(const char* key, int64_t accumulate, const std::string& task,
                    BatchCoupling coupling) {
  if (accumulate > 1 && coupling != BatchCoupling::separable) {
    fail_input(
        "{} = {}, but the loss of {} couples the samples of a batch ({}), so that the mean over "
        "several batches is another loss. Leave {} at 1 and choose the batch by the memory",
        key, accumulate, task, to_string(coupling), key);
  }
}

}  // namespace

void require_separable(const char* key, int64_t accumulate, const Pretext& task) {
  refuse_coupled(key, accumulate, describe(task), task.coupling());
}

void require_separable(const char* key, int64_t accumulate, Downstream& task) {
  const auto* declared = capability<LossCoupling>(task);
  refuse_coupled(key, accumulate, describe(task),
                 declared == nullptr ? BatchCoupling::separable : declared->coupling());
}

namespace {

/// Says, once in a process, which views a GPU is not given to make, and why.
void note_views_of_processor(const StageContext& context, const ViewsChoice& augment,
                             const Augmentation& augmentation, const BatchOptions& options) {
  const std::string obstacle = planning_obstacle(augmentation, options.views, options.device);
  if (obstacle.empty() || !context.settings.note) {
    return;
  }
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::string place = augment.describe();
  const std::lock_guard lock(mutex);
  if (said.insert(place).second) {
    context.settings.note(fmt::format(
        "{}: the processor makes these views, not {}, because {} does not say how a device makes "
        "them",
        place, options.device.str(), obstacle));
  }
}

}  // namespace

std::shared_ptr<BatchSource> make_batches(const StageContext& context, const std::string& data,
                                          const ViewsChoice& augment, BatchOptions options) {
  options.device = context.settings.device;
  const auto augmentation = make_augmentation(augment);
  note_views_of_processor(context, augment, *augmentation, options);
  return std::make_shared<BatchSource>(context.data.open(data), augmentation, augment.describe(),
                                       std::move(options));
}

bool takes_targets(const ComponentChoice& pretext) {
  return !pretext.component->info.text.takes.empty();
}

std::shared_ptr<BatchSource> make_pretext_batches(const StageContext& context,
                                                  const std::string& data, const Table& table,
                                                  const Pretext& task, BatchOptions options) {
  options.views = task.views();
  options.targets = takes_targets(table.component("pretext"));
  options.geometry = task.reads_geometry();
  return make_batches(context, data, table.augment(), std::move(options));
}

std::shared_ptr<BatchSource> make_labelled_batches(const StageContext& context, const char* key,
                                                   const std::string& data,
                                                   const ViewsChoice& augment,
                                                   const BatchOptions& options) {
  auto source = make_batches(context, data, augment, options);
  if (!source->data().labelled()) {
    fail_input("{}: data.{} has no labels, and this place needs some", key, spelled_key(data));
  }
  return source;
}

}  // namespace bissl::host
