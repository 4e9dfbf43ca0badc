#include "conformance/replay.h"

#include "bissl/error.h"
#include "conformance/advice.h"
#include "conformance/checker.h"
#include "conformance/module_record.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"
#include "numerics/one_thread.h"
#include "plugins/child_process.h"

#include <c10/core/GradMode.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <thread>

namespace bissl::host {
namespace {

using Clock = std::chrono::steady_clock;

// Not a multiple of the periods that counters usually have; fewer where steps are slow.
constexpr int64_t most_steps_before = 67;
constexpr int64_t most_steps_after = 13;
constexpr int64_t fewest_steps = 3;
constexpr std::chrono::seconds time_before{3};
constexpr std::chrono::seconds time_after{1};
constexpr std::chrono::seconds time_of_child{30};
constexpr uint64_t noise_seed = 77;

/// Bytes for another process: a file without a name, which both have open.
class SharedFile {
 public:
  SharedFile() : file_(std::tmpfile()) {
    if (file_ == nullptr) {
      fail_run("no temporary file to be had ({}); TMPDIR names the folder", std::strerror(errno));
    }
  }
  ~SharedFile() { std::fclose(file_); }
  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;

  void write(const void* data, size_t size) {
    if (std::fwrite(data, 1, size, file_) != size) {
      fail_run("cannot write a temporary file ({})", std::strerror(errno));
    }
  }
  void read(void* data, size_t size) {
    if (std::fread(data, 1, size, file_) != size) {
      fail_run("a temporary file is shorter than it was written");
    }
  }
  template <class Number>
  void write(Number number) {
    write(&number, sizeof number);
  }
  template <class Number>
  Number read() {
    Number number{};
    read(&number, sizeof number);
    return number;
  }
  void flush() { std::fflush(file_); }
  void rewind() { std::rewind(file_); }

