#include "sweep/coordinator.h"

#include "base/posix_file.h"
#include "bissl/error.h"
#include "telemetry/interrupt.h"
#include "telemetry/limits.h"
#include "telemetry/progress.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

struct WorkerProcess {
  int number = 0;
  pid_t process = -1;
  fs::path log;
};

/// How many workers more are started where they are killed: by somebody, or for want of memory that
/// others may give back.
constexpr int most_kills = 10;

/// Replaces this (child) process by the worker; only returns if that fails.
void become(const std::vector<std::string>& command, int log, pid_t parent) {
  // To get a signal when the parent is gone, which may have happened before this line.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) {
    return;
  }
  setpgid(0, 0);  // Ctrl-C goes to the coordinator, which passes it on once
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing < 0) {
    return;
  }
  dup2(nothing, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
}

/// The last line of a file that is not empty.
std::string last_line(const fs::path& file) {
  std::ifstream stream(file);
  std::string last;
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty()) {
      last = line;
    }
  }
  return last;
}

/// How a process ended, for people; empty if as it should.
std::string describe_end(int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    const char* name = sigabbrev_np(signal);
    return fmt::format("was killed by signal {} ({}{}){}", signal,
                       name == nullptr ? "" : fmt::format("SIG{}, ", name), strsignal(signal),
                       signal == SIGKILL ? ", which the system sends when memory is used up" : "");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0 &&
      WEXITSTATUS(status) != interrupted_exit_code) {
    return fmt::format("ended with exit code {}", WEXITSTATUS(status));
  }
  return "";
}

class Coordinator {
 public:
  Coordinator(SweepState& state, const CoordinatorOptions& options)
      : state_(state), options_(options) {}
  ~Coordinator() { stop(SIGTERM); }
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  void run();

 private:
  void start(int number);
  void collect();
  void ended(const WorkerProcess& worker, int status);
  void tell_changes();
  void stop(int signal);
  void say(const std::string& text) const {
    if (options_.say) {
      options_.say(text);
    }
  }

  SweepState& state_;
  const CoordinatorOptions& options_;
  std::vector<WorkerProcess> workers_;
  std::map<std::string, WorkState> seen_;  ///< stages, by key
  int refusals_ = 0;                       ///< workers that ended with an error, one after another
};

void Coordinator::start(int number) {
  const fs::path log = state_.folder() / "logs" / fmt::format("worker-{}.log", number);
  // Here, since the child has nobody to tell why it cannot be written.
  const FileDescriptor words(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!words.valid()) {
    fail_write(log, errno);
  }
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    become(options_.worker, words.get(), parent);
    _exit(127);
  }
  if (child < 0) {
    const int error = errno;
    fail_run("cannot start a worker: {}{}", std::strerror(error), limit_advice(error));
  }
  workers_.push_back({number, child, log});
}

/// Handles workers that have ended; others are started where that helps.
void Coordinator::collect() {
  for (size_t i = workers_.size(); i-- > 0;) {
    int status = 0;
    if (waitpid(workers_[i].process, &status, WNOHANG) == workers_[i].process) {
      const WorkerProcess worker = workers_[i];
      workers_.erase(workers_.begin() + static_cast<long>(i));
      ended(worker, status);
    }
  }
}

void Coordinator::ended(const WorkerProcess& worker, int status) {
  const std::string how = describe_end(status);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return;  // nothing was left for it
  }
  bool begun = false;
  if (!how.empty()) {
    begun = state_.attempts().note_end(worker.process, how);
    say(fmt::format("worker {} {}; its log is {}", worker.number, how, worker.log.string()));
  }
  // One that could not work at all would not fare better a second time. A stage that ends its
  // process is counted by its attempts.
  refusals_ = !how.empty() && !begun ? refusals_ + 1 : 0;
  const bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (refusals_ > options_.jobs + (is_killed ? most_kills : 0)) {
    const std::string last = last_line(worker.log);
    fail_run("all workers give up: worker {} {}. Its log {} {}", worker.number, how,
             worker.log.string(), last.empty() ? "is empty" : "ends with: " + last);
  }
  if (!interrupted()) {
    start(worker.number);
  }
}

/// Reports the stages that ended since the last look.
void Coordinator::tell_changes() {
  // With draws of searches that have ended: their failures are news, too.
  const std::vector<const PlanNode*> wanted = state_.needed();
  size_t settled = 0;  // before the first of those that ended since the last look
  std::vector<std::pair<const PlanNode*, WorkState>> news;
  for (const PlanNode* node : wanted) {
    const WorkState state = state_.stages().state(node->key);
    const bool is_settled = state == WorkState::done || state == WorkState::failed;
    const auto [entry, added] = seen_.try_emplace(node->key, state);
    const bool is_news = is_settled && !added && entry->second != state;
    entry->second = state;
    settled += is_settled && !is_news ? 1 : 0;
    if (is_news) {
      news.emplace_back(node, state);
    }
  }
  for (const auto& [node, state] : news) {
    ++settled;
    if (state == WorkState::done) {
      refusals_ = 0;
      say(fmt::format("[{}/{}] {} of {}: done in {}", settled, wanted.size(), node->stage,
                      state_.plan().user_of(node->key),
                      format_duration(state_.stages().seconds_of(node->key))));
    } else {
      const std::string user = state_.plan().user_of(node->key);
      if (const auto failure = state_.stages().failure(node->key)) {
        say(fmt::format("[{}/{}] {} of {} failed: {}", settled, wanted.size(), node->stage, user,
                        failure->cause));
      } else if (const auto above = state_.stages().failure_above(node->key)) {
        say(fmt::format("[{}/{}] {} of {} cannot be computed: {}, which it needs, failed", settled,
                        wanted.size(), node->stage, user, above->stage));
      }
    }
  }
}

void Coordinator::stop(int signal) {
  for (const WorkerProcess& worker : workers_) {
    kill(worker.process, signal);
  }
  for (const WorkerProcess& worker : workers_) {
    int status = 0;
    waitpid(worker.process, &status, 0);
  }
  workers_.clear();
}

void Coordinator::run() {
  make_folder(state_.folder() / "logs");
  tell_changes();
  for (int number = 0; number < options_.jobs; ++number) {
    start(number);
  }
  std::chrono::nanoseconds pause = pause_after({});
  while (!workers_.empty()) {
    std::this_thread::sleep_for(pause);
    const auto begin = std::chrono::steady_clock::now();
    tell_changes();
    pause = pause_after(std::chrono::steady_clock::now() - begin);
    if (interrupted()) {
      say("stopping: each worker writes a checkpoint first");
      stop(SIGTERM);
      throw Interrupted();
    }
    if (options_.stop_on_failure && !state_.stages().failures().empty()) {
      stop(SIGTERM);
      break;
    }
    collect();
  }
  tell_changes();
}

}  // namespace

void coordinate(SweepState& state, const CoordinatorOptions& options) {
  Coordinator(state, options).run();
}

}  // namespace bissl::host
