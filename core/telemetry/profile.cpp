#include "telemetry/profile.h"

#include "base/atomic_file.h"
#include "base/json_text.h"
#include "base/phase.h"
#include "base/table.h"
#include "bissl/error.h"

#include <ATen/record_function.h>
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <string_view>

namespace bissl::host {
namespace {

using Nanoseconds = int64_t;

Nanoseconds now_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{1000000000} * time.tv_sec + time.tv_nsec;
}

Nanoseconds now() { return now_of(CLOCK_MONOTONIC); }

double seconds(Nanoseconds time) { return 1e-9 * static_cast<double>(time); }

/// Names of C++ classes without what is the same in all of them.
std::string readable(std::string name) {
  for (const std::string part : {"(anonymous namespace)::", "torch::autograd::CppNode<"}) {
    const size_t place = name.find(part);
    if (place == std::string::npos) {
      continue;
    }
    name.erase(place, part.size());
    if (part.ends_with('<') && name.ends_with('>')) {
      name.pop_back();
    }
  }
  return name;
}

/// All calls of one name in one thread.
struct Statistics {
  std::string key;   ///< the name that LibTorch gives
  std::string name;  ///< the same, readable
  bool phase = false;
  int64_t calls = 0;
  Nanoseconds total = 0;
  Nanoseconds own = 0;
};

struct Call {
  const Statistics* what;
  Nanoseconds begin;
  Nanoseconds end;
};

/// What one thread does. Only that thread writes it.
class ThreadRecord {
 public:
  explicit ThreadRecord(Nanoseconds begin) : begin_(begin) {}

  void begin(std::string_view name, bool phase) {
    auto found = names_.find(name);
    if (found == names_.end()) {
      statistics_.push_back(
          {.key = std::string(name), .name = readable(std::string(name)), .phase = phase});
      found = names_.emplace(statistics_.back().key, &statistics_.back()).first;
    }
    open_.push_back({found->second, now(), 0});
  }

  void end(std::atomic<int64_t>& left_to_trace) {
    if (open_.empty()) {
      return;  // it began before the profile
    }
    const Open call = open_.back();
    open_.pop_back();
    const Nanoseconds end = now();
    const Nanoseconds total = end - call.begin;
    call.what->calls += 1;
    call.what->total += total;
    call.what->own += total - call.within;
    if (open_.empty()) {
      covered_ += total;
    } else {
      open_.back().within += total;
    }
    if (left_to_trace.fetch_sub(1, std::memory_order_relaxed) > 0) {
      try {
        calls_.push_back({call.what, call.begin, end});
      } catch (const std::bad_alloc&) {
        left_to_trace = 0;  // a trace is not worth a training
      }
    }
  }

  const std::deque<Statistics>& statistics() const { return statistics_; }
  const std::vector<Call>& calls() const { return calls_; }
  /// Time within operations and phases.
  Nanoseconds covered() const { return covered_; }
  Nanoseconds began() const { return begin_; }

 private:
  struct Open {
    Statistics* what;
    Nanoseconds begin;
    Nanoseconds within;  ///< of calls within it that have ended
  };

  Nanoseconds begin_;
  std::deque<Statistics> statistics_;  // their addresses stay
  std::map<std::string_view, Statistics*> names_;
  std::vector<Open> open_;
  std::vector<Call> calls_;
  Nanoseconds covered_ = 0;
};

}  // namespace

class Profile::Recorder : public PhaseListener {
 public:
  explicit Recorder(int64_t most_traced);
  ~Recorder() override { stop(); }

  void begin(const char* name) override { record().begin(name, true); }
  void end() noexcept override { record().end(left_to_trace_); }

  void stop();
  ProfileReport report() const;
  std::string trace() const;

 private:
  static std::unique_ptr<at::ObserverContext> begin_operation(const at::RecordFunction& function);
  static void end_operation(const at::RecordFunction& function, at::ObserverContext* context);
  ThreadRecord& record();

  inline static std::atomic<Recorder*> current = nullptr;
  inline static std::atomic<uint64_t> last_number = 0;

  const uint64_t number_ = ++last_number;  ///< tells this one from earlier ones at its address
  const Nanoseconds begin_ = now();
  const Nanoseconds begin_cpu_ = now_of(CLOCK_PROCESS_CPUTIME_ID);
  Nanoseconds seconds_ = 0;
  Nanoseconds cpu_ = 0;
  at::CallbackHandle handle_ = 0;
  std::atomic<int64_t> left_to_trace_;
  std::mutex mutex_;
  std::deque<ThreadRecord> threads_;  ///< the first is the thread that started the profile
  bool stopped_ = false;
};

Profile::Recorder::Recorder(int64_t most_traced) : left_to_trace_(most_traced) {
  if (Recorder* none = nullptr; !current.compare_exchange_strong(none, this)) {
    stopped_ = true;
    fail_run("a profile is being made already: one at a time");
  }
  record();
  listen_to_phases(this);
  handle_ = at::addGlobalCallback(
      at::RecordFunctionCallback(begin_operation, end_operation)
          .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION,
                   at::RecordScope::USER_SCOPE}));
}

