#include "warm_start.h"

#include "bissl/error.h"

#include <fmt/format.h>

namespace bissl {

TensorList WarmStart::begin(const TensorList& u) const {
  if (last_.size() != u.size()) {
    return {};
  }
  for (size_t i = 0; i < u.size(); ++i) {
    if (last_[i].sizes() != u[i].sizes() || last_[i].scalar_type() != u[i].scalar_type()) {
      return {};
    }
  }
  TensorList start = copy(last_);
  for (size_t i = 0; i < u.size(); ++i) {
    start[i] = start[i].to(u[i].device());
  }
  return start;
}

NamedTensors WarmStart::state() const {
  NamedTensors state;
  for (size_t i = 0; i < last_.size(); ++i) {
    state.emplace_back(fmt::format("v/{}", i), last_[i]);
  }
  return state;
}

void WarmStart::load_state(const NamedTensors& state) {
  TensorList loaded;
  for (size_t i = 0; i < state.size(); ++i) {
    const std::string expected = fmt::format("v/{}", i);
    if (state[i].first != expected) {
      fail_input("the checkpoint holds a state \"{}\" of the warm start where \"{}\" belongs",
                 state[i].first, expected);
    }
    loaded.push_back(state[i].second);
  }
  last_ = copy(loaded);
}

}  // namespace bissl
