#include "weights/torch_globals.h"

#include "bissl/error.h"
#include "store/safetensors_header.h"

#include <map>
#include <string>

namespace bissl::host {
namespace {

using c10::ScalarType;

constexpr size_t most_dimensions = 64;
constexpr size_t most_tensors = 200'000;
constexpr size_t longest_key = 1000;
/// Items of lists that calls copy. One list may be the argument of many.
constexpr size_t most_copied = 4'000'000;
/// Of classes and of storages' keys.
constexpr size_t most_name_bytes = largest_pickle;

/// The element type of a class of storages; Undefined for those that are not known. An untyped
/// storage counts bytes.
ScalarType storage_type(const std::string& name) {
  static const std::map<std::string, ScalarType> types = {
      {"torch.DoubleStorage", ScalarType::Double},
      {"torch.FloatStorage", ScalarType::Float},
      {"torch.HalfStorage", ScalarType::Half},
      {"torch.BFloat16Storage", ScalarType::BFloat16},
      {"torch.LongStorage", ScalarType::Long},
      {"torch.IntStorage", ScalarType::Int},
      {"torch.ShortStorage", ScalarType::Short},
      {"torch.CharStorage", ScalarType::Char},
      {"torch.ByteStorage", ScalarType::Byte},
      {"torch.BoolStorage", ScalarType::Bool},
      {"torch.UntypedStorage", ScalarType::Byte},
      {"torch.storage.UntypedStorage", ScalarType::Byte},
      {"torch.storage._UntypedStorage", ScalarType::Byte},
  };
  const auto found = types.find(name);
  return found == types.end() ? ScalarType::Undefined : found->second;
}

/// torch.float32 and the like, as _rebuild_tensor_v3 is given them.
ScalarType element_type(const std::string& name) {
  static const std::map<std::string, ScalarType> types = {
      {"torch.float64", ScalarType::Double}, {"torch.float32", ScalarType::Float},
      {"torch.float16", ScalarType::Half},   {"torch.bfloat16", ScalarType::BFloat16},
      {"torch.int64", ScalarType::Long},     {"torch.int32", ScalarType::Int},
      {"torch.int16", ScalarType::Short},    {"torch.int8", ScalarType::Char},
      {"torch.uint8", ScalarType::Byte},     {"torch.bool", ScalarType::Bool},
  };
  const auto found = types.find(name);
  return found == types.end() ? ScalarType::Undefined : found->second;
}

[[noreturn]] void refuse(const char* what) {
  fail_input("the pickle's {} is not as torch.save writes it; the file is damaged", what);
}

}  // namespace

const PickleValue& TorchObjects::argument(const PickleValue& arguments, size_t place) const {
  if (arguments.kind != PickleKind::list || place >= arguments.items.size()) {
    refuse("call that makes a tensor");
  }
  return tree_.at(arguments.items[place]);
}

std::vector<int64_t> TorchObjects::sizes(const PickleValue& list) const {
  if (list.kind != PickleKind::list || list.items.size() > most_dimensions) {
    refuse("shape of a tensor");
  }
  std::vector<int64_t> sizes;
  for (const PickleId item : list.items) {
    const PickleValue& size = tree_.at(item);
    if (size.kind != PickleKind::integer) {
      refuse("shape of a tensor");
    }
    sizes.push_back(size.integer);
  }
  return sizes;
}

void TorchObjects::count_copied(size_t items) {
  copied_ += items;
  if (copied_ > most_copied) {
    fail_input("the pickle makes more than {} items out of fewer", most_copied);
  }
}

void TorchObjects::count_name(size_t bytes) {
  name_bytes_ += bytes;
  if (name_bytes_ > most_name_bytes) {
    fail_input("the pickle makes more than {} bytes of names out of fewer", most_name_bytes);
  }
}

/// Of a tensor, or of an opaque value in the place of one.
PickleValue TorchObjects::copy_of(const PickleValue& value) {
  count_name(value.text.size());
  return value;
}

/// (storage, offset, sizes, strides, …) of torch._utils._rebuild_tensor and its successors.
PickleValue TorchObjects::tensor(const PickleValue& arguments, ScalarType type) {
  const PickleValue& storage = argument(arguments, 0);
  if (storage.kind == PickleKind::opaque) {
    return copy_of(storage);  // of a type that is not known
  }
  const PickleValue& offset = argument(arguments, 1);
  if (storage.kind != PickleKind::storage || offset.kind != PickleKind::integer) {
    refuse("call that makes a tensor");
  }
  if (tree_.tensors.size() >= most_tensors) {
    fail_input("the pickle holds more than {} tensors", most_tensors);
  }
  PickleTensor tensor;
  tensor.storage = static_cast<uint32_t>(storage.integer);
  tensor.type = type == ScalarType::Undefined ? tree_.storages[tensor.storage].type : type;
  tensor.offset = offset.integer;
  tensor.shape = sizes(argument(arguments, 2));
  tensor.strides = sizes(argument(arguments, 3));
  tree_.tensors.push_back(std::move(tensor));
  return {.kind = PickleKind::tensor, .integer = static_cast<int64_t>(tree_.tensors.size() - 1)};
}

/// OrderedDict() or, as Python 2 wrote it, OrderedDict([[key, value], …]).
PickleValue TorchObjects::dictionary(const PickleValue& arguments) {
  PickleValue dict{.kind = PickleKind::dict};
  if (arguments.kind == PickleKind::list && !arguments.items.empty()) {
    const PickleValue& pairs = tree_.at(arguments.items.front());
    for (const PickleId item :
         pairs.kind == PickleKind::list ? pairs.items : std::vector<PickleId>{}) {
      const PickleValue& pair = tree_.at(item);
      if (pair.kind != PickleKind::list || pair.items.size() != 2) {
        refuse("ordered dictionary");
      }
      count_copied(2);
      dict.items.insert(dict.items.end(), pair.items.begin(), pair.items.end());
    }
  }
  return dict;
}

PickleValue TorchObjects::make_opaque(PickleId callee) {
  const PickleValue& function = tree_.at(callee);
  const std::string name =
      function.kind == PickleKind::global || function.kind == PickleKind::opaque
          ? function.text
          : "something without a name";
  count_name(name.size());
  tree_.opaque.insert(name);
  return {.kind = PickleKind::opaque, .text = name};
}

PickleValue TorchObjects::make(PickleId callee, PickleId arguments) {
  const PickleValue& function = tree_.at(callee);
  const PickleValue& given = tree_.at(arguments);
  if (function.kind != PickleKind::global || given.kind != PickleKind::list) {
    return make_opaque(callee);
  }
  const std::string& name = function.text;
  if (name == "torch._utils._rebuild_tensor_v2" || name == "torch._utils._rebuild_tensor") {
    return tensor(given, ScalarType::Undefined);
  }
  if (name == "torch._utils._rebuild_tensor_v3") {
    const ScalarType type = element_type(argument(given, 6).text);
    return type == ScalarType::Undefined ? make_opaque(callee) : tensor(given, type);
  }
  if (name == "torch._utils._rebuild_parameter" ||
      name == "torch._utils._rebuild_parameter_with_state") {
    const PickleValue& data = argument(given, 0);
    if (data.kind != PickleKind::tensor && data.kind != PickleKind::opaque) {
      refuse("parameter");
    }
    return copy_of(data);
  }
  if (name == "collections.OrderedDict") {
    return dictionary(given);
  }
  if (name == "collections.defaultdict") {
    return {.kind = PickleKind::dict};
  }
  if (name == "torch.Size") {
    const PickleValue& numbers = argument(given, 0);
    count_copied(numbers.items.size());
    return {.kind = PickleKind::list, .items = numbers.items};
  }
  return make_opaque(callee);
}

PickleValue TorchObjects::storage(PickleId identifier) {
  const PickleValue& parts = tree_.at(identifier);
  if (parts.kind != PickleKind::list || parts.items.size() < 5 ||
      tree_.at(parts.items[0]).text != "storage") {
    refuse("reference to a storage");
  }
  const PickleValue& type = tree_.at(parts.items[1]);
  const PickleValue& key = tree_.at(parts.items[2]);
  const PickleValue& elements = tree_.at(parts.items[4]);
  if (type.kind != PickleKind::global || key.kind != PickleKind::text ||
      key.text.size() > longest_key || elements.kind != PickleKind::integer ||
      elements.integer < 0) {
    refuse("reference to a storage");
  }
  // The old format has a sixth part, which is none but for a storage within another one.
  if (parts.items.size() > 5 && tree_.at(parts.items[5]).kind != PickleKind::none) {
    fail_input(
        "the storage {} is a part of another one, as early versions of PyTorch saved it, whose "
        "place is not read: load the file with a later version, and save it again by torch.save",
        shown_name(key.text));
  }
  count_name(key.text.size());
  PickleStorage storage{storage_type(type.text), key.text, elements.integer};
  if (storage.type == ScalarType::Undefined) {
    return make_opaque(parts.items[1]);
  }
  tree_.storages.push_back(std::move(storage));
  return {.kind = PickleKind::storage, .integer = static_cast<int64_t>(tree_.storages.size() - 1)};
}

}  // namespace bissl::host
