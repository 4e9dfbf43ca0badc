#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {

// Files of the formats that datasets read, written by other code than what reads them.

/// A gzip file.
std::string gzip_of(const std::string& content);
/// A zlib stream.
std::string zlib_of(const std::string& content);

/// A ustar header; `size_field` replaces the octal size where it is not empty.
std::string tar_header(const std::string& name, uint64_t size, char type = '0',
                       const std::string& size_field = "");
/// A member with its header, filled up to whole blocks.
std::string tar_member(const std::string& name, const std::string& content, char type = '0');
/// The zero blocks at the end.
std::string tar_end();
/// A pax header with one record for the member that follows.
std::string pax_record(const std::string& key, const std::string& value);
/// Members by their names.
std::string tar_of(const std::vector<std::pair<std::string, std::string>>& members);

/// Parts of pickles of protocol 2 as Python 2 writes them.
namespace pickled {
std::string integer(int64_t value);
std::string bytes(const std::string& value);
std::string text(const std::string& value);
std::string list(const std::vector<std::string>& items);
std::string dict(const std::vector<std::pair<std::string, std::string>>& entries);
/// A NumPy array of unsigned bytes with two dimensions.
std::string array(int64_t rows, int64_t columns, const std::string& content);
/// The whole file.
std::string file(const std::string& value);
}  // namespace pickled

/// Parts of MAT-files of level 5.
namespace mat {
/// Numbers stored as unsigned bytes in an array of class uint8.
std::string bytes(const std::string& name, const std::vector<int32_t>& dimensions,
                  const std::string& content);
/// Numbers stored as doubles.
std::string doubles(const std::string& name, const std::vector<int32_t>& dimensions,
                    const std::vector<double>& numbers);
/// A row of characters.
std::string text(const std::string& name, const std::string& characters);
std::string cell(const std::string& name, const std::vector<int32_t>& dimensions,
                 const std::vector<std::string>& parts);
/// `parts` has all fields of the first element, then those of the second, and so on.
std::string structure(const std::string& name, const std::vector<int32_t>& dimensions,
                      const std::vector<std::string>& fields,
                      const std::vector<std::string>& parts);
/// A variable as MATLAB compresses it.
std::string compressed(const std::string& variable);
/// The whole file.
std::string file(const std::vector<std::string>& variables);
}  // namespace mat

enum class PngKind { gray, palette, colour };

/// A PNG file of values in `depth` (1, 2, 4 or 8) bits, row by row: gray, places in a palette of
/// colours, of which none is like its place, or (8 bits) three equal samples for each.
std::string png_of(int width, int height, int depth, PngKind kind,
                   const std::vector<uint8_t>& values);

/// A JPEG file of one gray value.
std::string jpeg_of(int width, int height, uint8_t value);

}  // namespace bissl::host::test
