#include "sweep/slurm.h"

#include "bissl/error.h"
#include "store/atomic_file.h"
#include "store/posix_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace bissl {
namespace {

namespace fs = std::filesystem;

/// The text as one word of a shell.
std::string quoted(const std::string& text) {
  std::string word = "'";
  for (const char c : text) {
    word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return word + "'";
}

struct CommandOutcome {
  int status = 0;
  std::string words;  ///< of both streams
};

CommandOutcome run_command(const std::vector<std::string>& command) {
  int ends[2];
  if (pipe(ends) != 0) {
    fail_run("cannot start {}: {}", command.front(), std::strerror(errno));
  }
  FileDescriptor reading(ends[0]);
  FileDescriptor writing(ends[1]);
  const pid_t child = fork();
  if (child < 0) {
    fail_run("cannot start {}: {}", command.front(), std::strerror(errno));
  }
  if (child == 0) {
    dup2(writing.get(), STDOUT_FILENO);
    dup2(writing.get(), STDERR_FILENO);
    close(reading.release());
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const std::string& argument : command) {
      arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  writing.close();
  CommandOutcome outcome;
  char buffer[4096];
  for (ssize_t count = 0; (count = read(reading.get(), buffer, sizeof(buffer))) != 0;) {
    if (count > 0) {
      outcome.words.append(buffer, static_cast<size_t>(count));
    } else if (errno != EINTR) {
      break;
    }
  }
  waitpid(child, &outcome.status, 0);
  while (outcome.words.ends_with('\n')) {
    outcome.words.pop_back();
  }
  return outcome;
}

}  // namespace

std::string slurm_script(const SlurmJob& job, const fs::path& folder) {
  std::string text = "#!/bin/sh\n# Written by `bissl sweep --slurm`: each task is a worker.\n";
  const auto option = [&](const std::string& line) { text += "#SBATCH " + line + "\n"; };
  option("--job-name=bissl-" + job.name);
  option(fmt::format("--array=0-{}", job.tasks - 1));
  option(fmt::format("--cpus-per-task={}", job.threads));
  option(fmt::format("--output=\"{}/logs/slurm-%A_%a.log\"", folder.string()));
  option("--open-mode=append");
  option("--requeue");
  option("--signal=B:TERM@120");
  for (const std::string& line : job.options) {
    option(line);
  }
  std::vector<std::string> words;
  words.reserve(job.worker.size());
  for (const std::string& word : job.worker) {
    words.push_back(quoted(word));
  }
  text += fmt::format("cd {} || exit 1\nexec {}\n", quoted(fs::current_path().string()),
                      fmt::join(words, " "));
  return text;
}

std::string submit_slurm(const SlurmJob& job, const fs::path& folder) {
  make_folder(folder / "logs");
  const fs::path script = folder / "slurm.sh";
  write_file_atomically(script, slurm_script(job, folder));
  const CommandOutcome outcome = run_command({"sbatch", "--parsable", script.string()});
  if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 127) {
    fail_input(
        "sbatch was not found: --slurm needs Slurm's commands on this machine. The script "
        "is {}",
        script.string());
  }
  if (outcome.status != 0) {
    fail_input("sbatch refused {}: {}", script.string(), outcome.words);
  }
  return outcome.words.substr(0, outcome.words.find(';'));
}

}  // namespace bissl
