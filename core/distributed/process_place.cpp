#include "distributed/process_place.h"

#include "bissl/error.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace bissl::host {
namespace {

using Variable = std::function<std::optional<std::string>(const char*)>;

constexpr int last_port = 65535;
constexpr int most_processes = 1 << 20;

/// A variable that holds a number of at least `least` and at most `most`; `otherwise` if unset.
int number_in(const Variable& variable, const char* name, int least, int most,
              std::optional<int> otherwise = std::nullopt) {
  const std::optional<std::string> text = variable(name);
  if (!text && otherwise) {
    return *otherwise;
  }
  int number = 0;
  const char* const end = text ? text->data() + text->size() : nullptr;
  if (!text || std::from_chars(text->data(), end, number).ptr != end || text->empty() ||
      number < least || number > most) {
    fail_input(
        "the environment variable {} is \"{}\"; several processes need a number from {} to "
        "{} in it. Set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, or none of them",
        name, text.value_or(""), least, most);
  }
  return number;
}

void require_same(const char* name, int found, int asked) {
  if (asked != 0 && asked != found) {
    fail_input(
        "--ranks {}, but the environment variable {} is {}. Leave --ranks out, or give both "
        "the same number",
        asked, name, found);
  }
}

/// How many tasks node `node` has in a list of Slurm's, such as "2(x3),1": two on each of the first
/// three nodes, one on the fourth. None where the list does not say it.
std::optional<int> tasks_of_node(std::string_view list, int node) {
  const auto take_number = [&](int& number) {
    const auto [end, error] = std::from_chars(list.data(), list.data() + list.size(), number);
    list.remove_prefix(static_cast<size_t>(end - list.data()));
    return error == std::errc() && number > 0;
  };
  const auto take = [&](std::string_view text) {
    const bool begins = list.starts_with(text);
    list.remove_prefix(begins ? text.size() : 0);
    return begins;
  };
  for (int first = 0; first <= node;) {
    int tasks = 0;
    int nodes = 1;
    if (!take_number(tasks) || (take("(x") && (!take_number(nodes) || !take(")")))) {
      return std::nullopt;
    }
    if (node - first < nodes) {
      return tasks;
    }
    first += nodes;
    if (!take(",")) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

ProcessPlace of_torchrun(int ranks, const Variable& variable) {
  ProcessPlace place;
  place.meeting.size = number_in(variable, "WORLD_SIZE", 1, most_processes);
  require_same("WORLD_SIZE", place.meeting.size, ranks);
  place.meeting.rank = number_in(variable, "RANK", 0, place.meeting.size - 1);
  place.meeting.host = variable("MASTER_ADDR").value_or("");
  place.meeting.port = number_in(variable, "MASTER_PORT", 1, last_port);
  if (place.meeting.host.empty()) {
    fail_input("the environment variable MASTER_ADDR is empty; it is the address of process 0");
  }
  place.on_this_machine =
      number_in(variable, "LOCAL_WORLD_SIZE", 1, place.meeting.size, place.meeting.size);
  place.meeting.one_machine = place.on_this_machine == place.meeting.size;
  place.meeting.hosted = variable("TORCHELASTIC_USE_AGENT_STORE") == "True";
  constexpr int most_attempts = 0x7fffffff;
  place.meeting.attempt = number_in(variable, "TORCHELASTIC_RESTART_COUNT", 0, most_attempts, 0);
  place.is_started = variable(started_variable).has_value();
  place.scratch = variable(scratch_variable).value_or("");
  return place;
}

/// Where the processes of a step meet unless MASTER_PORT says it: another port than for the job's
/// steps before and after it, which may run beside it.
int port_of_step(const Variable& variable) {
  constexpr int first_port = 20000;
  constexpr uint64_t ports = 20000;
  constexpr uint64_t apart = 7919;  // a prime number: few jobs' ports are those of others' steps
  const auto job = static_cast<uint64_t>(number_in(variable, "SLURM_JOB_ID", 0, 0x7fffffff, 0));
  const std::string text = variable("SLURM_STEP_ID").value_or("");
  uint64_t step = 0;  // stays so where Slurm's number is none of the user's steps
  std::from_chars(text.data(), text.data() + text.size(), step);
  return first_port + static_cast<int>((job % ports + step % ports * apart) % ports);
}

/// One task of a step of `ranks` tasks that srun has started. A batch script is none.
ProcessPlace of_slurm(int ranks, const Variable& variable) {
  ProcessPlace place;
  place.meeting.size = ranks;
  place.meeting.rank = number_in(variable, "SLURM_PROCID", 0, ranks - 1);
  place.meeting.one_machine =
      number_in(variable, "SLURM_STEP_NUM_NODES", 1, most_processes, 1) == 1;
  const std::optional<std::string> host = variable("MASTER_ADDR");
  if (!host && !place.meeting.one_machine) {
    fail_input(
        "the step runs on several machines: set MASTER_ADDR to the name of the first one, as "
        "in MASTER_ADDR=$(scontrol show hostnames $SLURM_JOB_NODELIST | head -n 1)");
  }
  place.meeting.host = host.value_or("127.0.0.1");
  place.meeting.port = number_in(variable, "MASTER_PORT", 1, last_port, port_of_step(variable));
  const std::optional<std::string> step = variable("SLURM_STEP_TASKS_PER_NODE");
  const std::string tasks = step ? *step : variable("SLURM_TASKS_PER_NODE").value_or("");
  const int node = number_in(variable, "SLURM_NODEID", 0, most_processes, 0);
  place.on_this_machine =
      place.meeting.one_machine ? ranks : std::min(tasks_of_node(tasks, node).value_or(1), ranks);
  return place;
}

ProcessPlace any_place(int ranks, const Variable& variable) {
  if (variable("RANK") && variable("WORLD_SIZE")) {
    return of_torchrun(ranks, variable);
  }
  if (ranks > 1 && variable("SLURM_STEP_NUM_TASKS") &&
      number_in(variable, "SLURM_STEP_NUM_TASKS", 1, most_processes) == ranks) {
    return of_slurm(ranks, variable);
  }
  ProcessPlace place;
  place.meeting.size = ranks > 1 ? ranks : 1;
  place.on_this_machine = place.meeting.size;
  place.starts_others = place.meeting.size > 1;
  return place;
}

}  // namespace

ProcessPlace process_place(int ranks, const Variable& variable) {
  ProcessPlace place = any_place(ranks, variable);
  if (place.meeting.size > 1) {
    place.processors = number_in(variable, "SLURM_CPUS_ON_NODE", 1, most_processes, 0);
  }
  return place;
}

ProcessPlace process_place(int ranks) {
  return process_place(ranks, [](const char* name) -> std::optional<std::string> {
    const char* const text = std::getenv(name);
    return text == nullptr ? std::nullopt : std::optional<std::string>(text);
  });
}

}  // namespace bissl::host
