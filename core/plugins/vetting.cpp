#include "plugins/vetting.h"

#include "plugins/load_report_json.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <string_view>
#include <utility>

namespace bissl {
namespace {

using Clock = std::chrono::steady_clock;

// The child answers in lines: what it is about to do ("starting", …, "registering"), and at the end
// one JSON array of problems.
constexpr size_t answer_limit = size_t{1} << 20;
constexpr size_t words_limit = 300;

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }

  int get() const { return number_; }
  void close() {
    if (number_ >= 0) {
      ::close(number_);
      number_ = -1;
    }
  }

 private:
  int number_;
};

struct Pipe {
  Descriptor read;
  Descriptor write;
};

std::optional<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return std::nullopt;
  }
  Pipe pipe{Descriptor(ends[0]), Descriptor(ends[1])};
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  if (ends[1] <= STDERR_FILENO) {
    // The host runs with a standard stream closed, whose number the child is about to use.
    pipe.write = Descriptor(fcntl(ends[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  }
  return pipe.write.get() < 0 ? std::nullopt : std::optional(std::move(pipe));
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno != EINTR) {
      return false;
    }
    text.remove_prefix(written > 0 ? static_cast<size_t>(written) : 0);
  }
  return true;
}

/// Makes the child harmless to its surroundings: no handlers of the host, no core file, a group of
/// its own, nothing to read, and its output goes to the parent alone.
void isolate(pid_t parent, int output) {
  for (int signal = 1; signal < NSIG; ++signal) {
    std::signal(signal, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) {
    _exit(EXIT_FAILURE);
  }
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(nothing, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
}

[[noreturn]] void run_child(
    int answer, const std::function<std::vector<LoadProblem>(const StepObserver&)>& trial) {
  try {
    const StepObserver progress = [answer](const char* doing) {
      write_all(answer, std::string(doing) + "\n");
    };
    progress("starting");
    const auto problems = trial(progress);
    if (write_all(answer, dump(nlohmann::json(problems), -1) + "\n")) {
      _exit(EXIT_SUCCESS);
    }
  } catch (const std::exception& exception) {
    write_all(STDERR_FILENO, exception.what());
  }
  // Not exit(): what the parent registered for its own end must not run here.
  _exit(EXIT_FAILURE);
}

/// Appends what can be read now. Returns false at the end of the stream.
bool drain(int descriptor, std::string& into) {
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
    if (count > 0) {
      into.append(buffer.data(), static_cast<size_t>(count));
      continue;
    }
    if (count < 0 && errno == EINTR) {
      continue;
    }
    return count < 0 && errno == EAGAIN;
  }
}

/// What a parent sees of its child.
struct Outcome {
  std::string answer;
  std::string words;  ///< the end of the child's output
  bool hung = false;
  std::optional<int> status;  ///< as from waitpid; none if the system kept it
};

/// Reads from the child until it has ended or `limit` is over, and kills it then.
Outcome watch(pid_t child, Descriptor answer, Descriptor words, std::chrono::milliseconds limit) {
  Outcome outcome;
  const auto deadline = Clock::now() + limit;
  bool more_answer = true;
  bool more_words = true;
  const auto read_all = [&] {
    more_answer = more_answer && drain(answer.get(), outcome.answer);
    more_words = more_words && drain(words.get(), outcome.words);
    // A library that prints without end must not fill the memory.
    more_answer = more_answer && outcome.answer.size() < answer_limit;
    if (outcome.words.size() > words_limit) {
      outcome.words.erase(0, outcome.words.size() - words_limit);
    }
  };
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) {
      outcome.status = status;
    }
    if (ended == child || (ended < 0 && errno != EINTR)) {
      read_all();
      return outcome;
    }
    if (Clock::now() >= deadline && !outcome.hung) {
      outcome.hung = true;
      kill(-child, SIGKILL);
      kill(child, SIGKILL);
    }
    // The end of a stream announces the end of the child; poll then only serves as a short pause.
    std::array<pollfd, 2> streams{pollfd{more_answer ? answer.get() : -1, POLLIN, 0},
                                  pollfd{more_words ? words.get() : -1, POLLIN, 0}};
    poll(streams.data(), streams.size(), more_answer && !outcome.hung ? 20 : 1);
    read_all();
  }
}

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

std::string quoted_words(const std::string& words) {
  std::string line;
  for (const char c : words) {
    const bool space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
    if (!space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  while (!line.empty() && line.back() == ' ') {
    line.pop_back();
  }
  return line.empty() ? "" : fmt::format("; its last words: \"{}\"", line);
}

LoadProblem vetting_problem(const std::string& path, const char* code, std::string found) {
  return {path,
          "vet",
          code,
          std::move(found),
          "a library that registers its components and returns",
          "mend the library; nothing of it was loaded into this process, which tried it in a child "
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
                               const Outcome& outcome) {
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
  auto answer = make_pipe();
  auto words = make_pipe();
  if (!answer || !words) {
    return {not_vetted(path, fmt::format("no pipe to be had ({})", std::strerror(errno)))};
  }
  // A library that calls exit() would write the buffered text of the host a second time.
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) {
    return {not_vetted(path, fmt::format("no child process to be had ({})", std::strerror(errno)))};
  }
  if (child == 0) {
    isolate(parent, words->write.get());
    run_child(answer->write.get(), trial);
  }
  // In both processes, since either may come first.
  setpgid(child, child);
  answer->write.close();
  words->write.close();
  return judge(path, limit, watch(child, std::move(answer->read), std::move(words->read), limit));
}

}  // namespace bissl
