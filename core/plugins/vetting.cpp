#include "plugins/vetting.h"

#include "plugins/child_process.h"
#include "plugins/load_report_json.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <optional>
#include <utility>

namespace bissl::host {
namespace {

// The child answers in lines: what it is about to do ("starting", …, "registering"), and at the end
// one JSON array of problems.

/// The last complete line that is not a report.
std::string last_doing(const std::string& answer) {
  std::string doing = "starting";
  size_t begin = 0;
  for (size_t end = answer.find('\n'); end != std::string::npos; end = answer.find('\n', begin)) {
    if (answer[begin] != '[') {
      doing = answer.substr(begin, end - begin);
    }
    begin = end + 1;
  }
  return doing;
}

/// The child's own report, if it is complete.
std::optional<std::vector<LoadProblem>> report_in(const std::string& answer) {
  const size_t begin = answer.rfind("\n[");
  if (begin == std::string::npos || answer.back() != '\n') {
    return std::nullopt;
  }
  try {
    return nlohmann::json::parse(answer.substr(begin + 1)).get<std::vector<LoadProblem>>();
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

LoadProblem vetting_problem(const std::string& path, const char* code, std::string found) {
  return {
      path,
      "vet",
      code,
      std::move(found),
      "a library that registers its components and returns",
      "correct the library; nothing of it was loaded into this process, which tried it in a child "
      "process first"};
}

LoadProblem not_vetted(const std::string& path, std::string found) {
  return {path,
          "vet",
          "not_vetted",
          std::move(found),
          "a child process that tries the library",
          "free memory or processes and try again"};
}

std::vector<LoadProblem> judge(const std::string& path, std::chrono::milliseconds limit,
                               const ChildOutcome& outcome) {
  if (!outcome.not_started.empty()) {
    return {not_vetted(path, outcome.not_started)};
  }
  const std::string doing = last_doing(outcome.answer);
  const std::string words = quoted_words(outcome.words);
  if (outcome.hung) {
    return {
        vetting_problem(path, "hung",
                        fmt::format("no end after {} s while {}{}",
                                    static_cast<double>(limit.count()) / 1000.0, doing, words))};
  }
  if (outcome.status && WIFSIGNALED(*outcome.status)) {
    const int signal = WTERMSIG(*outcome.status);
    const char* name = sigdescr_np(signal);
    return {vetting_problem(path, "crashed",
                            fmt::format("signal {} ({}) while {}{}", signal,
                                        name != nullptr ? name : "unknown", doing, words))};
  }
  auto report = report_in(outcome.answer);
  if (report && (!outcome.status || *outcome.status == 0)) {
    return *std::move(report);
  }
  if (outcome.status) {
    return {vetting_problem(path, "exited",
                            fmt::format("an exit with status {} while {}{}",
                                        WEXITSTATUS(*outcome.status), doing, words))};
  }
  return {not_vetted(path, fmt::format("no answer of the child process while {}{}", doing, words))};
}

}  // namespace

std::vector<LoadProblem> vet(
    const std::string& path, std::chrono::milliseconds limit,
    const std::function<std::vector<LoadProblem>(const StepObserver&)>& trial) {
  return judge(path, limit, run_in_child(limit, [&](const SendLine& send) {
                 send("starting");
                 const auto problems = trial([&](const char* doing) { send(doing); });
                 send(dump(nlohmann::json(problems), -1));
               }));
}

}  // namespace bissl::host
