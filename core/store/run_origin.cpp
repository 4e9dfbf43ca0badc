#include "store/run_origin.h"

#include "base/atomic_file.h"
#include "base/json_file.h"
#include "base/json_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"
#include "store/sweep_folder.h"

#include <unistd.h>

#include <cerrno>
#include <optional>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using Kind = FolderOrigin::Kind;

// Hidden: no stage, run or sweep can have a name that begins with a dot.
constexpr const char* origin_file = ".origin.json";

const char* to_string(Kind kind) { return kind == Kind::run ? "run" : "sweep"; }

fs::path real_path(const fs::path& path) {
  std::error_code error;
  const fs::path real = fs::weakly_canonical(fs::absolute(path), error);
  return error ? fs::absolute(path).lexically_normal() : real;
}

/// What a folder is, by what is in it.
std::optional<Kind> kind_of(const fs::path& folder) {
  if (is_there(folder / plan_file)) {
    return Kind::sweep;
  }
  return is_there(folder / "pipeline.lock.toml") ? std::optional(Kind::run) : std::nullopt;
}

nlohmann::json record_of(const FolderOrigin& origin) {
  const fs::path folder = real_path(origin.out / origin.name);
  const fs::path file = real_path(origin.file);
  return {{"kind", to_string(origin.kind)},
          {"file", file.string()},
          {"relative", file.lexically_relative(folder).string()}};
}

/// Whether the file is the one of the record: at the same place, or moved together with the folder,
/// or the folder's own record of what was run.
bool is_of(const nlohmann::json& record, const FolderOrigin& origin) {
  const nlohmann::json own = record_of(origin);
  const fs::path folder = real_path(origin.out / origin.name);
  return text_at(record, "file") == text_at(own, "file") ||
         text_at(record, "relative") == text_at(own, "relative") ||
         real_path(origin.file).parent_path() == folder;
}

[[noreturn]] void fail_kind(const FolderOrigin& origin, Kind found) {
  const std::string folder = (origin.out / origin.name).string();
  fail_input(
      "{} is the folder of a {}, not of a {}: give the {} another name, by name = \"…\" in {}, or "
      "another folder, by --out",
      folder, to_string(found), to_string(origin.kind), to_string(origin.kind),
      origin.file.string());
}

/// What a folder around others is: by its record, or as a sweep of a version without records. A
/// file of the name plan.json alone may be anybody's.
std::optional<Kind> outer_kind(const fs::path& folder) {
  if (const auto record = read_json_if_there(folder / origin_file)) {
    return text_at(*record, "kind") == "sweep" ? Kind::sweep : Kind::run;
  }
  const bool is_sweep =
      is_there(folder / plan_file) && (is_there(folder / "cells") || is_there(folder / "state"));
  return is_sweep ? std::optional(Kind::sweep) : std::nullopt;
}

void refuse_inside_another(const fs::path& out) {
  const fs::path whole = real_path(out);
  for (fs::path outer = whole; outer.has_relative_path(); outer = outer.parent_path()) {
    if (const std::optional<Kind> kind = outer_kind(outer)) {
      fail_input(
          "--out {}: {} the folder of a {}; expected the folder that holds the folders of runs and "
          "sweeps, such as {}",
          out.string(),
          outer == whole ? std::string("this is") : fmt::format("it lies in {},", outer.string()),
          to_string(*kind), outer.parent_path().string());
    }
  }
}

}  // namespace

std::optional<std::string> check_origin(const FolderOrigin& origin) {
  refuse_inside_another(origin.out);
  const fs::path folder = origin.out / origin.name;
  const std::optional<Kind> kind = kind_of(folder);
  if (kind && *kind != origin.kind) {
    fail_kind(origin, *kind);
  }
  const std::optional<nlohmann::json> record = read_json_if_there(folder / origin_file);
  if (!record || text_at(*record, "file").empty()) {
    return std::nullopt;
  }
  const Kind recorded = text_at(*record, "kind") == "sweep" ? Kind::sweep : Kind::run;
  if (recorded != origin.kind) {
    fail_kind(origin, recorded);
  }
  if (is_of(*record, origin)) {
    return std::nullopt;
  }
  if (origin.is_same && origin.is_same()) {
    return text_at(*record, "file");
  }
  fail_input(
      "{} holds the results of another {}: that of {}, not of {}. Nothing was changed. Give this "
      "one another name ({}) or another folder (--out), or remove {}. If this file is that one, "
      "moved, remove {}",
      folder.string(), to_string(origin.kind), text_at(*record, "file"),
      real_path(origin.file).string(),
      origin.kind == Kind::run ? "name = \"…\", or --set name=…" : "name = \"…\"", folder.string(),
      (folder / origin_file).string());
}

void claim_origin(const FolderOrigin& origin) {
  const bool is_others = check_origin(origin).has_value();
  const fs::path folder = origin.out / origin.name;
  const fs::path file = folder / origin_file;
  make_folder(folder);
  const std::string text = json_text(record_of(origin), 2) + "\n";
  const std::optional<nlohmann::json> before = read_json_if_there(file);
  if (before && !text_at(*before, "file").empty()) {
    // Moved together: the paths of today.
    const bool is_own_record = real_path(origin.file).parent_path() == real_path(folder);
    if ((is_others ? origin.takes_over : !is_own_record) && *before != record_of(origin)) {
      write_file_atomically(file, text);
    }
    return;
  }
  const fs::path temporary = temporary_path(folder);
  write_file_atomically(temporary, text);
  if (before || is_there(file)) {
    rename_path(temporary, file);  // what was there is no record
    return;
  }
  const bool first = ::link(temporary.c_str(), file.c_str()) == 0;
  const int error = errno;
  ::unlink(temporary.c_str());
  if (!first && error != EEXIST) {
    write_file_atomically(file, text);  // a file system without links
  } else if (!first) {
    check_origin(origin);
  }
}

}  // namespace bissl::host
