#include "cli/compare_files.h"

#include "bissl/parameters.h"
#include "pipeline/toml_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

constexpr int64_t lower_steps = 10;  ///< of a round
constexpr int64_t upper_steps = 8;
constexpr double lower_rate = 0.03;
/// Smaller views than this, in pixels, are not blurred (Chen et al. 2020, arXiv 2002.05709,
/// appendix B.9), and keep more of their colour.
constexpr int64_t large_views = 64;
constexpr const char* small_views_keys =
    ", saturation = 0.4, grayscale_probability = 0.1, blur_probability = 0.0";
/// λ·lr/(1 − momentum)·steps, which is kept whatever the number of rounds.
constexpr double pull = 2.4;

std::string path_text(const fs::path& path) {
  return to_toml(Value(fs::absolute(path).lexically_normal().string()));
}

/// Images are decoded once, at a quarter more than the views' size, so a file that cannot be read
/// shows before anything is trained.
std::string source_text(const std::string& name, const fs::path& root, const std::string& keys,
                        int64_t size) {
  const int64_t stored = size + size / 4;
  return fmt::format(
      "[data.{}]\nuse  = \"image-folder\"\nroot = {}\nsize = {}\ncache_pixels = {}\n{}\n", name,
      path_text(root), stored, stored, keys);
}

std::string data_text(const CompareSettings& settings) {
  const LabelledFolder& labelled = settings.labelled;
  const std::string split =
      labelled.held_out > 0
          ? fmt::format("skip_per_class = {}  # the others are scored on\n", labelled.held_out)
          : "";
  const std::string take = "take = \"labelled\"\n";
  std::string text = source_text("labelled", labelled.train, take + split, settings.size);
  text += labelled.test ? source_text("test", *labelled.test, take, settings.size)
                        : source_text("test", labelled.train,
                                      take + fmt::format("per_class = {}\n", labelled.held_out),
                                      settings.size);
  // Without images of their own the pretext task has the labelled ones, never those of the test.
  text += settings.unlabeled
              ? source_text("unlabeled", *settings.unlabeled, "take = \"all\"\n", settings.size)
              : source_text("unlabeled", labelled.train, take + split, settings.size);
  return text;
}

int64_t batch_of(int64_t images, int64_t most) {
  return std::clamp<int64_t>(images / 4, std::min<int64_t>(4, images), most);
}

std::string finetune_text(const CompareSettings& settings, int64_t batch) {
  return fmt::format(
      R"([stage.bissl-finetune]
kind       = "finetune"
from       = "bissl"
data       = "labelled"
augment    = {{ use = "supervised", size = {0} }}
downstream = {{ use = "classification" }}
optimizer  = {{ use = "sgd", lr = 0.03, weight_decay = 5e-4 }}
schedule   = {{ use = "cosine" }}
batch      = {1}
steps      = {2}
evaluate   = {{ data = "test", augment = {{ use = "evaluation", size = {0} }} }}

)",
      settings.size, batch, settings.finetune_steps);
}

std::string bissl_text(const CompareSettings& settings, int64_t batch) {
  const double steps = static_cast<double>(settings.rounds * lower_steps);
  return fmt::format(
      R"([stage.bissl]
kind   = "bissl"
from   = "pretrain"
rounds = {0}
lambda = {1:.3g}
gamma  = 1.0
hypergradient = {{ use = "cg", iterations = 3, damping = 10.0, tolerance = 0.3, ask_every = 8 }}

[stage.bissl.lower]
steps     = {2}
optimizer = {{ use = "sgd", lr = {3}, weight_decay = 1e-4 }}
schedule  = {{ use = "cosine", warmup_steps = 0 }}

[stage.bissl.upper]
data       = "labelled"
steps      = {4}
batch      = {5}
augment    = {{ use = "supervised", size = {6} }}
downstream = {{ use = "classification" }}
optimizer  = {{ use = "sgd", lr = 0.01 }}
lr_factor  = "auto"
schedule   = {{ use = "cosine" }}

)",
      settings.rounds, pull * 0.1 / (lower_rate * steps), lower_steps, lower_rate, upper_steps,
      batch, settings.size);
}

