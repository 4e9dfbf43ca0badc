#include "distributed/process_group.h"
#include "distributed/silent_connections.h"
#include "distributed/started_sum.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

namespace bissl::host {
namespace {

using namespace std::chrono_literals;

/// A process that is alive but silent for so long counts as lost. Preparing data may take minutes.
constexpr std::chrono::milliseconds process_answer_limit = 30min;
/// How often what another process writes is looked for.
constexpr std::chrono::milliseconds look_pause = 10ms;

/// The first line, without what c10 adds about its own source.
std::string text_of(const std::exception& exception) {
  const std::string text = exception.what();
  return text.substr(0, text.find('\n'));
}

/// Makes a call that another process takes part in; throws ProcessLost where that throws.
template <class Call>
void with_others(const char* what, Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const std::exception& exception) {
    throw ProcessLost(
        fmt::format("another process was lost while {}: {}", what, text_of(exception)));
  }
}

/// What the texts at the meeting point are about. Those that say no more than that are "yes".
struct Note {
  static constexpr const char* arrival = "here";
  static constexpr const char* decision = "decision";
  static constexpr const char* readiness = "ready";
  static constexpr const char* announcement = "text";
  static constexpr const char* reason = "reason";
  static constexpr const char* interruption = "interrupted";
  static constexpr const char* departure = "left";
  static constexpr const char* yes = "yes";
};

/// The texts that processes leave for each other at the meeting point, those of one attempt.
class Board {
 public:
  Board(const MeetingPlace& place, c10::intrusive_ptr<c10d::TCPStore> store)
      : prefix_(fmt::format("bissl/{}/", place.attempt)),
        while_waiting_(place.while_waiting),
        store_(std::move(store)) {}

  void write(const std::string& key, const std::string& text) const {
    store_->set(prefix_ + key, std::vector<uint8_t>(text.begin(), text.end()));
  }
  bool has(const std::string& key) const { return store_->check({prefix_ + key}); }
  std::string read(const std::string& key) const {
    const std::vector<uint8_t> bytes = store_->get(prefix_ + key);
    return {bytes.begin(), bytes.end()};
  }
  /// Waits without a limit. Throws ProcessLost, and what while_waiting throws.
  std::string wait_for(const std::string& key) const {
    constexpr const char* what = "waiting for process 0";
    bool found = false;
    while (true) {
      with_others(what, [&] { found = has(key); });
      if (found) {
        break;
      }
      if (while_waiting_) {
        while_waiting_();
      }
      std::this_thread::sleep_for(look_pause);
    }
    std::string text;
    with_others(what, [&] { text = read(key); });
    return text;
  }
  /// How many of the processes `first` … `size` − 1 have left a text of this kind.
  int count(const char* kind, int first, int size) const {
    int found = 0;
    for (int rank = first; rank < size; ++rank) {
      found += has(key_of(kind, rank)) ? 1 : 0;
    }
    return found;
  }
  /// What the connections of that name find each other by.
  c10::intrusive_ptr<c10d::Store> for_gloo(const char* name) const {
    return c10::make_intrusive<c10d::PrefixStore>(prefix_ + name, store_);
  }

  static std::string key_of(const char* kind, int64_t number) {
    return fmt::format("{}/{}", kind, number);
  }

 private:
  std::string prefix_;
  std::function<void()> while_waiting_;
  c10::intrusive_ptr<c10d::TCPStore> store_;
};

/// A sum that c10d's threads compute.
class GlooSum final : public StartedSum {
 public:
  explicit GlooSum(std::function<void()> wait) : wait_(std::move(wait)) {}
  void wait() override { wait_(); }

 private:
  std::function<void()> wait_;
};

class GlooGroup final : public ProcessGroup, public StartsSums {
 public:
  GlooGroup(MeetingPlace place, Board board) : place_(std::move(place)), board_(std::move(board)) {
    checked("meeting the other processes", [&] {
      gloo_ = connected("gloo");
      started_ = connected("gloo-started");
    });
    end_silent_connections(place_.port);
  }

  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }

  void sum(at::Tensor& values) override {
    // Gloo adds up no bfloat16; half precision would lose digits in the sum.
    if (values.scalar_type() != at::kFloat && values.scalar_type() != at::kDouble) {
      at::Tensor wide = values.to(at::kFloat);
      sum(wide);
      values.copy_(wide);
      return;
    }
    checked(adding_up, [&] {
      std::vector<at::Tensor> tensors{values};
      gloo_->allreduce(tensors)->wait();
    });
  }

  std::unique_ptr<StartedSum> start_sum(const at::Tensor& values) override {
    c10::intrusive_ptr<c10d::Work> work;
    checked(adding_up, [&] {
      std::vector<at::Tensor> tensors{values};
      work = started_->allreduce(tensors);
    });
    return std::make_unique<GlooSum>([this, work] { checked(adding_up, [&] { work->wait(); }); });
  }

  void broadcast(at::Tensor& values) override {
    checked("taking over values of process 0", [&] {
      std::vector<at::Tensor> tensors{values};
      gloo_->broadcast(tensors)->wait();
    });
  }

  void wait_for_all() override {
    checked("waiting for all processes", [&] { gloo_->barrier()->wait(); });
  }

  void announce(const std::string& text) override {
    checked("announcing a stage",
            [&] { board_.write(Board::key_of(Note::announcement, texts_++), text); });
  }

