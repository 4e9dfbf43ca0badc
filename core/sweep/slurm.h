#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

struct SlurmJob {
  std::string name;
  int tasks = 1;    ///< of the array; each is one worker
  int threads = 1;  ///< processors for each
  /// Further options of sbatch, "--NAME", "--NAME=VALUE" or "--NAME VALUE": the value is one
  /// argument and needs no quotes.
  std::vector<std::string> options;
  std::vector<std::string> worker;  ///< the program and arguments of a worker
};

/// The script of a job array whose tasks are a sweep's workers. Slurm runs them again after a
/// node's failure or a preemption, and signals two minutes before their time is over, so that
/// they write a checkpoint. Every character of a path or value reaches the worker and Slurm as it
/// is; what cannot (a line break, a backslash in the folder, an option without a name) is
/// Error(input).
std::string slurm_script(const SlurmJob& job, const std::filesystem::path& folder);

/// What sbatch has answered.
struct SubmittedJob {
  std::string number;  ///< of the job
  std::string words;   ///< what it said besides, such as warnings; may be empty
};

/// Writes the script to <folder>/slurm.sh and hands it to sbatch. Throws Error(input) if there is
/// no sbatch or it refuses the job, with its words; Error(run) if it takes the job and says no
/// number.
SubmittedJob submit_slurm(const SlurmJob& job, const std::filesystem::path& folder);

}  // namespace bissl::host
