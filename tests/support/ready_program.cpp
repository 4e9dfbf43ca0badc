#include "support/ready_program.h"

#include "support/paths.h"
#include "support/sanitizers.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

namespace bissl::host::test {
namespace {

using Variables = std::map<std::string, std::string>;

/// The exit code of a copy that was made for a trial; see ready.cpp.
constexpr int trial_code = 42;

Variables variables_now() {
  Variables variables;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string text = *one;
    const size_t equals = std::min(text.find('='), text.size());
    variables[text.substr(0, equals)] = equals < text.size() ? text.substr(equals + 1) : "";
  }
  return variables;
}

Variables variables_of(const ProgramCall& call) {
  Variables variables = variables_now();
  for (const auto& [name, value] : call.environment) {
    variables[name] = value;
  }
  return variables;
}

/// Whether no library reads the variable while it is loaded.
bool is_read_by_calls_only(const std::string& name) {
  return name.starts_with("BISSL_") || name.starts_with("XDG_") || name == "HOME" || name == "PATH";
}

/// Whether a program that was started with the variables `before` would have started alike with
/// `now`.
bool start_alike(const Variables& before, const Variables& now) {
  const auto keeps = [](const Variables& some, const Variables& others, bool values) {
    return std::all_of(some.begin(), some.end(), [&](const auto& variable) {
      const auto other = others.find(variable.first);
      return other == others.end()
                 ? !values && is_read_by_calls_only(variable.first)
                 : other->second == variable.second || is_read_by_calls_only(variable.first);
    });
  };
  return keeps(before, now, /*values=*/true) && keeps(now, before, /*values=*/false);
}

/// What else a process hands on to those that it starts: limits, and which signals it ignores.
std::vector<rlim_t> handed_on() {
  std::vector<rlim_t> numbers;
  for (int resource = 0; resource < static_cast<int>(RLIM_NLIMITS); ++resource) {
    rlimit limit{};
    getrlimit(static_cast<decltype(RLIMIT_AS)>(resource), &limit);
    numbers.insert(numbers.end(), {limit.rlim_cur, limit.rlim_max});
  }
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    const bool ignored = sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
    numbers.push_back(ignored ? 1 : 0);
  }
  return numbers;
}

bool send_all(int socket, const void* from, size_t size) {
  const char* place = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t count = ::send(socket, place, size, MSG_NOSIGNAL);
    if (count < 0 && errno != EINTR) {
      return false;
    }
    if (count > 0) {
      place += count;
      size -= static_cast<size_t>(count);
    }
  }
  return true;
}

/// A program that has started and waits for calls. They are sent as a size of 8 bytes and that many
/// bytes, texts that end with a zero byte; the answer is the number of the process, in 8 bytes.
class ReadyProgram {
 public:
  static ReadyProgram& instance() {
    static ReadyProgram one;
    return one;
  }
  ReadyProgram(const ReadyProgram&) = delete;
  ReadyProgram& operator=(const ReadyProgram&) = delete;

  /// Whether the call does the same in a copy as in a process that starts anew.
  bool serves(const ProgramCall& call) {
    const std::lock_guard lock(mutex_);
    return can_serve(call);
  }

  std::optional<pid_t> start(const ProgramCall& call) {
    const std::lock_guard lock(mutex_);
    if (!can_serve(call)) {
      return std::nullopt;
    }
    const pid_t child = ask(text_of(call));
    if (child < 0) {
      stop();
      return std::nullopt;
    }
    return child;
  }

