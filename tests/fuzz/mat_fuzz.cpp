#include "mat_reader.h"
#include "support/temporary_folder.h"
#include "targets.h"

namespace bissl::host::test {
namespace {

void walk(const MatArray& array) {
  if (array.kind == MatKind::numbers) {
    for (int64_t i = 0; i < array.size(); ++i) {
      array.number(i);
    }
  }
  if (array.kind == MatKind::structure) {
    for (int64_t i = 0; i < array.size(); ++i) {
      for (const std::string& name : array.fields) {
        promise(array.field(i, name) != nullptr, "each element has all fields");
      }
    }
  }
  for (const MatArray& part : array.parts) {
    walk(part);
  }
}

}  // namespace

void fuzz_mat(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "labels.mat";
  write_file(file, std::string(bytes));
  refusing([&] {
    const MatVariables variables =
        read_mat(file, {"annotations", "class_names", "labels", "tstid", "X", "y", "nothing"},
                 uint64_t{16} << 20);
    for (const MatVariables::value_type& variable : variables) {
      walk(variable.second);
      refusing([&] { mat_integers(file, variables, variable.first); });
    }
  });
}

}  // namespace bissl::host::test
