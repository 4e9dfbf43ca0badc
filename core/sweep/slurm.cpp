#include "sweep/slurm.h"

#include "base/atomic_file.h"
#include "base/json_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// A line of the script ends where a text has a line break, and what follows would be a command or
/// an option of its own. Other control characters do not survive in Slurm's records.
void refuse_control_characters(const std::string& text, const char* what) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      fail_input(
          "--slurm: {} {} holds a line break or another control character (byte {:#04x}), which "
          "a Slurm script cannot pass on. Use a path or value without",
          what, json_text(text), byte);
    }
  }
}

/// The text as one word of a shell.
std::string quoted(const std::string& text) {
  std::string word = "'";
  for (const char c : text) {
    word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return word + "'";
}

/// The text as one argument of a line "#SBATCH": sbatch takes a quoted part as it is, but for
/// backslashes, which keep the character behind them.
std::string sbatch_quoted(const std::string& text) {
  std::string word = "\"";
  for (const char c : text) {
    word += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  }
  return word + "\"";
}

/// The folder as the beginning of a file name pattern of sbatch, where "%j" is the job.
std::string pattern_of(const fs::path& folder) {
  const std::string text = folder.string();
  refuse_control_characters(text, "the sweep's folder");
  if (text.find('\\') != std::string::npos) {
    fail_input(
        "--slurm: the sweep's folder {} holds a backslash: Slurm replaces no job number in the "
        "name of a log with one, so that all tasks would write into one file. Choose another "
        "folder with --out",
        text);
  }
  std::string pattern;
  for (const char c : text) {
    pattern += c == '%' ? std::string("%%") : std::string(1, c);
  }
  return pattern;
}

/// An option as given to --slurm-option: "--name=value", "--name value" or "--name". The value is
/// one argument, whatever it holds.
std::string option_line(const std::string& option) {
  refuse_control_characters(option, "the option");
  const size_t end = std::min(option.find_first_of("= "), option.size());
  const std::string name = option.substr(0, end);
  const auto is_of_name = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; };
  if (name.size() < 2 || name.front() != '-' || name == "--" ||
      !std::all_of(name.begin(), name.end(), is_of_name)) {
    fail_input(
        "--slurm-option {}: this is no option of sbatch; expected --NAME or --NAME=VALUE, such as "
        "--partition=gpu",
        option);
  }
  if (end == option.size()) {
    return name;
  }
  const std::string value = option.substr(end + 1);
  const bool plain = !value.empty() && value.find_first_of(" \"'\\#") == std::string::npos;
  return name + option[end] + (plain ? value : sbatch_quoted(value));
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

/// The job's number among what sbatch has said: `--parsable` prints it on a line, with the cluster
/// behind a semicolon where there are several. Warnings and what a site's filters say stand around
/// it.
SubmittedJob submitted_job(const std::string& said) {
  SubmittedJob job;
  for (size_t begin = 0; begin < said.size();) {
    const size_t end = std::min(said.find('\n', begin), said.size());
    const std::string line = said.substr(begin, end - begin);
    const std::string number = line.substr(0, line.find(';'));
    const bool is_number =
        !number.empty() && std::all_of(number.begin(), number.end(),
                                       [](unsigned char c) { return std::isdigit(c) != 0; });
    if (is_number && job.number.empty()) {
      job.number = number;
    } else {
      job.words += (job.words.empty() ? "" : "\n") + line;
    }
    begin = end + 1;
  }
  return job;
}

}  // namespace

std::string slurm_script(const SlurmJob& job, const fs::path& folder) {
  std::string text = "#!/bin/sh\n# Written by `bissl sweep --slurm`: each task is a worker.\n";
  const auto option = [&](const std::string& line) { text += "#SBATCH " + line + "\n"; };
  option("--job-name=bissl-" + job.name);
  option(fmt::format("--array=0-{}", job.tasks - 1));
  option(fmt::format("--cpus-per-task={}", job.threads));
  option("--output=" + sbatch_quoted(pattern_of(folder) + "/logs/slurm-%A_%a.log"));
  option("--open-mode=append");
  option("--requeue");
  option("--signal=B:TERM@120");
  for (const std::string& line : job.options) {
    option(option_line(line));
  }
  std::vector<std::string> words;
  words.reserve(job.worker.size());
  for (const std::string& word : job.worker) {
    refuse_control_characters(word, "the worker's argument");
    words.push_back(quoted(word));
  }
  const std::string current = fs::current_path().string();
  refuse_control_characters(current, "the current folder");
  text += fmt::format("cd {} || exit 1\nexec {}\n", quoted(current), fmt::join(words, " "));
  return text;
}

SubmittedJob submit_slurm(const SlurmJob& job, const fs::path& folder) {
  const std::string text = slurm_script(job, folder);  // before anything is made
  make_folder(folder / "logs");
  const fs::path script = folder / "slurm.sh";
  write_file_atomically(script, text);
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
  SubmittedJob submitted = submitted_job(outcome.words);
  if (submitted.number.empty()) {
    fail_run(
        "sbatch took {} and said no job's number, but \"{}\". `squeue --me` shows whether the job "
        "waits or runs: then there is nothing more to do",
        script.string(), outcome.words);
  }
  return submitted;
}

}  // namespace bissl::host