 private:
  ReadyProgram() {
    if (sanitized || std::getenv("LD_PRELOAD") != nullptr ||
        std::getenv("BISSL_START_ANEW") != nullptr || !begin()) {
      return;
    }
    // An empty call is a trial of whether the copy is a child of this process.
    const pid_t child = ask("");
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
        WEXITSTATUS(status) != trial_code) {
      stop();
    }
  }

  ~ReadyProgram() {
    if (::getpid() == owner_) {
      stop();
    }
  }

  bool can_serve(const ProgramCall& call) const {
    // Processes that share the work are started from /proc/self/cmdline, which a copy has from
    // what it is a copy of.
    const bool alone =
        std::none_of(call.arguments.begin(), call.arguments.end(),
                     [](const std::string& word) { return word.starts_with("--ranks"); });
    // A child of the test has no children here, and may have a namespace of its own.
    return socket_ >= 0 && ::getpid() == owner_ && alone &&
           start_alike(variables_, variables_of(call)) && handed_on() == handed_on_;
  }

  static std::string text_of(const ProgramCall& call) {
    const std::filesystem::path folder =
        call.folder.empty() ? std::filesystem::current_path() : call.folder;
    std::vector<std::string> words = {call.out.string(), call.err.string(), folder.string(),
                                      std::to_string(call.arguments.size() + 1), program};
    words.insert(words.end(), call.arguments.begin(), call.arguments.end());
    for (const auto& [name, value] : variables_of(call)) {
      words.push_back(name + "=" + value);
    }
    std::string text;
    for (const std::string& word : words) {
      text += word;
      text += '\0';
    }
    return text;
  }

  bool begin() {
    const std::string library = std::string(build_folder) + "/tests/bissl_ready.so";
    std::array<int, 2> ends{};
    if (::access(library.c_str(), R_OK) != 0 ||
        ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      return false;
    }
    variables_ = variables_now();
    handed_on_ = handed_on();
    server_ = ::fork();
    if (server_ == 0) {
      become_server(library, ends[1]);
    }
    ::close(ends[1]);
    socket_ = ends[0];
    if (server_ < 0) {
      stop();
    }
    return server_ > 0;
  }

  [[noreturn]] static void become_server(const std::string& library, int socket) {
    ::fcntl(socket, F_SETFD, 0);
    ::setenv("LD_PRELOAD", library.c_str(), 1);
    ::setenv("BISSL_READY_SOCKET", std::to_string(socket).c_str(), 1);
    const int nothing = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nothing, STDOUT_FILENO);
    ::dup2(nothing, STDERR_FILENO);
    ::execl(program, program, static_cast<char*>(nullptr));
    ::_exit(127);
  }

  /// The number of the process that the call runs in; negative if there is none.
  pid_t ask(const std::string& text) const {
    const std::uint64_t size = text.size();
    std::int64_t answer = -1;
    if (!send_all(socket_, &size, sizeof(size)) || !send_all(socket_, text.data(), text.size())) {
      return -1;
    }
    ssize_t count = 0;
    do {
      count = ::recv(socket_, &answer, sizeof(answer), MSG_WAITALL);
    } while (count < 0 && errno == EINTR);
    return count == static_cast<ssize_t>(sizeof(answer)) ? static_cast<pid_t>(answer) : -1;
  }

  void stop() {
    if (socket_ >= 0) {
      ::close(std::exchange(socket_, -1));
    }
    if (server_ > 0) {
      ::kill(server_, SIGKILL);
      ::waitpid(server_, nullptr, 0);
    }
    server_ = -1;
  }

  std::mutex mutex_;
  pid_t owner_ = ::getpid();  ///< whose children copies are
  int socket_ = -1;
  pid_t server_ = -1;
  Variables variables_;            ///< with which it has started
  std::vector<rlim_t> handed_on_;  ///< likewise
};

/// In a child: `file` for a standard stream, which is closed without one.
void redirect(int stream, const std::filesystem::path& file) {
  if (file.empty()) {
    ::close(stream);
    return;
  }
  const int opened = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (opened != stream) {
    ::dup2(opened, stream);
  }
}

}  // namespace

pid_t start_program(const ProgramCall& call) {
  const std::optional<pid_t> child = ReadyProgram::instance().start(call);
  return child ? *child : start_program_anew(call);
}

pid_t start_program_anew(const ProgramCall& call) {
  std::vector<std::string> words = {program};
  words.insert(words.end(), call.arguments.begin(), call.arguments.end());
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    if (!call.folder.empty() && ::chdir(call.folder.c_str()) != 0) {
      ::_exit(127);
    }
    redirect(STDOUT_FILENO, call.out);
    redirect(STDERR_FILENO, call.err);
    for (const auto& [name, value] : call.environment) {
      ::setenv(name.c_str(), value.c_str(), 1);
    }
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }
  if (child < 0) {
    throw std::runtime_error("fork failed");
  }
  return child;
}

bool is_ready_for(const ProgramCall& call) { return ReadyProgram::instance().serves(call); }

}  // namespace bissl::host::test