 private:
  std::FILE* file_;
};

void write(SharedFile& file, const NamedTensors& tensors) {
  file.write(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor whole = tensor.detach().cpu().contiguous();
    file.write(name.size());
    file.write(name.data(), name.size());
    file.write(whole.scalar_type());
    file.write(whole.dim());
    for (const int64_t size : whole.sizes()) {
      file.write(size);
    }
    file.write(whole.data_ptr(), whole.nbytes());
  }
}

NamedTensors read_tensors(SharedFile& file) {
  NamedTensors tensors(file.read<size_t>());
  for (auto& [name, tensor] : tensors) {
    name.resize(file.read<size_t>());
    file.read(name.data(), name.size());
    const auto type = file.read<at::ScalarType>();
    std::vector<int64_t> shape(static_cast<size_t>(file.read<int64_t>()));
    for (int64_t& size : shape) {
      size = file.read<int64_t>();
    }
    tensor = at::empty(shape, type);
    file.read(tensor.data_ptr(), tensor.nbytes());
  }
  return tensors;
}

/// All parameters and buffers, one list for each module, and LibTorch's generator.
struct State {
  std::vector<NamedTensors> modules;
  at::Tensor generator;
};

State state_of(Learner& learner) {
  State state;
  for (const auto& [whose, module] : learner.modules()) {
    NamedTensors copies;
    for (const auto& [name, tensor] : module_state(*module)) {
      copies.emplace_back(name, tensor.detach().clone());
    }
    state.modules.push_back(std::move(copies));
  }
  state.generator = generator_state();
  return state;
}

void restore(Learner& learner, const State& state) {
  const auto modules = learner.modules();
  for (size_t i = 0; i < modules.size(); ++i) {
    load_module_state(*modules[i].second, state.modules[i],
                      "a new instance cannot take the state of " + modules[i].first);
  }
  set_generator_state(state.generator);
}

/// How training continues from a state.
struct Continuation {
  std::vector<double> losses;
  State end;
};

Continuation train_on(Learner& learner, int64_t first, int64_t steps) {
  Continuation way;
  for (int64_t i = 0; i < steps; ++i) {
    way.losses.push_back(train(learner, first + i));
  }
  way.end = state_of(learner);
  return way;
}

constexpr const char* what_to_do =
    "An interrupted run would end with other weights. Keep everything that a step needs in "
    "parameters and buffers of module(), not in members, statics or captures, and draw random "
    "numbers from LibTorch's generator alone";

void require_same(Learner& learner, const Continuation& expected, const Continuation& found,
                  int64_t before, const std::string& where) {
  for (size_t i = 0; i < expected.losses.size(); ++i) {
    require(std::memcmp(&expected.losses[i], &found.losses[i], sizeof(double)) == 0,
            "after {} steps, a new instance {} with copies of all parameters and buffers has the "
            "loss {} in its step {}, the first instance {}. {}",
            before, where, found.losses[i], i + 1, expected.losses[i], what_to_do);
  }
  const auto modules = learner.modules();
  for (size_t m = 0; m < expected.end.modules.size(); ++m) {
    for (size_t i = 0; i < expected.end.modules[m].size(); ++i) {
      require(same_bits(expected.end.modules[m][i].tensor, found.end.modules[m][i].tensor),
              "after {} steps, a new instance {} with copies of all parameters and buffers gives "
              "other values to \"{}\" of {} within {} steps. {}",
              before, where, expected.end.modules[m][i].name, modules[m].first,
              expected.losses.size(), what_to_do);
    }
  }
  require(same_bits(expected.end.generator, found.end.generator),
          "after {} steps, a new instance {} draws another number of random numbers than the first "
          "one. {}",
          before, where, what_to_do);
}

/// What the child hands over.
struct Handover {
  int64_t before = 0;
  State state;
  Continuation expected;
};

void write(SharedFile& file, const State& state) {
  file.write(state.modules.size());
  for (const NamedTensors& tensors : state.modules) {
    write(file, tensors);
  }
  write(file, NamedTensors{{"generator", state.generator}});
}

State read_state(SharedFile& file) {
  State state;
  state.modules.resize(file.read<size_t>());
  for (NamedTensors& tensors : state.modules) {
    tensors = read_tensors(file);
  }
  state.generator = read_tensors(file).at(0).tensor;
  return state;
}

void write(SharedFile& file, const Handover& handover) {
  file.write(handover.before);
  write(file, handover.state);
  file.write(handover.expected.losses.size());
  for (const double loss : handover.expected.losses) {
    file.write(loss);
  }
  write(file, handover.expected.end);
  file.flush();
}

Handover read_handover(SharedFile& file) {
  file.rewind();
  Handover handover;
  handover.before = file.read<int64_t>();
  handover.state = read_state(file);
  handover.expected.losses.resize(file.read<size_t>());
  for (double& loss : handover.expected.losses) {
    loss = file.read<double>();
  }
  handover.expected.end = read_state(file);
  return handover;
}

/// Continues with a new instance from the state that another one left.
void resume(const LearnerFactory& make, uint64_t seed, const Handover& handover,
            const std::string& where) {
  const auto learner = make(seed);
  restore(*learner, handover.state);
  const Continuation found =
      train_on(*learner, handover.before, static_cast<int64_t>(handover.expected.losses.size()));
  require_same(*learner, handover.expected, found, handover.before, where);
}

Handover train_first_instance(const LearnerFactory& make) {
  const auto learner = make(1);
  seed_generator(noise_seed);
  Handover handover;
  const auto begin = Clock::now();
  while (handover.before < fewest_steps ||
         (handover.before < most_steps_before && Clock::now() - begin < time_before)) {
    train(*learner, handover.before++);
  }
  handover.state = state_of(*learner);
  const auto a_step = (Clock::now() - begin) / handover.before;
  const int64_t after =
      std::clamp<int64_t>(time_after / std::max(a_step, Clock::duration(1)), 2, most_steps_after);
  handover.expected = train_on(*learner, handover.before, after);
  return handover;
}

std::string how_it_ended(const ChildOutcome& outcome) {
  if (!outcome.not_started.empty()) {
    return outcome.not_started;
  }
  if (outcome.hung) {
    return fmt::format("some training steps are not done within {} s", time_of_child.count());
  }
  if (outcome.status && WIFSIGNALED(*outcome.status)) {
    const char* name = sigdescr_np(WTERMSIG(*outcome.status));
    return fmt::format("crashed in some training steps: signal {} ({}){}",
                       WTERMSIG(*outcome.status), name == nullptr ? "unknown" : name,
                       quoted_words(outcome.words));
  }
  return "the process ended in some training steps" + quoted_words(outcome.words);
}

}  // namespace

bool is_refused_after_fork(const std::string& text) {
  return text.find("fork-based multiprocessing") != std::string::npos;
}

double train(Learner& learner, int64_t step) {
  TensorList parameters;
  for (const auto& [whose, module] : learner.modules()) {
    const TensorList some = tensors_of(trainable_parameters(*module));
    parameters.insert(parameters.end(), some.begin(), some.end());
  }
  double value = 0;
  TensorList gradients;
  learner.before_step(step);
  {
    const c10::AutoGradMode grad(true);
    const at::Tensor loss = learner.loss(step);
    value = loss.item<double>();
    gradients = gradients_of(loss, parameters);
  }
  const c10::NoGradGuard no_grad;
  // Steps of one length, whatever the scale of the loss, so that none diverges.
  constexpr double length = 0.02;
  const double size = norm(gradients);
  add_scaled(parameters, size > 0 ? -length / size : 0.0, gradients);
  learner.after_step(step);
  return value;
}

void let_a_second_pass() {
  const std::time_t now = std::time(nullptr);
  while (std::time(nullptr) == now) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void require_resumable(const LearnerFactory& make) {
  const OneThread one;  // a forked process must not use its parent's threads
  SharedFile file;
  const auto in_child = [&](const SendLine& send) {
    try {
      const Handover handover = train_first_instance(make);
      resume(make, 2, handover, "in the same process");
      write(file, handover);
      send("done");
    } catch (const std::exception& exception) {
      std::string text = with_advice(exception.what());
      std::replace(text.begin(), text.end(), '\n', ' ');
      send(text);
    }
  };
  const ChildOutcome outcome = run_in_child(time_of_child, in_child);
  const std::string answer = outcome.answer.substr(0, outcome.answer.find('\n'));
  if (is_refused_after_fork(answer)) {
    resume(make, 2, train_first_instance(make), "in the same process");
    return;
  }
  require(!answer.empty() && !outcome.hung, "{}", how_it_ended(outcome));
  require(answer == "done", "{}", answer);
  let_a_second_pass();
  resume(make, 3, read_handover(file), "in another process");
}

}  // namespace bissl::host