/// The names of the arms' fine-tunings, with what each continues; the first one is bissl's.
std::vector<std::pair<std::string, std::string>> arms_of(const CompareSettings& settings) {
  std::vector<std::pair<std::string, std::string>> arms = {{"bissl-finetune", "bissl"},
                                                           {"more-steps-finetune", "more-steps"},
                                                           {"more-time-finetune", "more-time"},
                                                           {"pretrain-finetune", "pretrain"},
                                                           {"scratch-finetune", "scratch"}};
  if (settings.weights) {
    arms.emplace_back("weights-finetune", "weights");
  }
  return arms;
}

}  // namespace

CompareSettings CompareSettings::scaled(double factor) const {
  CompareSettings settings = *this;
  const auto times = [factor](int64_t number) {
    return std::max<int64_t>(1, std::llround(factor * static_cast<double>(number)));
  };
  settings.pretext_steps = times(pretext_steps);
  settings.rounds = times(rounds);
  settings.finetune_steps = times(finetune_steps);
  return settings;
}

std::string compare_pipeline(const CompareSettings& settings) {
  const int64_t pretext_batch = batch_of(settings.unlabeled_images, 64);
  const int64_t batch = batch_of(settings.labelled.train_images, 64);
  std::string text = fmt::format(
      "# Written by `bissl compare`. Change what you like and call `bissl sweep` on the ablation "
      "beside it.\nname = {}\n\n",
      to_toml(Value(settings.name + "-pipeline")));
  text += data_text(settings) + "\n[model.backbone]\n";
  text += settings.weights ? fmt::format("use = {}\n\n", to_toml(Value(settings.backbone)))
                           : fmt::format("use   = \"resnet18\"\nstem  = \"small\"\nwidth = {}\n\n",
                                         settings.width);
  if (settings.weights) {
    text += fmt::format("[stage.weights]\nkind = \"import\"\nfile = {}\nsize = {}\n\n",
                        path_text(*settings.weights), settings.size);
  }
  text += fmt::format(
      R"([stage.pretrain]
kind      = "pretrain"
from      = "{0}"
data      = "unlabeled"
augment   = {{ use = "simclr", size = {1}{5} }}
pretext   = {{ use = "simclr", temperature = 0.5, projector = [128, 128, 64] }}
optimizer = {{ use = "sgd", lr = 0.06, weight_decay = 1e-4 }}
schedule  = {{ use = "cosine", warmup_steps = {2} }}
batch     = {3}
steps     = {4}

)",
      settings.weights ? "weights" : "scratch", settings.size,
      std::min<int64_t>(20, settings.pretext_steps / 4), pretext_batch, settings.pretext_steps,
      settings.size < large_views ? small_views_keys : "");
  text += bissl_text(settings, batch);
  text += R"(# As many more pretext steps as bissl makes, and as many as it had time for.
[stage.more-steps]
like      = "pretrain"
from      = "pretrain"
match     = { stage = "bissl", by = "steps" }
optimizer = { use = "sgd", lr = 0.03, weight_decay = 1e-4 }
unset     = ["schedule.warmup_steps"]

[stage.more-time]
like  = "more-steps"
match = { stage = "bissl", by = "seconds" }

)";
  text += finetune_text(settings, batch);
  for (const auto& [name, from] : arms_of(settings)) {
    if (name != "bissl-finetune") {
      text += fmt::format("[stage.{}]\nlike = \"bissl-finetune\"\nfrom = \"{}\"\n\n", name, from);
    }
  }
  return text;
}

std::string compare_ablation(const CompareSettings& settings, const std::string& pipeline) {
  std::string metrics;
  for (const auto& [name, from] : arms_of(settings)) {
    if (name != "more-time-finetune") {
      metrics += fmt::format("  \"{}.test.top1\",\n", name);
    }
  }
  std::string seeds;
  for (int64_t seed = 0; seed < settings.seeds; ++seed) {
    seeds += fmt::format("{}{}", seed == 0 ? "" : ", ", seed);
  }
  return fmt::format(
      R"(# Written by `bissl compare`: every arm with {} seeds.
name      = {}
pipeline  = {}
metric    = [
{}]
reference = "more-time-finetune.test.top1"

[axes]
seed = [{}]
)",
      settings.seeds, to_toml(Value(settings.name)), to_toml(Value(pipeline)), metrics, seeds);
}

}  // namespace bissl::host
