#include "conformance/surroundings.h"

#include "conformance/checker.h"
#include "models/evaluation_guard.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <c10/core/DefaultDtype.h>

#include <malloc.h>

#include <array>
#include <cfenv>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace bissl::host {
namespace {

std::string handlers_of_signals() {
  std::string handlers;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGALRM}) {
    struct sigaction action {};
    sigaction(signal, nullptr, &action);
    handlers += fmt::format("{} ", reinterpret_cast<uintptr_t>(action.sa_handler));
  }
  return handlers;
}

/// std::rand and its relatives, with a state of our own while this lives.
class CGenerators {
 public:
  CGenerators() : before_(initstate(seed, state_.data(), state_.size())), saved_(state_) {
    std::memcpy(small_before_.data(), seed48(small_.data()), sizeof(small_before_));
  }
  ~CGenerators() {
    setstate(before_);
    seed48(small_before_.data());
  }
  CGenerators(const CGenerators&) = delete;
  CGenerators& operator=(const CGenerators&) = delete;

  bool touched() const {
    auto again = small_;
    const bool small = std::memcmp(seed48(again.data()), small_.data(), sizeof(small_)) != 0;
    return small || state_ != saved_;
  }

 private:
  static constexpr unsigned seed = 918273;
  std::array<char, 128> state_{};
  char* before_;
  std::array<char, 128> saved_;
  std::array<unsigned short, 3> small_{11, 22, 33};
  std::array<unsigned short, 3> small_before_{};
};

}  // namespace

ProcessState ProcessState::now() {
  std::error_code error;
  const char* locale = std::setlocale(LC_ALL, nullptr);
  return {.folder = std::filesystem::current_path(error).string(),
          .locale = locale != nullptr ? locale : "",
          .rounding = std::fegetround(),
          .handlers = handlers_of_signals(),
          .default_type = c10::get_default_dtype(),
          .threads = at::get_num_threads()};
}

std::string ProcessState::difference(const ProcessState& later) const {
  if (later.folder != folder) {
    return fmt::format("the current folder was \"{}\" and is now \"{}\"", folder, later.folder);
  }
  if (later.locale != locale) {
    return fmt::format("the locale was \"{}\" and is now \"{}\"", locale, later.locale);
  }
  if (later.rounding != rounding) {
    return "the rounding mode of floating-point numbers has changed";
  }
  if (later.handlers != handlers) {
    return "the handler of SIGINT, SIGTERM, SIGHUP or SIGALRM has changed";
  }
  if (later.default_type != default_type) {
    return fmt::format("LibTorch's default type was {} and is now {}",
                       std::string(default_type.name()), std::string(later.default_type.name()));
  }
  if (later.threads != threads) {
    return fmt::format("LibTorch had {} threads and has {} now", threads, later.threads);
  }
  return "";
}

void ProcessState::restore() const {
  if (difference(now()).empty()) {
    return;
  }
  std::error_code error;
  std::filesystem::current_path(folder, error);
  std::setlocale(LC_ALL, locale.c_str());
  std::fesetround(rounding);
  c10::set_default_dtype(default_type);
  at::set_num_threads(threads);
}

void require_no_draws(const std::string& what, Generators generators,
                      const std::function<void()>& work) {
  const at::Tensor torch_before = generator_state();
  bool drew_in_c = false;
  {
    const CGenerators guard;
    work();
    drew_in_c = guard.touched();
  }
  const bool drew_in_torch = !generator_state().equal(torch_before);
  if (generators == Generators::all) {
    set_generator_state(torch_before);
  }
  require(!drew_in_c, "{} draws from std::rand or one of its relatives, or seeds it", what);
  require(generators == Generators::all_but_torch || !drew_in_torch,
          "{} draws from LibTorch's generator, or seeds it: the weights and the dropout of a run "
          "then depend on how often it was called",
          what);
}

StirredMemory::~StirredMemory() { mallopt(M_PERTURB, 0); }

void StirredMemory::stir(uint8_t pattern) {
  // M_PERTURB does not reach the small blocks that a thread keeps for itself.
  constexpr size_t smallest = 16;
  constexpr size_t largest = size_t{1} << 17;
  std::vector<std::pair<void*, size_t>> blocks;
  for (size_t size = smallest; size <= largest; size += size < 2048 ? 16 : size / 4) {
    for (int i = 0; i < 12; ++i) {
      blocks.emplace_back(std::malloc(size), size);
    }
  }
  for (const auto& [block, size] : blocks) {
    if (block != nullptr) {
      std::memset(block, pattern, size);
    }
  }
  for (const auto& [block, size] : blocks) {
    std::free(block);
  }
  mallopt(M_PERTURB, pattern);
}

OtherFolder::OtherFolder() : before_(std::filesystem::current_path()) {
  std::filesystem::current_path(before_ == "/" ? std::filesystem::temp_directory_path() : "/");
}

OtherFolder::~OtherFolder() {
  std::error_code error;
  std::filesystem::current_path(before_, error);
}

void wait_for_next_second(std::chrono::steady_clock::time_point begin) {
  std::this_thread::sleep_until(begin + std::chrono::milliseconds(1050));
}

}  // namespace bissl::host
