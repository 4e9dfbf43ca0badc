#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bissl::host {

/// What a value of a pickle is.
enum class PickleKind {
  none,
  boolean,
  integer,
  real,
  text,
  bytes,   ///< also an integer of more than 64 bits, little-endian
  list,    ///< lists, tuples and sets
  dict,    ///< in the order of the file; the later one of equal keys counts
  global,  ///< a class or function by its name, which nobody calls
  storage,
  tensor,
  opaque,  ///< an object of a class that is not known: neither made nor looked into
};

/// Place of a value in its PickleTree. Values may contain each other in circles.
using PickleId = uint32_t;

struct PickleValue {
  PickleKind kind = PickleKind::none;
  int64_t integer = 0;  ///< a boolean, an integer, a place in PickleTree::storages or tensors
  double real = 0;
  std::string text = {};  ///< a text, bytes; "module.name" of a global or an opaque value
  std::vector<PickleId> items = {};  ///< of a list; of a dict keys and values in turn
};

/// Numbers that lie elsewhere in the file.
struct PickleStorage {
  c10::ScalarType type = c10::ScalarType::Undefined;
  std::string key = {};  ///< the name of its record, or what the legacy format lists
  int64_t elements = 0;  ///< as the pickle says
};

/// A view of a storage, as the pickle says; whether it lies within is not checked here.
struct PickleTensor {
  uint32_t storage = 0;  ///< place in PickleTree::storages
  c10::ScalarType type = c10::ScalarType::Undefined;
  int64_t offset = 0;  ///< in elements
  std::vector<int64_t> shape = {};
  std::vector<int64_t> strides = {};  ///< in elements
};

/// What a pickle holds. Values refer to each other by their places, so that a circle costs nothing
/// and depth needs no recursion.
struct PickleTree {
  std::vector<PickleValue> values;
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
  PickleId root = 0;
  std::set<std::string> opaque;  ///< names of the classes whose objects are opaque values
  size_t consumed = 0;           ///< bytes of the pickle

  const PickleValue& at(PickleId id) const { return values.at(id); }
  const PickleValue& top() const { return values.at(root); }
  /// The value of a text key of a dict; null if there is none, or this is none.
  const PickleValue* find(const PickleValue& dict, std::string_view key) const;
};

/// Reads a pickle of protocol 2 to 5, as torch.save writes it, and executes nothing: of the classes
/// that a pickle may name, those that PyTorch needs for tensors, ordered dictionaries and sizes are
/// understood, and objects of all others become opaque values. Bytes behind the pickle's end are
/// not looked at.
///
/// The bytes come from outside: memory is at most some hundred times theirs, and Error(input) says
/// what is wrong and where.
PickleTree read_pickle(std::string_view bytes);

/// Most bytes of a pickle that are read.
inline constexpr uint64_t largest_pickle = 64ULL << 20;

}  // namespace bissl::host
