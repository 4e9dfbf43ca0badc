#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace bissl {

/// What a zlib stream holds. Throws Error(ErrorKind::input), which begins with `place`, for a
/// stream that is damaged or cut short, or holds more than `most_bytes`.
std::string inflate_zlib(std::span<const uint8_t> packed, uint64_t most_bytes,
                         const std::string& place);

/// Writes what a gzip file holds (all its members; zeros may follow the last one) to a new file:
/// under another name first, renamed when it is whole. Throws Error(ErrorKind::input) if `packed`
/// is damaged, cut short or no gzip file, Error(ErrorKind::run) if the new file cannot be written
/// or would leave less than 1 GiB free on its disk.
void unpack_gzip(const std::filesystem::path& packed, const std::filesystem::path& unpacked);

/// Whether a file begins as gzip files do.
bool is_gzip(const std::filesystem::path& file);

}  // namespace bissl
