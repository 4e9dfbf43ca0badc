#include "program.h"

#include "support/paths.h"
#include "support/ready_program.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace bissl::host::test {
namespace {

pid_t start(const std::vector<std::string>& arguments,
            const std::map<std::string, std::string>& environment,
            const std::filesystem::path& folder) {
  return start_program({.arguments = arguments,
                        .environment = environment,
                        .out = folder / "out",
                        .err = folder / "err"});
}

/// Starts the shell with these words behind its name. Its standard streams go to files in `folder`.
pid_t start_shell(std::vector<std::string> words,
                  const std::map<std::string, std::string>& environment,
                  const std::filesystem::path& folder) {
  words.insert(words.begin(), "/bin/sh");
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const int out = open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0600);
    const int err = open((folder / "err").c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    for (const auto& [name, value] : environment) {
      setenv(name.c_str(), value.c_str(), 1);
    }
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  if (child < 0) {
    throw std::runtime_error("fork failed");
  }
  return child;
}

Outcome outcome_of(int status, const std::filesystem::path& folder) {
  Outcome outcome;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = read_file(folder / "out");
  outcome.err = read_file(folder / "err");
  return outcome;
}

}  // namespace

Outcome run_bissl(const std::vector<std::string>& arguments,
                  const std::map<std::string, std::string>& environment) {
  const TemporaryFolder folder;
  const pid_t child = start(arguments, environment, folder.path());
  int status = 0;
  waitpid(child, &status, 0);
  return outcome_of(status, folder.path());
}

Outcome run_bissl_under(const std::string& limits, const std::vector<std::string>& arguments,
                        const std::map<std::string, std::string>& environment) {
  const TemporaryFolder folder;
  std::vector<std::string> words = {"-c", limits + "; exec \"$@\"", "sh", program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const pid_t child = start_shell(std::move(words), environment, folder.path());
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) {
      kill(child, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return outcome_of(status, folder.path());
}

Outcome run_bissl_until(const std::vector<std::string>& arguments,
                        const std::filesystem::path& file, size_t bytes, int signal) {
  const TemporaryFolder folder;
  // A file of an earlier call says nothing: only one that this call has touched does.
  std::error_code missing;
  const auto before = std::filesystem::last_write_time(file, missing);
  const bool existed = !missing;
  const pid_t child = start(arguments, {}, folder.path());
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    const auto size = std::filesystem::file_size(file, missing);
    const bool touched =
        !missing && (!existed || std::filesystem::last_write_time(file, missing) != before);
    if (touched && !missing && size >= bytes) {
      kill(child, signal);
      waitpid(child, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return outcome_of(status, folder.path());
}

BackgroundCall::BackgroundCall(const std::vector<std::string>& arguments,
                               const std::map<std::string, std::string>& environment)
    : process_(start(arguments, environment, folder_.path())) {}

BackgroundCall::~BackgroundCall() {
  if (running()) {
    signal(SIGKILL);
    wait();
  }
}

bool BackgroundCall::running() {
  if (!ended_) {
    ended_ = waitpid(process_, &status_, WNOHANG) == process_;
  }
  return !ended_;
}

void BackgroundCall::signal(int number) const { kill(process_, number); }

Outcome BackgroundCall::wait() {
  if (!ended_) {
    waitpid(process_, &status_, 0);
    ended_ = true;
  }
  return outcome_of(status_, folder_.path());
}

std::string BackgroundCall::said() const {
  const std::filesystem::path file = folder_.path() / "err";
  return std::filesystem::exists(file) ? read_file(file) : "";
}

std::vector<pid_t> BackgroundCall::children() const {
  const std::string number = std::to_string(process_);
  std::ifstream stream("/proc/" + number + "/task/" + number + "/children");
  std::vector<pid_t> found;
  for (pid_t child = 0; stream >> child;) {
    found.push_back(child);
  }
  return found;
}

void replace_first(std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) {
    throw std::runtime_error("the text has no " + from);
  }
  text.replace(at, from.size(), to);
}

std::string small_pipeline(const std::string& hypergradient) {
  std::string text = R"(name = "small"
seed = 3

[data.images]
use     = "synthetic"
samples = 96
size    = 8

[data.labelled]
use       = "synthetic"
samples   = 96
size      = 8
per_class = 12

[data.test]
use     = "synthetic"
samples = 64
size    = 8
split   = "test"

[model.backbone]
use   = "resnet18"
stem  = "small"
width = 2

[stage.pretrain]
kind      = "pretrain"
data      = "images"
augment   = { use = "simclr", size = 8 }
pretext   = { use = "simclr", projector = [8, 8] }
optimizer = { use = "lars", lr = 0.5 }
schedule  = { use = "cosine", warmup_steps = 2 }
batch     = 16
steps     = 8

[stage.bissl]
kind   = "bissl"
from   = "pretrain"
rounds = 3
lambda = 0.1
adaptation_every = 2
hypergradient = { @ }

[stage.bissl.head_warmup]
steps     = 3
optimizer = { use = "sgd", lr = 0.1 }

[stage.bissl.lower]
steps = 3

[stage.bissl.upper]
data       = "labelled"
steps      = 2
batch      = 8
augment    = { use = "supervised", size = 8 }
downstream = { use = "classification" }
optimizer  = { use = "adamw", lr = 0.01 }

[stage.finetune]
kind       = "finetune"
from       = "bissl"
data       = "labelled"
augment    = { use = "supervised", size = 8 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.05 }
schedule   = { use = "cosine" }
batch      = 8
steps      = 6
repeats    = 2
evaluate   = { data = "test", augment = { use = "evaluation", size = 8 } }

[stage.baseline]
like = "finetune"
from = "pretrain"
)";
  return text.replace(text.find('@'), 1, hypergradient);
}

}  // namespace bissl::host::test