  std::string announced() override {
    try {
      return board_.wait_for(Board::key_of(Note::announcement, texts_++));
    } catch (const ProcessLost&) {
      lost_ = true;
      throw;
    }
  }

  bool leave_reason(const std::string& text) noexcept override {
    try {
      board_.write(Board::key_of(Note::reason, rank()), text);
      return true;
    } catch (...) {
      return false;
    }
  }

  std::string reason_of(int rank) noexcept override {
    try {
      const std::string key = Board::key_of(Note::reason, rank);
      return board_.has(key) ? board_.read(key) : "";
    } catch (...) {
      return "";
    }
  }

  bool is_lost() const override { return lost_; }

 private:
  static constexpr const char* adding_up = "adding up over the processes";

  /// Connections to all others, with threads that serve them.
  c10::intrusive_ptr<c10d::ProcessGroupGloo> connected(const char* name) const {
    auto options = c10d::ProcessGroupGloo::Options::create(process_answer_limit);
    options->devices = {device()};
    return c10::make_intrusive<c10d::ProcessGroupGloo>(board_.for_gloo(name), place_.rank,
                                                       place_.size, options);
  }

  /// The network interface of the environment, as PyTorch reads it; the loopback where all
  /// processes are on one machine.
  std::shared_ptr<gloo::transport::Device> device() const {
    if (const char* name = std::getenv("GLOO_SOCKET_IFNAME"); name != nullptr && *name != '\0') {
      return c10d::ProcessGroupGloo::createDeviceForInterface(name);
    }
    return place_.one_machine ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                              : c10d::ProcessGroupGloo::createDefaultDevice();
  }

  template <class Call>
  void checked(const char* what, Call&& call) {
    try {
      with_others(what, std::forward<Call>(call));
    } catch (const ProcessLost&) {
      lost_ = true;
      throw;
    }
  }

  MeetingPlace place_;
  Board board_;
  /// For sums that are started: those that the computation waits for need not queue behind them,
  /// and the order of the two kinds does not matter. It ends after gloo_: it waits for what was
  /// started, which processes that wait in a call of gloo_ would never take part in.
  c10::intrusive_ptr<c10d::ProcessGroupGloo> started_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
  int64_t texts_ = 0;
  bool lost_ = false;
};

/// LibTorch from 2.3 on would take libuv, which a build may lack.
template <class Options>
void without_libuv(Options& options) {
  if constexpr (requires { options.useLibUV; }) {
    options.useLibUV = false;
  }
}

c10::intrusive_ptr<c10d::TCPStore> store_at(const MeetingPlace& place) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(place.port);
  options.isServer = place.rank == 0 && !place.hosted;
  options.waitWorkers = false;
  options.timeout = process_answer_limit;
  without_libuv(options);
  return c10::make_intrusive<c10d::TCPStore>(place.host, options);
}

class GlooMeeting final : public Meeting {
 public:
  explicit GlooMeeting(MeetingPlace place) : place_(std::move(place)) {
    try {
      store_ = store_at(place_);
      board_.emplace(place_, store_);
      board_->write(Board::key_of(Note::arrival, place_.rank), Note::yes);
      end_silent_connections(store_->getPort());
    } catch (const std::exception& exception) {
      fail_input(
          "the processes cannot meet at {}:{}: {}. Choose another MASTER_PORT, or wait for "
          "the program that uses it",
          place_.host, place_.port, text_of(exception));
    }
  }

  int port() const override { return store_->getPort(); }

  int arrived() const override { return count(Note::arrival, 0); }

  void decide(std::optional<int> exit_code) override {
    with_others("telling it what to do", [&] {
      board_->write(Note::decision, exit_code ? fmt::format("{}", *exit_code) : Note::yes);
    });
  }

  std::optional<int> decided() override {
    const std::string text = board_->wait_for(Note::decision);
    if (text != Note::yes) {
      return std::stoi(text);
    }
    with_others("answering process 0",
                [&] { board_->write(Board::key_of(Note::readiness, place_.rank), Note::yes); });
    return std::nullopt;
  }

  int ready() const override { return 1 + count(Note::readiness, 1); }

  std::unique_ptr<ProcessGroup> form() override {
    return std::make_unique<GlooGroup>(place_, *board_);
  }

  void leave(bool interrupted) noexcept override {
    try {
      if (interrupted) {
        board_->write(Note::interruption, Note::yes);
      }
      board_->write(Board::key_of(Note::departure, place_.rank), Note::yes);
    } catch (...) {
      // The meeting point is gone, and nobody waits there.
    }
  }

  int left() const noexcept override {
    try {
      return board_->count(Note::departure, 1, place_.size);
    } catch (...) {
      return place_.size - 1;
    }
  }

  bool has_interrupted() const noexcept override {
    try {
      return board_->has(Note::interruption);
    } catch (...) {
      return false;
    }
  }

 private:
  int count(const char* kind, int first) const {
    int found = 0;
    with_others("waiting for it", [&] { found = board_->count(kind, first, place_.size); });
    return found;
  }

  MeetingPlace place_;
  c10::intrusive_ptr<c10d::TCPStore> store_;
  std::optional<Board> board_;
};

}  // namespace

bool has_process_groups() { return true; }

std::unique_ptr<Meeting> meet(const MeetingPlace& place) {
  return std::make_unique<GlooMeeting>(place);
}

}  // namespace bissl::host
