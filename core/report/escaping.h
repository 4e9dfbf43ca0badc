#pragma once

#include <string>

namespace bissl::host {

// Texts of users (labels, names, paths, messages) in the forms that a report takes. All of them
// replace bytes that are not UTF-8 by U+FFFD.

/// For HTML and SVG, in content and in attributes: markup becomes entities, characters that XML 1.0
/// forbids become U+FFFD, line feeds and tabs stay.
std::string xml_text(const std::string& text);

/// For a line of Markdown: what CommonMark or GitHub would take for markup is escaped, raw HTML
/// included; line breaks become spaces.
std::string markdown_text(const std::string& text);

/// A cell of a CSV file (RFC 4180), quoted where needed. A text that a spreadsheet would take for a
/// formula gets an apostrophe before it; numbers stay as they are.
std::string csv_text(const std::string& text);

/// For a line on a terminal: control characters, which could move the cursor, become spaces.
std::string terminal_text(const std::string& text);

/// A part of a file's name that works on every file system and in a link: letters, digits, ".", "_"
/// and "-" stay. Different texts have different names.
std::string file_name_part(const std::string& text);

/// Bytes in the letters of Base64 (RFC 4648) with padding, for data within a page.
std::string base64_text(const std::string& bytes);

}  // namespace bissl::host
