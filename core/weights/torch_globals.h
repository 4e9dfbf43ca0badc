#pragma once

#include "weights/pickle.h"

namespace bissl::host {

/// What PyTorch's classes and functions would make of their arguments in a pickle. None is called:
/// the few that are known are answered here, all others give opaque values.
class TorchObjects {
 public:
  /// The tree must outlive the object.
  explicit TorchObjects(PickleTree& tree) : tree_(tree) {}

  /// The value of a call of `callee` with the tuple `arguments`. Throws Error(input) for a known
  /// function with arguments that it would not take.
  PickleValue make(PickleId callee, PickleId arguments);

  /// An object of a class that is not known.
  PickleValue make_opaque(PickleId callee);

  /// Counts the bytes of a name that a value copies: one text may be the name of many. Throws
  /// Error(input) where all of them are more than any file needs.
  void count_name(size_t bytes);

  /// The storage that a persistent identifier names: ("storage", class, key, place, elements, …).
  PickleValue storage(PickleId identifier);

 private:
  PickleValue tensor(const PickleValue& arguments, c10::ScalarType type);
  PickleValue dictionary(const PickleValue& arguments);
  PickleValue copy_of(const PickleValue& value);
  void count_copied(size_t items);
  const PickleValue& argument(const PickleValue& arguments, size_t place) const;
  std::vector<int64_t> sizes(const PickleValue& list) const;

  PickleTree& tree_;
  size_t copied_ = 0;
  size_t name_bytes_ = 0;
};

}  // namespace bissl::host
