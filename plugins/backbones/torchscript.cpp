#include "torchscript_module.h"

#include "bissl/backbone.h"
#include "bissl/plugin.h"

namespace bissl {
namespace {

struct Options {
  std::string file;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("file", &Options::file,
           "what torch.jit.save wrote: a module that makes features, (N, D), or maps, (N, D, H, "
           "W), of "
           "images; its content is compared, not its path")
      .required()
      .path()
      .execution_only();
  return schema;
}

class TorchScript final : public Backbone {
 public:
  TorchScript(const Options& options, const BackboneContext& context)
      : module_(std::make_shared<TorchScriptModule>(options.file)) {
    module_->try_out(context.input);
  }

  at::Tensor forward(const at::Tensor& images) override { return module_->forward(images); }
  int64_t features() const override { return module_->features(); }
  torch::nn::Module& module() override { return *module_; }

 private:
  std::shared_ptr<TorchScriptModule> module_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("torchscript", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Backbone, TorchScript>(
      {.name = "torchscript",
       .summary = "a network out of a TorchScript file, which training starts from and changes",
       .source = "PyTorch's TorchScript language reference"},
      schema());
}
