#include "conformance/divided_processes.h"

#include "conformance/checker.h"
#include "models/evaluation_guard.h"

#include <algorithm>
#include <thread>

namespace bissl::host {
namespace {

bool is_alike(const at::Tensor& left, const at::Tensor& right) {
  return left.sizes() == right.sizes() && left.scalar_type() == right.scalar_type();
}

}  // namespace

DividedProcesses::DividedProcesses(int size) : size_(size) {}

void DividedProcesses::run(const Work& work) {
  const at::Tensor generator = generator_state();
  turn_ = 0;
  ended_.assign(static_cast<size_t>(size_), false);
  given_.assign(static_cast<size_t>(size_), at::Tensor());
  states_.assign(static_cast<size_t>(size_), generator);
  failure_ = nullptr;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size_; ++rank) {
    threads.emplace_back([this, rank, &work] { live(rank, work); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  set_generator_state(generator);
  if (failure_) {
    std::rethrow_exception(failure_);
  }
}

void DividedProcesses::live(int rank, const Work& work) {
  wait_for_turn(rank);
  if (!failure_) {
    try {
      work(rank, std::make_shared<const DividedBatch::Sum>(
                     [this, rank](at::Tensor& values) { add_up(rank, values); }));
    } catch (...) {
      if (!failure_) {
        failure_ = std::current_exception();
      }
    }
  }
  ended_[static_cast<size_t>(rank)] = true;
  given_[static_cast<size_t>(rank)] = at::Tensor();
  pass_on(rank);
}

void DividedProcesses::add_up(int rank, at::Tensor& values) {
  if (!failure_) {
    given_[static_cast<size_t>(rank)] = values;
    pass_on(rank);
    wait_for_turn(rank);
  }
  if (failure_) {
    std::rethrow_exception(failure_);
  }
  values.copy_(total_);
}

void DividedProcesses::wait_for_turn(int rank) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return turn_ == rank; });
  set_generator_state(states_[static_cast<size_t>(rank)]);
}

void DividedProcesses::pass_on(int rank) {
  states_[static_cast<size_t>(rank)] = generator_state();
  const int next = next_after(rank);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    turn_ = next;
  }
  changed_.notify_all();
}

/// Who is next; nobody, which is −1, when all have ended.
int DividedProcesses::next_after(int rank) {
  const auto first_from = [this](int begin) {
    const auto found = std::find(ended_.begin() + begin, ended_.end(), false);
    return found == ended_.end() ? -1 : static_cast<int>(found - ended_.begin());
  };
  const int next = first_from(rank + 1);
  if (next >= 0) {
    return next;
  }
  end_round();
  return first_from(0);
}

/// All that have not ended wait for a sum.
void DividedProcesses::end_round() {
  const auto wanted = std::count_if(given_.begin(), given_.end(),
                                    [](const at::Tensor& one) { return one.defined(); });
  if (failure_ || wanted == 0) {
    return;
  }
  if (wanted != size_) {
    failure_ = std::make_exception_ptr(Violation(
        "not all processes ask for as many sums over the parts of a batch, and some wait in vain"));
    return;
  }
  for (const at::Tensor& one : given_) {
    if (!is_alike(one, given_[0])) {
      failure_ = std::make_exception_ptr(
          Violation("the processes add up tensors of several shapes or types over the parts of a "
                    "batch"));
      return;
    }
  }
  total_ = given_[0].detach().clone();
  for (size_t i = 1; i < given_.size(); ++i) {
    total_.add_(given_[i].detach());
  }
  given_.assign(given_.size(), at::Tensor());
}

}  // namespace bissl::host
