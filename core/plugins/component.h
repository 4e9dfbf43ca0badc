#pragma once

#include "bissl/plugin.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace bissl::host {

/// What distinguishes a file from another that replaces it.
struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t changed_ns = 0;  ///< time of the last change of its content
  bool operator==(const FileStamp&) const = default;
};

/// The library that a component came from. Once loaded it is never unloaded.
struct LibraryIdentity {
  std::string path;
  std::string name;     ///< the plugin's name from its stamp
  std::string version;  ///< the plugin's version from its stamp
  std::string license;
  std::string compiler{};        ///< "gcc 12": recorded, not compared
  uint32_t cxx_abi_version = 0;  ///< __GXX_ABI_VERSION: recorded, not compared
  FileStamp file{};              ///< when it was loaded
};

/// Whether the file at the library's path is still the one that was loaded; otherwise what became
/// of it, in a sentence that names both.
std::string replacement_of(const LibraryIdentity& library);

/// The stamp of a file now; none if there is no such file.
std::optional<FileStamp> stamp_of_file(const std::string& path);

/// A registered component: what its library declared, and which library that was.
struct RegisteredComponent {
  ComponentInfo info;
  LibraryIdentity library;

  /// "library/component", unique among everything loaded.
  std::string qualified_name() const { return library.name + "/" + info.text.name; }
};

/// A component that a pipeline uses, with checked values for all of its parameters.
struct ComponentChoice {
  std::shared_ptr<const RegisteredComponent> component;
  ParameterValues values;
  /// Where the pipeline asks for it: "file.toml:12:7".
  std::string origin;

  /// Component, library and TOML position, for errors: "hypergradient cg (library …/cg.so, used at
  /// file.toml:12:7)".
  std::string describe() const;

  /// A new instance. Exceptions of the factory come out as Error with describe() in front.
  template <class Interface>
  std::shared_ptr<Interface> create(const typename KindOf<Interface>::Context& context) const {
    return std::static_pointer_cast<Interface>(create_erased(KindOf<Interface>::kind, &context));
  }

 private:
  std::shared_ptr<void> create_erased(ComponentKind kind, const void* context) const;
};

/// Calls `function`, which runs code of the component. Whatever it throws comes out as an Error
/// that names component, library, TOML position and `method`; an Error keeps its kind, everything
/// else becomes ErrorKind::run.
template <class Function>
decltype(auto) call_component(const ComponentChoice& choice, const char* method,
                              Function&& function);

/// Turns the exception in flight into an Error about `choice` and `method`.
[[noreturn]] void rethrow_as_component_error(const ComponentChoice& choice, const char* method);

template <class Function>
decltype(auto) call_component(const ComponentChoice& choice, const char* method,
                              Function&& function) {
  try {
    return std::forward<Function>(function)();
  } catch (...) {
    rethrow_as_component_error(choice, method);
  }
}

}  // namespace bissl::host
