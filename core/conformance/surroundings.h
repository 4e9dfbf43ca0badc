#pragma once

#include <c10/core/ScalarType.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace bissl::host {

// What a component has in common with the rest of its process, and what it must not depend on.

/// What one component can change for all others: the current folder, the locale, the rounding mode,
/// the handlers of the signals that end a run, LibTorch's default type and number of threads.
struct ProcessState {
  std::string folder;
  std::string locale;
  int rounding = 0;
  std::string handlers;
  caffe2::TypeMeta default_type;
  int threads = 0;

  static ProcessState now();
  /// What differs in `later`, in words, or an empty text.
  std::string difference(const ProcessState& later) const;
  /// Makes the process so again, but for the handlers.
  void restore() const;
};

/// The generators of random numbers that a process has.
enum class Generators { all, all_but_torch };

/// Throws a Violation that begins with `what` if `work` drew from one of these generators, or
/// seeded it. They are afterwards as they were.
void require_no_draws(const std::string& what, Generators generators,
                      const std::function<void()>& work);

/// Memory that nobody may read changes while this lives.
class StirredMemory {
 public:
  StirredMemory() = default;
  ~StirredMemory();
  StirredMemory(const StirredMemory&) = delete;
  StirredMemory& operator=(const StirredMemory&) = delete;

  /// Fills memory that is free, and from now on memory that is allocated or freed, with a pattern:
  /// what is read from freed or from unwritten memory differs from one pattern to the next.
  static void stir(uint8_t pattern);
};

/// Goes into another folder than the current one while it lives.
class OtherFolder {
 public:
  OtherFolder();
  ~OtherFolder();
  OtherFolder(const OtherFolder&) = delete;
  OtherFolder& operator=(const OtherFolder&) = delete;

 private:
  std::filesystem::path before_;
};

/// Waits until clocks that count whole seconds have moved on since `begin`.
void wait_for_next_second(std::chrono::steady_clock::time_point begin);

}  // namespace bissl::host
