#pragma once

#include <nlohmann/json_fwd.hpp>

#include <set>
#include <string>
#include <vector>

namespace bissl::host {

/// A position in a TOML file, 1-based; columns count characters. A line of 0 means the whole
/// of `file`, which may also be an override of the command line: "--set seed=3".
struct Location {
  std::string file;
  int line = 0;
  int column = 0;

  /// "file.toml:12:7", or only `file` for a line of 0.
  std::string text() const;
};

bool operator==(const Location& left, const Location& right);
bool operator<(const Location& left, const Location& right);

/// One fault, or one doubt, about a pipeline file.
struct Diagnostic {
  enum class Severity { error, warning };

  Severity severity = Severity::error;
  Location at;
  std::string key;      ///< the dotted path of the key that it is about, or empty
  std::string message;  ///< what is wrong, with what was given
  std::string accepted;
  std::vector<std::string> suggestions;  ///< the nearest spellings, best first

  /// One line: "file.toml:12:7: error: stage.pretrain.batch: 0 is out of bounds; accepted: an
  /// integer of at least 1; did you mean …?".
  std::string text() const;
  /// The same for a reader who knows already that it is an error, or a warning.
  std::string text_without_severity() const;
  /// Without its place, too.
  std::string words() const;
};

/// {severity, file, line, column, key, message, accepted, suggestions}. All texts are valid UTF-8:
/// bytes of a file name that are not are replaced.
nlohmann::json to_json(const Diagnostic& diagnostic);

/// One line of text() for each, each ended by a line feed.
std::string to_text(const std::vector<Diagnostic>& diagnostics);

bool has_errors(const std::vector<Diagnostic>& diagnostics);

/// Gathers what is found while a file is read. What `like` and inheritance copy to other places
/// would be found there again: a message is taken only once for a position.
class DiagnosticCollector {
 public:
  void add(Diagnostic diagnostic);
  void error(const Location& at, const std::string& key, const std::string& message,
             const std::string& accepted = "", std::vector<std::string> suggestions = {});
  void warning(const Location& at, const std::string& key, const std::string& message);
  /// For a key that is not there. `table` is where it would be, so the key distinguishes what
  /// the position does not.
  void missing(const Location& table, const std::string& key, const std::string& message,
               const std::string& accepted);

  size_t errors() const { return errors_; }

  /// Everything, in the order of positions: `first_file`, then other files, then overrides.
  std::vector<Diagnostic> sorted(const std::string& first_file) const;

 private:
  void add_once(Diagnostic diagnostic, const std::string& identity);

  std::vector<Diagnostic> diagnostics_;
  std::set<std::pair<Location, std::string>> seen_;
  size_t errors_ = 0;
};

/// "\"a\", \"b\"", in the spelling of TOML; "none" if there are none.
std::string quoted_list(const std::vector<std::string>& names);

/// `text` if it is short, else its beginning and "…"; never cuts a character of UTF-8.
std::string shortened(const std::string& text);

/// ASCII letters in lower case.
std::string lower_case(const std::string& text);

/// `path` with `key` behind it, as it would be written in TOML: `data.few-labels`, `data."a b"`.
std::string joined_key(const std::string& path, const std::string& key);

}  // namespace bissl::host
