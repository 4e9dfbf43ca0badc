// Times Hessian products and upper steps of a ResNet-18 against gradients of the same loss, and
// against a PyTorch script that does the work as the method's published code does (upper_step.py),
// in one run. Prints both times and their ratio.
//
//     hypergradient_bench [imagenet|small] [SIZE] [BATCH] [THREADS] [REPEATS] [products|steps]
//
// With "products" it leaves out the upper steps and the script. In place of a stem stands another
// backbone as LIBRARY/NAME[:KEY=INTEGER], such as vit/vit-tiny:patch=8; then there are products
// only.

#include "bilevel/bissl_coupling.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"
#include "sdk/plugin_library.h"
#include "support/paths.h"

#include <ATen/Parallel.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

struct Shape {
  std::string library = "resnet";
  std::string backbone = "resnet18";
  ParameterValues values = {};
  std::string stem = "imagenet";
  int64_t size = 64;
  int64_t batch = 64;
  int threads = 2;
  int repeats = 5;
  bool steps = true;
};

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median_seconds(int repeats, const std::function<void()>& work) {
  work();
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    times.push_back(seconds_of(work));
  }
  std::nth_element(times.begin(), times.begin() + repeats / 2, times.end());
  return times[size_t(repeats / 2)];
}

/// Resident memory of this process in megabytes.
double resident_megabytes() {
  std::ifstream status("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  status >> total >> resident;
  return double(resident) * 4096 / 1e6;
}

/// The two numbers that the script prints: seconds of a gradient and of an upper step.
std::pair<double, double> run_script(const Shape& shape) {
  const std::string command = fmt::format(
      "/usr/bin/python3 {}/tests/bench/upper_step.py --stem {} --size {} --batch {} --threads {}",
      test::source_folder, shape.stem, shape.size, shape.batch, shape.threads);
  FILE* pipe = popen(command.c_str(), "r");
  double gradient = 0;
  double step = 0;
  const int read = pipe == nullptr ? 0 : std::fscanf(pipe, "%lf %lf", &gradient, &step);
  if (pipe == nullptr || pclose(pipe) != 0 || read != 2) {
    fmt::print(stderr, "{}\nfailed; it needs Debian's python3-torch and python3-torchvision\n",
               command);
    std::exit(1);
  }
  return {gradient, step};
}

/// Networks and batches of a bissl stage, filled with noise: only time is measured.
class Bench {
 public:
  explicit Bench(const Shape& shape) : shape_(shape) {
    const test::PluginLibrary backbones(shape.library);
    const test::PluginLibrary simclr("simclr");
    const test::PluginLibrary classification("classification");
    const test::PluginLibrary optimizers("optimizers");
    const ImageShape input{3, shape.size, shape.size};
    seed_generator(0);
    lower_ = backbones.make<Backbone>(shape.backbone, shape.values, {input});
    upper_ = backbones.make<Backbone>(shape.backbone, shape.values, {input});
    pretext_ = simclr.make<Pretext>("simclr", {}, {lower_->features()});
    downstream_ = classification.make<Downstream>(
        "classification", {}, {lower_->features(), {TargetKind::category, 10, {}}});
    optimizer_ = optimizers.make<Optimizer>("sgd", {{"lr", 1e-4}},
                                            {upper_parameters(*upper_, *downstream_)});
    views_ = at::randn({2, shape.batch, 3, shape.size, shape.size}).unbind();
    images_ = at::randn({shape.batch, 3, shape.size, shape.size});
    targets_ = {at::randint(10, {shape.batch}, at::kLong)};
  }

  double gradient() const {
    PretextProblem problem(*lower_, *pretext_, {views_}, {.lambda = 0.001});
    TensorList shift = tensors_of(trainable_parameters(lower_->module()));
    for (at::Tensor& tensor : shift) {
      tensor = at::zeros_like(tensor.detach());
    }
    return median_seconds(shape_.repeats, [&] { problem.gradient(shift); });
  }

  /// A product with the graph kept, and what the graph takes in memory.
  std::pair<double, double> product() const {
    PretextProblem problem(*lower_, *pretext_, {views_}, {.lambda = 0.001});
    TensorList direction;
    for (const at::Tensor& tensor : problem.parameters()) {
      direction.push_back(at::randn_like(tensor.detach()));
    }
    const double before = resident_megabytes();
    problem.hessian_product(direction);
    const double after = resident_megabytes();
    return {median_seconds(shape_.repeats, [&] { problem.hessian_product(direction); }),
            after - before};
  }

  /// Mean of the upper steps of one round: their graph is built once.
  double upper_step(const ParameterValues& cg, int steps) const {
    const test::PluginLibrary library("cg");
    const auto hypergradient = library.make<Hypergradient>("cg", cg);
    BisslCoupling coupling({*lower_, *upper_, *downstream_}, 0.01);
    UpperLevel level(coupling, *hypergradient, *optimizer_, 10.0);
    const double round = seconds_of([&] {
      PretextProblem problem(*lower_, *pretext_, {views_}, {.lambda = 0.001});
      for (int i = 0; i < steps; ++i) {
        level.step({images_, targets_}, problem, 0, 1.0);
      }
    });
    return round / steps;
  }

 private:
  Shape shape_;
  std::shared_ptr<Backbone> lower_;
  std::shared_ptr<Backbone> upper_;
  std::shared_ptr<Pretext> pretext_;
  std::shared_ptr<Downstream> downstream_;
  std::shared_ptr<Optimizer> optimizer_;
  Views views_;
  at::Tensor images_;
  TargetBatch targets_;
};

void line(const std::string& what, double seconds, double ratio, const std::string& of) {
  fmt::print("{:<46} {:>8.3f} s {:>7.2f} x {}\n", what, seconds, ratio, of);
  std::fflush(stdout);
}

void run(const Shape& shape) {
  at::set_num_threads(shape.threads);
  fmt::print("{}, {}, {} px, batch {} pairs + {} images, {} threads\n", shape.backbone, shape.stem,
             shape.size, shape.batch, shape.batch, shape.threads);
  const Bench bench(shape);
  const double gradient = bench.gradient();
  line("gradient of the pretext loss", gradient, 1.0, "itself");
  const auto [product, megabytes] = bench.product();
  line("product H·x, graph kept", product, product / gradient, "a gradient");
  fmt::print("memory that the graph took: {:.0f} MB\n", megabytes);

  if (!shape.steps) {
    return;
  }
  const auto [script_gradient, script_step] = run_script(shape);
  line("PyTorch script: gradient", script_gradient, script_gradient / gradient, "our gradient");
  line("PyTorch script: upper step", script_step, script_step / script_gradient, "its gradient");
  // A negative curvature would end a solve early; layerwise CG always makes its five products, as
  // the script does.
  ParameterValues cg = {{"iterations", int64_t{5}}, {"form", std::string("layerwise")}};
  for (const std::string products : {"exact", "finite-difference"}) {
    cg["products"] = products;
    for (const int steps : {1, 8}) {
      const double step = bench.upper_step(cg, steps);
      line(fmt::format("upper step, {}, {} in a round", products, steps), step, script_step / step,
           "faster than the script");
    }
  }
}

/// A stem of ResNet-18, or LIBRARY/NAME[:KEY=INTEGER].
void choose_backbone(const std::string& text, Shape& shape) {
  const size_t slash = text.find('/');
  shape.stem = text;
  if (slash == std::string::npos) {
    shape.values = {{"stem", text}};
    return;
  }
  const size_t colon = std::min(text.find(':'), text.size());
  const size_t equals = text.find('=');
  shape.library = text.substr(0, slash);
  shape.backbone = text.substr(slash + 1, colon - slash - 1);
  shape.steps = false;
  if (equals != std::string::npos) {
    const int64_t value = std::stoll(text.substr(equals + 1));
    shape.values = {{text.substr(colon + 1, equals - colon - 1), value}};
  }
}

}  // namespace
}  // namespace bissl::host

int main(int argc, char** argv) {
  bissl::host::Shape shape;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  bissl::host::choose_backbone(arguments.empty() ? shape.stem : arguments[0], shape);
  if (arguments.size() > 1) shape.size = std::stoll(arguments[1]);
  if (arguments.size() > 2) shape.batch = std::stoll(arguments[2]);
  if (arguments.size() > 3) shape.threads = std::stoi(arguments[3]);
  if (arguments.size() > 4) shape.repeats = std::stoi(arguments[4]);
  if (arguments.size() > 5) shape.steps = shape.steps && arguments[5] == "steps";
  bissl::host::run(shape);
}
