#include "plugins/child_process.h"

#include "base/exception_text.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <utility>

namespace bissl::host {
namespace {

using Clock = std::chrono::steady_clock;

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

[[noreturn]] void run_child(int answer, const std::function<void(const SendLine&)>& work) {
  try {
    bool sent = true;
    work(
        [&](std::string_view line) { sent = write_all(answer, std::string(line) + "\n") && sent; });
    if (sent) {
      _exit(EXIT_SUCCESS);
    }
  } catch (const std::exception& exception) {
    write_all(STDERR_FILENO, exception_text(exception));
  } catch (...) {
    write_all(STDERR_FILENO, "an exception that is not a std::exception");
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

/// Reads from the child until it has ended, `limit` is over or nothing was sent for `pause`, and
/// kills it then.
ChildOutcome watch(pid_t child, Descriptor answer, Descriptor words,
                   std::chrono::milliseconds limit, std::chrono::milliseconds pause) {
  ChildOutcome outcome;
  const auto deadline = Clock::now() + limit;
  auto last_line = Clock::now();
  bool more_answer = true;
  bool more_words = true;
  const auto read_all = [&] {
    const size_t before = outcome.answer.size();
    more_answer = more_answer && drain(answer.get(), outcome.answer);
    if (outcome.answer.size() > before) {
      last_line = Clock::now();
    }
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
    const auto now = Clock::now();
    const bool silent = now - last_line >= pause;
    if ((now >= deadline || silent) && !outcome.hung) {
      outcome.hung = true;
      outcome.silent = silent && now < deadline;
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

}  // namespace

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
  return line.empty() ? "" : fmt::format("; its last output: \"{}\"", line);
}

ChildOutcome run_in_child(std::chrono::milliseconds limit,
                          const std::function<void(const SendLine& send)>& work,
                          std::chrono::milliseconds pause) {
  ChildOutcome none;
  auto answer = make_pipe();
  auto words = make_pipe();
  if (!answer || !words) {
    none.not_started = fmt::format("no pipe can be had ({}; ulimit -n is the limit on open files)",
                                   std::strerror(errno));
    return none;
  }
  // A library that calls exit() would write the buffered text of the host a second time.
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) {
    none.not_started = fmt::format(
        "no child process can be had ({}; ulimit -u is the limit on processes and threads)",
        std::strerror(errno));
    return none;
  }
  if (child == 0) {
    isolate(parent, words->write.get());
    run_child(answer->write.get(), work);
  }
  // In both processes, since either may come first.
  setpgid(child, child);
  answer->write.close();
  words->write.close();
  return watch(child, std::move(answer->read), std::move(words->read), limit, pause);
}

}  // namespace bissl::host
