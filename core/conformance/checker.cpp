#include "conformance/checker.h"

#include "base/exception_text.h"
#include "conformance/advice.h"
#include "conformance/surroundings.h"

#include <thread>
#include <vector>

namespace bissl::host {
void Checker::report(const std::string& name, CheckStatus status, const std::string& detail) {
  reported_.insert(name);
  if (status == CheckStatus::failed && first_failure_.empty()) {
    first_failure_ = name;
  }
  listener_.end({.kind = to_string(choice_.component->info.kind),
                 .component = choice_.component->info.text.name,
                 .check = name,
                 .status = status,
                 .detail = detail});
}

void require_in_threads(const std::function<std::string(size_t thread)>& work) {
  constexpr size_t count = 4;
  std::vector<std::string> wrong(count);
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < count; ++thread) {
    threads.emplace_back([&, thread] {
      try {
        wrong[thread] = work(thread);
      } catch (const std::exception& exception) {
        wrong[thread] = exception_text(exception);
      } catch (...) {
        wrong[thread] = "an exception that is not a std::exception";
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::string& text : wrong) {
    require(text.empty(), "with {} threads: {}", count, text);
  }
}

bool Checker::check(const std::string& name, const std::function<void()>& body) {
  listener_.begin(name);
  const ProcessState before = ProcessState::now();
  try {
    body();
    const std::string change = before.difference(ProcessState::now());
    before.restore();
    require(change.empty(), "{}; others in the process rely on it: leave it as it is", change);
    report(name, CheckStatus::passed, "");
    return true;
  } catch (const NotApplicable& reason) {
    report(name, CheckStatus::skipped, reason.what());
    return true;
  } catch (const Violation& violation) {
    report(name, CheckStatus::failed, violation.what());
  } catch (const std::exception& exception) {
    report(name, CheckStatus::failed, with_advice(exception_text(exception)));
  } catch (...) {
    report(name, CheckStatus::failed, "an exception that is not a std::exception");
  }
  return false;
}

void Checker::skip(const std::string& name, const std::string& reason) {
  report(name, CheckStatus::skipped, reason);
}

void Checker::leave_untested(const std::string& reason) {
  report("all checks", CheckStatus::not_tested, reason);
}

void Checker::skip_the_rest() {
  if (!failed()) {
    return;
  }
  for (const std::string& name : names_of_checks(choice_.component->info.kind)) {
    if (reported_.count(name) == 0) {
      skip(name, fmt::format("not tried, since \"{}\" failed", first_failure_));
    }
  }
}

}  // namespace bissl::host