void Profile::Recorder::stop() {
  if (stopped_) {
    return;
  }
  stopped_ = true;
  at::removeCallback(handle_);
  listen_to_phases(nullptr);
  seconds_ = now() - begin_;
  cpu_ = now_of(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu_;
  current = nullptr;
}

ThreadRecord& Profile::Recorder::record() {
  thread_local uint64_t number = 0;
  thread_local ThreadRecord* own = nullptr;
  if (number != number_) {
    const std::lock_guard lock(mutex_);
    own = &threads_.emplace_back(now());
    number = number_;
  }
  return *own;
}

std::unique_ptr<at::ObserverContext> Profile::Recorder::begin_operation(
    const at::RecordFunction& function) {
  if (Recorder* recorder = current) {
    recorder->record().begin(function.name(), false);
  }
  return nullptr;
}

void Profile::Recorder::end_operation(const at::RecordFunction& /*function*/,
                                      at::ObserverContext* /*context*/) {
  if (Recorder* recorder = current) {
    recorder->record().end(recorder->left_to_trace_);
  }
}

ProfileReport Profile::Recorder::report() const {
  ProfileReport report;
  report.seconds = seconds(seconds_);
  report.cpu = seconds(cpu_);
  for (const ThreadRecord& thread : threads_) {
    const bool is_first = &thread == &threads_.front();
    report.traced += static_cast<int64_t>(thread.calls().size());
    for (const Statistics& one : thread.statistics()) {
      report.events += one.calls;
      if (is_first && one.calls > 0) {
        (one.phase ? report.phases : report.operations)
            .push_back({one.name, one.calls, seconds(one.total), seconds(one.own)});
      }
    }
    if (is_first) {
      report.elsewhere = seconds(seconds_ - thread.covered());
    } else {
      ++report.threads;
      report.in_threads += seconds(thread.covered());
    }
  }
  std::stable_sort(report.phases.begin(), report.phases.end(),
                   [](const auto& left, const auto& right) { return left.total > right.total; });
  std::stable_sort(report.operations.begin(), report.operations.end(),
                   [](const auto& left, const auto& right) { return left.own > right.own; });
  return report;
}

std::string Profile::Recorder::trace() const {
  std::string text = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [";
  const char* separator = "\n";
  for (size_t thread = 0; thread < threads_.size(); ++thread) {
    const std::string name = thread == 0 ? "training" : fmt::format("loader {}", thread);
    text += fmt::format(
        "{}{{\"ph\": \"M\", \"pid\": 1, \"tid\": {}, \"name\": \"thread_name\", \"args\": "
        "{{\"name\": \"{}\"}}}}",
        separator, thread, name);
    separator = ",\n";
    std::map<const Statistics*, std::string> names;
    for (const Call& call : threads_[thread].calls()) {
      std::string& quoted = names[call.what];
      if (quoted.empty()) {
        quoted = json_text(call.what->name);
      }
      text += fmt::format(
          ",\n{{\"ph\": \"X\", \"pid\": 1, \"tid\": {}, \"ts\": {:.3f}, \"dur\": {:.3f}, \"cat\": "
          "\"{}\", \"name\": {}}}",
          thread, 1e-3 * static_cast<double>(call.begin - begin_),
          1e-3 * static_cast<double>(call.end - call.begin),
          call.what->phase ? "phase" : "operation", quoted);
    }
  }
  return text + "\n]}\n";
}

Profile::Profile(int64_t most_traced) : recorder_(std::make_unique<Recorder>(most_traced)) {}

Profile::~Profile() = default;

ProfileReport Profile::stop() {
  recorder_->stop();
  return recorder_->report();
}

void Profile::write_trace(const std::filesystem::path& file) const {
  write_file_atomically(file, recorder_->trace());
}

namespace {

std::string milliseconds(double seconds) { return fmt::format("{:.1f}", 1e3 * seconds); }

std::string percent(double part, double whole) {
  return whole > 0 ? fmt::format("{:.1f} %", 100 * part / whole) : "";
}

/// The share is that of the time by which the rows are sorted.
std::string rows_text(const char* title, const std::vector<ProfileReport::Row>& rows, double whole,
                      double ProfileReport::Row::*sorted_by) {
  using Align = TextTable::Align;
  TextTable table({{title},
                   {"calls", Align::right},
                   {"own ms", Align::right},
                   {"share", Align::right},
                   {"total ms", Align::right},
                   {"ms a call", Align::right}});
  for (const ProfileReport::Row& row : rows) {
    table.add_row({row.name, fmt::format("{}", row.calls), milliseconds(row.own),
                   percent(row.*sorted_by, whole), milliseconds(row.total),
                   fmt::format("{:.3f}", 1e3 * row.total / static_cast<double>(row.calls))});
  }
  return table.text();
}

}  // namespace

std::string ProfileReport::text() const {
  std::string text =
      fmt::format("{:.2f} s, {:.2f} s of processor time; {} calls", seconds, cpu, events);
  if (traced < events) {
    text += fmt::format(", the first {} of them in the trace", traced);
  }
  text += fmt::format(
      "\nin no phase and no operation: {} ms ({})\n"
      "operations of other threads (the loader's): {} ms in {} threads\n\n",
      milliseconds(elsewhere), percent(elsewhere, seconds), milliseconds(in_threads), threads);
  return text + rows_text("phase", phases, seconds, &Row::total) + "\n" +
         rows_text("operation", operations, seconds, &Row::own);
}

}  // namespace bissl::host
