#include "distributed/child_processes.h"

#include "bissl/error.h"
#include "distributed/process_place.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>

namespace bissl::host {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds end_look_pause(10);

/// What the C library's exec wants.
class TextList {
 public:
  explicit TextList(std::vector<std::string> texts) : texts_(std::move(texts)) {
    for (std::string& text : texts_) {
      pointers_.push_back(text.data());
    }
    pointers_.push_back(nullptr);
  }
  TextList(const TextList&) = delete;
  TextList& operator=(const TextList&) = delete;
  char* const* data() const { return pointers_.data(); }

 private:
  std::vector<std::string> texts_;
  std::vector<char*> pointers_;
};

std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> arguments;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find('\0', begin), all.size());
    arguments.push_back(all.substr(begin, end - begin));
    begin = end + 1;
  }
  if (arguments.empty()) {
    fail_run("cannot read /proc/self/cmdline, which the other processes are started by");
  }
  return arguments;
}

std::vector<std::string> environment_with(const std::vector<std::string>& added) {
  std::vector<std::string> all = added;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string text = *one;
    const std::string name = text.substr(0, text.find('=') + 1);
    const auto is_set = [&](const std::string& other) { return other.starts_with(name); };
    if (std::find_if(added.begin(), added.end(), is_set) == added.end()) {
      all.push_back(text);
    }
  }
  return all;
}

/// Between fork and exec nothing may be called that another thread's lock could block.
[[noreturn]] void become_child(pid_t parent, int output, char* const* arguments,
                               char* const* environment) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() == parent && ::dup2(output, STDOUT_FILENO) >= 0) {
    ::execve("/proc/self/exe", arguments, environment);
  }
  ::_exit(127);
}

pid_t start_process(const TextList& arguments, const TextList& environment, int output) {
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    become_child(parent, output, arguments.data(), environment.data());
  }
  if (child < 0) {
    fail_run("cannot start another process: {}", std::generic_category().message(errno));
  }
  return child;
}

}  // namespace

ChildProcesses::ChildProcesses(int size, int port)
    : scratch_(temporary_place(), "bissl-processes") {
  const TextList arguments(own_arguments());
  const int output = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (int rank = 1; rank < size; ++rank) {
    const TextList environment(environment_with(
        {fmt::format("RANK={}", rank), fmt::format("LOCAL_RANK={}", rank),
         fmt::format("WORLD_SIZE={}", size), fmt::format("LOCAL_WORLD_SIZE={}", size),
         "MASTER_ADDR=127.0.0.1", fmt::format("MASTER_PORT={}", port),
         "TORCHELASTIC_RESTART_COUNT=0", fmt::format("{}={}", started_variable, getpid()),
         fmt::format("{}={}", scratch_variable, scratch_.path().string())}));
    children_.push_back({.rank = rank, .pid = start_process(arguments, environment, output)});
  }
  ::close(output);
}

ChildProcesses::~ChildProcesses() {
  any_runs();
  for (const Child& child : children_) {
    if (child.running) {
      ::kill(child.pid, SIGKILL);
      ::waitpid(child.pid, nullptr, 0);
    }
  }
}

bool ChildProcesses::any_runs() {
  bool any = false;
  for (Child& child : children_) {
    if (child.running && ::waitpid(child.pid, &child.status, WNOHANG) != 0) {
      child.running = false;
    }
    any = any || child.running;
  }
  return any;
}

bool ChildProcesses::any_ended() {
  any_runs();
  return std::any_of(children_.begin(), children_.end(),
                     [](const Child& child) { return !child.running; });
}

void ChildProcesses::wait(std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (any_runs() && Clock::now() < end) {
    std::this_thread::sleep_for(end_look_pause);
  }
}

std::optional<std::string> ChildProcesses::killed(std::chrono::milliseconds limit) {
  wait(limit);
  for (const Child& child : children_) {
    if (!child.running && WIFSIGNALED(child.status)) {
      const int signal = WTERMSIG(child.status);
      return fmt::format("process {} of {} (process id {}) was ended by the signal {} ({})",
                         child.rank, children_.size() + 1, child.pid, signal, strsignal(signal));
    }
  }
  return std::nullopt;
}

}  // namespace bissl::host
