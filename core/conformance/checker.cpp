#include "conformance/checker.h"

#include "bissl/error.h"

namespace bissl {
namespace {

/// LibTorch's errors carry a trace of addresses from this line on.
std::string without_trace(const std::string& text) {
  return text.substr(0, text.find("\nException raised from "));
}

}  // namespace

void Checker::report(const std::string& name, CheckStatus status, const std::string& detail) {
  listener_.end({.kind = to_string(choice_.component->info.kind),
                 .component = choice_.component->info.text.name,
                 .check = name,
                 .status = status,
                 .detail = detail});
}

bool Checker::check(const std::string& name, const std::function<void()>& body) {
  listener_.begin(name);
  try {
    body();
    report(name, CheckStatus::passed, "");
    return true;
  } catch (const std::exception& exception) {
    report(name, CheckStatus::failed, without_trace(exception.what()));
  } catch (...) {
    report(name, CheckStatus::failed, "an exception that is not a std::exception");
  }
  return false;
}

void Checker::skip(const std::string& name, const std::string& reason) {
  report(name, CheckStatus::skipped, reason);
}

}  // namespace bissl
