#include "distributed/process_group.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>
#include <type_traits>
#include <utility>

namespace bissl::host {
namespace {

using namespace std::chrono_literals;

/// A process that is alive but silent for so long counts as lost. Preparing data may take minutes.
constexpr std::chrono::milliseconds process_answer_limit = 30min;
/// How often an announcement is looked for.
constexpr std::chrono::milliseconds announcement_pause = 10ms;

std::vector<uint8_t> text_bytes(const std::string& text) { return {text.begin(), text.end()}; }

/// The first line, without what c10 adds about its own source.
std::string text_of(const std::exception& exception) {
  const std::string text = exception.what();
  return text.substr(0, text.find('\n'));
}

class GlooGroup final : public ProcessGroup {
 public:
  GlooGroup(MeetingPlace place, c10::intrusive_ptr<c10d::TCPStore> store)
      : place_(std::move(place)), store_(std::move(store)) {
    checked("meeting the other processes", [&] {
      auto options = c10d::ProcessGroupGloo::Options::create(process_answer_limit);
      options->devices = {device()};
      gloo_ = c10::make_intrusive<c10d::ProcessGroupGloo>(
          c10::make_intrusive<c10d::PrefixStore>("bissl/gloo", store_), place_.rank, place_.size,
          options);
    });
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
    checked("adding up over the processes", [&] {
      std::vector<at::Tensor> tensors{values};
      gloo_->allreduce(tensors)->wait();
    });
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
    checked("announcing a stage", [&] { store_->set(text_key(texts_++), text_bytes(text)); });
  }

  std::string announced() override {
    const std::string key = text_key(texts_++);
    std::string text;
    checked("waiting for process 0", [&] { text = wait_for(key); });
    return text;
  }

  bool leave_reason(const std::string& text) noexcept override {
    try {
      store_->set(reason_key(rank()), text_bytes(text));
      return true;
    } catch (...) {
      return false;
    }
  }

  std::string reason_of(int rank) noexcept override {
    try {
      const std::string key = reason_key(rank);
      return store_->check({key}) ? wait_for(key) : "";
    } catch (...) {
      return "";
    }
  }

  bool is_lost() const override { return lost_; }

 private:
  static std::string text_key(int64_t number) { return fmt::format("bissl/text/{}", number); }
  static std::string reason_key(int rank) { return fmt::format("bissl/reason/{}", rank); }

  std::string wait_for(const std::string& key) {
    while (!store_->check({key})) {
      std::this_thread::sleep_for(announcement_pause);
    }
    const std::vector<uint8_t> bytes = store_->get(key);
    return {bytes.begin(), bytes.end()};
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
      std::forward<Call>(call)();
    } catch (const std::exception& exception) {
      lost_ = true;
      throw ProcessLost(fmt::format("process {} of {} has lost another one while {}: {}",
                                    place_.rank, place_.size, what, text_of(exception)));
    }
  }

  MeetingPlace place_;
  c10::intrusive_ptr<c10d::TCPStore> store_;
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

class GlooMeeting final : public Meeting {
 public:
  explicit GlooMeeting(MeetingPlace place) : place_(std::move(place)) {
    c10d::TCPStoreOptions options;
    options.port = static_cast<std::uint16_t>(place_.port);
    options.isServer = place_.rank == 0 && !place_.hosted;
    options.waitWorkers = false;
    options.timeout = process_answer_limit;
    without_libuv(options);
    try {
      store_ = c10::make_intrusive<c10d::TCPStore>(place_.host, options);
      store_->set(here_key(place_.rank), {1});
    } catch (const std::exception& exception) {
      fail_input(
          "the processes cannot meet at {}:{}: {}. Choose another MASTER_PORT, or wait for "
          "the program that uses it",
          place_.host, place_.port, text_of(exception));
    }
  }

  int port() const override { return store_->getPort(); }

  int arrived() const override {
    int count = 0;
    for (int rank = 0; rank < place_.size; ++rank) {
      count += store_->check({here_key(rank)}) ? 1 : 0;
    }
    return count;
  }

  std::unique_ptr<ProcessGroup> form() override {
    return std::make_unique<GlooGroup>(place_, store_);
  }

 private:
  static std::string here_key(int rank) { return fmt::format("bissl/here/{}", rank); }

  MeetingPlace place_;
  c10::intrusive_ptr<c10d::TCPStore> store_;
};

}  // namespace

bool has_process_groups() { return true; }

std::unique_ptr<Meeting> meet(const MeetingPlace& place) {
  return std::make_unique<GlooMeeting>(place);
}

}  // namespace bissl::host
