#include "base/phase.h"

#include <atomic>

namespace bissl::host {
namespace {

std::atomic<PhaseListener*> current = nullptr;

}  // namespace

PhaseListener* listen_to_phases(PhaseListener* listener) { return current.exchange(listener); }

Phase::Phase(const char* name) : listener_(current.load(std::memory_order_acquire)) {
  if (listener_ != nullptr) {
    listener_->begin(name);
  }
}

void Phase::end() {
  if (listener_ != nullptr) {
    listener_->end();
    listener_ = nullptr;
  }
}

}  // namespace bissl::host
