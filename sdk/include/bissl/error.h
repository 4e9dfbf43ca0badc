#pragma once

#include "bissl/export.h"

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace bissl {

/// Whose fault a failure is; the program's exit code follows from it.
enum class ErrorKind {
  input,  ///< what the user gave is wrong: a file, a value, a plugin (exit code 2)
  run,    ///< the run could not continue: disk full, divergence, a component that failed (exit code
          ///< 1)
};

/// The exception of bissl and its plugins. The text names the thing, what was found, what was
/// expected and what to do; each layer that it passes may put its own place in front.
class BISSL_API Error : public std::runtime_error {
 public:
  /// fail_input and fail_run format the message on the way.
  Error(ErrorKind kind, const std::string& message);
  ~Error() override;

  /// Whose fault it is.
  ErrorKind kind() const { return kind_; }

  /// The same error with `place` and a colon before its text.
  Error at(const std::string& place) const;

 private:
  ErrorKind kind_;
};

/// Throws an Error of kind `input` whose text is formatted as by fmt::format.
template <class... Arguments>
[[noreturn]] void fail_input(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw Error(ErrorKind::input, fmt::format(format, std::forward<Arguments>(arguments)...));
}

/// Throws an Error of kind `run` whose text is formatted as by fmt::format.
template <class... Arguments>
[[noreturn]] void fail_run(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw Error(ErrorKind::run, fmt::format(format, std::forward<Arguments>(arguments)...));
}

}  // namespace bissl
