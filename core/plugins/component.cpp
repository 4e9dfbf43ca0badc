#include "plugins/component.h"

#include "base/exception_text.h"
#include "bissl/error.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <string>

namespace bissl::host {

std::optional<FileStamp> stamp_of_file(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    return std::nullopt;
  }
  return FileStamp{.device = status.st_dev,
                   .inode = status.st_ino,
                   .size = static_cast<uint64_t>(status.st_size),
                   .changed_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::string replacement_of(const LibraryIdentity& library) {
  const std::optional<FileStamp> now = stamp_of_file(library.path);
  if (now == library.file) {
    return "";
  }
  return fmt::format(
      "{}: the library of plugin {} {} was {} while it is in use; the one that was loaded stays in "
      "use until the program ends. {}",
      library.path, library.name, library.version, now ? "replaced" : "removed",
      now ? "Start again to use the new one" : "It cannot be loaded again");
}

std::string ComponentChoice::describe() const {
  return fmt::format("{} {} (library {}, used at {})", to_string(component->info.kind),
                     component->info.text.name, component->library.path, origin);
}

void rethrow_as_component_error(const ComponentChoice& choice, const char* method) {
  const std::string place = fmt::format("{}, in {}", choice.describe(), method);
  try {
    throw;
  } catch (const Error& error) {
    // A plugin may have put the text of a library into its own.
    throw Error(error.kind(), fmt::format("{}: {}", place, exception_text(error)));
  } catch (...) {
    fail_run("{}: {}", place, current_exception_text());
  }
}

std::shared_ptr<void> ComponentChoice::create_erased(ComponentKind kind,
                                                     const void* context) const {
  if (component->info.kind != kind) {
    fail_run("{} cannot serve as {}", describe(), to_string(kind));
  }
  auto made = call_component(*this, "construction",
                             [&] { return component->info.create(values, context); });
  if (!made) {
    fail_run("{}: the factory returned null", describe());
  }
  // The object shares its owner's life with the component, and so with the library's record.
  struct Holder {
    std::shared_ptr<const RegisteredComponent> component;
    std::shared_ptr<void> object;
  };
  auto holder = std::make_shared<Holder>(Holder{component, std::move(made)});
  void* object = holder->object.get();
  return {std::move(holder), object};
}

}  // namespace bissl::host
