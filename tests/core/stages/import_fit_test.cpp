// Which backbone a file's weights fit into.

#include "stages/import/fit.h"

#include "bissl/backbone.h"
#include "bissl/plugin.h"
#include "store/safetensors.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

namespace bissl::host::test {
namespace {

struct FilterOptions {
  int64_t depth = 1;
  int64_t filters = 3;
};

Schema<FilterOptions> filter_schema() {
  Schema<FilterOptions> schema;
  schema.add("depth", &FilterOptions::depth, "convolutions").at_least(1);
  schema.add("filters", &FilterOptions::filters, "of the first convolution")
      .at_least(1)
      .unit("channels");
  return schema;
}

/// Has the weights of a convolution, and its number of channels under another name than `width`.
class FilterBank final : public Backbone {
 public:
  FilterBank(const FilterOptions& options, const BackboneContext& context)
      : features_(options.filters) {
    module_->register_parameter("weight",
                                torch::zeros({options.filters, context.input.channels, 3, 3}));
  }
  at::Tensor forward(const at::Tensor& images) override { return images.mean({2, 3}); }
  int64_t features() const override { return features_; }
  torch::nn::Module& module() override { return *module_; }

 private:
  int64_t features_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
};

/// The backbone "filters" of a library that does not exist, with its defaults.
ComponentChoice filter_bank() {
  struct OneComponent final : Registrar {
    using Registrar::add;
    void add(ComponentInfo added) override { info = std::move(added); }
    ComponentInfo info;
  };
  OneComponent collected;
  collected.Registrar::add<Backbone, FilterBank>(
      {.name = "filters", .summary = "a convolution", .source = ""}, filter_schema());
  const auto component = std::make_shared<RegisteredComponent>(RegisteredComponent{
      collected.info, {.path = "filters.so", .name = "filters", .version = "1", .license = ""}});
  return {component, defaults(component->info.parameters), "p.toml:1:1"};
}

TEST(ImportFit, FindsAWidthUnderWhateverName) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "weights.safetensors";
  write_safetensors(path, {{"weight", torch::ones({5, 2, 3, 3})}});
  const WeightsFile file(path);
  const KeyRule as_they_are{.name = "as-they-are", .summary = "for a test"};
  const ComponentChoice now = filter_bank();
  const ImageShape input{.channels = 2, .height = 8, .width = 8};
  const std::optional<Fit> fit = find_fit(file, as_they_are, {now}, input);
  ASSERT_TRUE(fit);
  EXPECT_EQ(fit->backbone.values.at("filters"), Value(int64_t{5}));
  EXPECT_EQ(fit_text(*fit, now, input), "filters = 5 in [model.backbone]");
}

}  // namespace
}  // namespace bissl::host::test
