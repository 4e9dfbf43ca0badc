// Whatever a path or value holds reaches the worker and sbatch as it is, or is refused.

#include "sweep/slurm.h"

#include "core/store/failing_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

SlurmJob job_with(const std::vector<std::string>& worker,
                  const std::vector<std::string>& options = {}) {
  return {.name = "study", .tasks = 4, .threads = 2, .options = options, .worker = worker};
}

/// The argument that sbatch takes from a line: quoted parts as they are, but for a backslash, which
/// keeps the character behind it; an unquoted "#" begins a comment. (Slurm's sbatch/opt.c.)
std::string argument_of(const std::string& script, const std::string& option) {
  size_t at = script.find("#SBATCH " + option);
  EXPECT_NE(at, std::string::npos) << script;
  at += 8;
  std::string argument;
  char quote = 0;
  for (; script[at] != '\n' && (quote != 0 || script[at] != ' '); ++at) {
    const char c = script[at];
    if (c == '\\') {
      argument += script[++at];
    } else if (quote != 0 && c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (quote == 0 && c == '#') {
      break;
    } else {
      argument += c;
    }
  }
  return argument;
}

/// What Slurm makes of "%" in a name of a log.
std::string expanded(const std::string& pattern) {
  std::string name;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      name += pattern[i];
      continue;
    }
    const char symbol = pattern[++i];
    name += symbol == '%' ? "%" : symbol == 'A' ? "7" : symbol == 'a' ? "0" : "WRONG";
  }
  return name;
}

TEST(SlurmScript, QuotesWordsAndPassesOptions) {
  const std::string script = slurm_script({.name = "study",
                                           .tasks = 4,
                                           .threads = 2,
                                           .options = {"--partition=gpu"},
                                           .worker = {"/opt/bissl", "sweep", "--out", "it's here"}},
                                          "/data/runs/study");
  for (const char* line :
       {"#SBATCH --array=0-3\n", "#SBATCH --cpus-per-task=2\n", "#SBATCH --partition=gpu\n",
        "#SBATCH --output=\"/data/runs/study/logs/slurm-%A_%a.log\"\n",
        "exec '/opt/bissl' 'sweep' '--out' 'it'\\''s here'\n"}) {
    EXPECT_NE(script.find(line), std::string::npos) << line << script;
  }
}

TEST(SlurmScript, LogsLieInTheFolderWhateverItsName) {
  for (const char* name : {"plain", "50%j", "100%", "%%", "a b", "it's", "say \"x\"", "$HOME",
                           "`id`", "-x", "a#b", "%A_%a", "ünï", "a;b&c|d"}) {
    const fs::path folder = fs::path("/data") / name / "runs" / "study";
    const std::string script = slurm_script(job_with({"/opt/bissl"}), folder);
    EXPECT_EQ(expanded(argument_of(script, "--output")),
              "--output=" + (folder / "logs" / "slurm-7_0.log").string())
        << name;
  }
}

TEST(SlurmScript, TheShellGivesTheWorkerItsWords) {
  const TemporaryFolder folder;
  const std::vector<std::string> words = {"a b",   "it's", "\"x\"", "$HOME", "`id`", "\\n", "%j",
                                          "-dash", "",     "#no",   "*",     "a;b",  "ü"};
  std::vector<std::string> command = {"/usr/bin/printf", "[%s]"};
  command.insert(command.end(), words.begin(), words.end());
  write_file(folder.path() / "slurm.sh", slurm_script(job_with(command), folder.path()));
  const std::string call = "sh '" + (folder.path() / "slurm.sh").string() + "' >'" +
                           (folder.path() / "out").string() + "'";
  ASSERT_EQ(std::system(call.c_str()), 0);
  std::string expected;
  for (const std::string& word : words) {
    expected += "[" + word + "]";
  }
  EXPECT_EQ(read_file(folder.path() / "out"), expected);
}

TEST(SlurmScript, ValuesOfOptionsAreOneArgument) {
  const std::vector<std::pair<std::string, std::string>> options = {
      {"--partition=gpu", "--partition=gpu"},
      {"--comment=two words", "--comment=two words"},
      {"--comment=a#b \"c\" 'd' \\e", "--comment=a#b \"c\" 'd' \\e"},
      {"--exclusive", "--exclusive"}};
  for (const auto& [given, taken] : options) {
    const std::string script = slurm_script(job_with({"x"}, {given}), "/runs/study");
    EXPECT_EQ(argument_of(script, given.substr(0, given.find('='))), taken);
  }
  EXPECT_NE(
      slurm_script(job_with({"x"}, {"--nodelist node 1"}), "/r").find("--nodelist \"node 1\"\n"),
      std::string::npos);
}

TEST(SlurmScript, RefusesWhatCannotBePassedOn) {
  const auto refusal = [](const SlurmJob& job, const fs::path& folder) {
    return error_of([&] { slurm_script(job, folder); });
  };
  for (const char* folder : {"/a\nb", "/a\tb", "/a\x7f"}) {
    EXPECT_NE(refusal(job_with({"x"}), folder).find("the sweep's folder"), std::string::npos);
  }
  EXPECT_NE(refusal(job_with({"x"}), "/a\\b").find("holds a backslash"), std::string::npos);
  EXPECT_NE(refusal(job_with({"x", "a\n#SBATCH --x"}), "/r").find("the worker's argument"),
            std::string::npos);
  for (const char* option : {"--a\nrm -rf", "gpu", "", "-", "--", "--a;b=c", "#"}) {
    EXPECT_TRUE(refusal(job_with({"x"}, {option}), "/r").starts_with("input: --slurm")) << option;
  }
}

/// A stand-in for sbatch in the place of all other commands.
class SlurmSubmission : public testing::Test {
 protected:
  SlurmSubmission() { setenv("PATH", (folder_.path() / "bin").c_str(), 1); }
  ~SlurmSubmission() override { setenv("PATH", path_.c_str(), 1); }

  SubmittedJob submit(const std::string& commands) const {
    const fs::path command = folder_.path() / "bin" / "sbatch";
    write_file(command, "#!/bin/sh\n" + commands);
    fs::permissions(command, fs::perms::owner_all);
    return submit_slurm(job_with({"x"}), folder_.path() / "study");
  }

 private:
  std::string path_ = std::getenv("PATH");
  TemporaryFolder folder_;
};

TEST_F(SlurmSubmission, TheNumberIsFoundAmongWarnings) {
  EXPECT_EQ(submit("echo 42\n").number, "42");
  EXPECT_EQ(submit("echo '42;cluster'\n").number, "42");
  const SubmittedJob job =
      submit("echo 'sbatch: warning: 3; nodes' >&2\necho '42;cluster'\necho 'see the wiki' >&2\n");
  EXPECT_EQ(job.number, "42");
  EXPECT_EQ(job.words, "sbatch: warning: 3; nodes\nsee the wiki");
  EXPECT_EQ(submit("echo 42\n").words, "");
}

TEST_F(SlurmSubmission, SaysWhatSbatchSaidWhereThatIsNoNumber) {
  const auto said = [&](const std::string& commands) {
    return error_of([&] { submit(commands); });
  };
  EXPECT_NE(said("echo 'job held'\n").find("said no job's number, but \"job held\""),
            std::string::npos);
  EXPECT_TRUE(said("echo 'no such partition' >&2\nexit 1\n").starts_with("input: sbatch refused"));
}

}  // namespace
}  // namespace bissl::host::test
