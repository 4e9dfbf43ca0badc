#pragma once

#include "support/temporary_folder.h"

#include <sys/types.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bissl::host::test {

/// What a call of the program came to.
struct Outcome {
  int code = -1;  ///< exit code; 128 + signal when a signal ended it
  std::string out;
  std::string err;
};

/// Calls the built program with these arguments in a child process, and waits.
Outcome run_bissl(const std::vector<std::string>& arguments,
                  const std::map<std::string, std::string>& environment = {});

/// The same behind commands of the shell that set limits ("ulimit -v 700000"). Killed after a
/// minute, which gives code 137.
Outcome run_bissl_under(const std::string& limits, const std::vector<std::string>& arguments,
                        const std::map<std::string, std::string>& environment = {});

/// The same, but sends `signal` once the program has written to `file` and it has at least `bytes`
/// bytes.
Outcome run_bissl_until(const std::vector<std::string>& arguments,
                        const std::filesystem::path& file, size_t bytes, int signal = SIGTERM);

/// A call that runs while the test does something else. Killed at the end if it still runs.
class BackgroundCall {
 public:
  explicit BackgroundCall(const std::vector<std::string>& arguments,
                          const std::map<std::string, std::string>& environment = {});
  ~BackgroundCall();
  BackgroundCall(const BackgroundCall&) = delete;
  BackgroundCall& operator=(const BackgroundCall&) = delete;

  pid_t process() const { return process_; }
  bool running();
  void signal(int number) const;
  Outcome wait();
  /// What it has written to standard error so far.
  std::string said() const;
  /// The processes that it has started and that still run.
  std::vector<pid_t> children() const;

 private:
  TemporaryFolder folder_;
  pid_t process_;
  int status_ = 0;
  bool ended_ = false;
};

/// Puts `to` in the place of the first `from`; throws where the text has none.
void replace_first(std::string& text, const std::string& from, const std::string& to);

/// A pipeline of seconds on synthetic images: pretrain, bissl, two fine-tunings. `hypergradient` is
/// the bissl stage's table.
std::string small_pipeline(const std::string& hypergradient = "use = \"cg\", iterations = 2");

}  // namespace bissl::host::test
