#include "base/exception_text.h"

#include "bissl/error.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <regex>
#include <stdexcept>

namespace bissl::host {
namespace {

/// Both ways in which LibTorch's errors begin their list of stack frames.
constexpr std::array frames = {"\nException raised from ", "\nframe #"};

std::string without_frames(const std::string& text) {
  size_t end = text.size();
  for (const char* begin : frames) {
    end = std::min(end, text.find(begin));
  }
  return text.substr(0, end);
}

/// "[json.exception.type_error.302] " and "[enforce fail at alloc_cpu.cpp:66] . ", wherever they
/// stand.
std::string without_codes(const std::string& text) {
  static const std::regex codes(
      R"(\[json\.exception\.[a-z_]+\.[0-9]+\] ?|\[enforce fail at [^\]]*\][^.\n]*\. )");
  return std::regex_replace(text, codes, "");
}

/// What allocators of LibTorch say, in words and with a readable number.
std::string with_readable_sizes(const std::string& text) {
  static const std::regex processor(
      R"((Default|Pinned)?[A-Za-z]*Allocator: [^\n]*?you tried to allocate ([0-9]+) ?(bytes)?\.?( Error code [0-9]+( \([^)]*\))?)?)");
  static const std::regex device(
      R"(CUDA out of memory\. Tried to allocate ([0-9.]+ [A-Za-z]+)[^\n]*)");
  std::string result = text;
  std::smatch match;
  if (std::regex_search(result, match, processor)) {
    const double bytes = std::strtod(match[2].str().c_str(), nullptr);
    result = fmt::format("{}not enough memory: {} were to be allocated at once{}",
                         match.prefix().str(), bytes_text(bytes), match.suffix().str());
  }
  return std::regex_replace(result, device,
                            "not enough memory on the device: $1 were to be allocated at once");
}

std::string text_of(const std::filesystem::filesystem_error& error) {
  std::string paths = error.path1().string();
  if (!error.path2().empty()) {
    paths += " and " + error.path2().string();
  }
  return fmt::format("{}: {}", paths.empty() ? "a file or folder" : paths, error.code().message());
}

}  // namespace

std::string bytes_text(double bytes) {
  constexpr std::array units = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
  size_t unit = 0;
  while (bytes >= 1000 && unit + 1 < units.size()) {
    bytes /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} bytes", bytes)
                   : fmt::format("{:.3g} {}", bytes, units[unit]);
}

std::string without_library_dumps(const std::string& text) {
  return with_readable_sizes(without_codes(without_frames(text)));
}

std::string exception_text(const std::exception& exception) {
  if (dynamic_cast<const Error*>(&exception) != nullptr) {
    return without_library_dumps(exception.what());
  }
  if (const auto* torch = dynamic_cast<const c10::Error*>(&exception)) {
    const std::string text = without_library_dumps(torch->what_without_backtrace());
    return text.substr(0, text.find('\n'));
  }
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&exception)) {
    return text_of(*file);
  }
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr) {
    return "not enough memory";
  }
  if (dynamic_cast<const std::length_error*>(&exception) != nullptr) {
    return fmt::format("not enough memory: a size is beyond what can be allocated ({})",
                       without_library_dumps(exception.what()));
  }
  const std::string text = without_library_dumps(exception.what());
  return text.empty() ? "an exception without a text" : text;
}

std::string current_exception_text() {
  try {
    throw;
  } catch (const std::exception& exception) {
    return exception_text(exception);
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

bool is_out_of_memory(const std::exception& exception) {
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr ||
      dynamic_cast<const std::length_error*>(&exception) != nullptr) {
    return true;
  }
  return exception_text(exception).find("not enough memory") != std::string::npos;
}

}  // namespace bissl::host
