#pragma once

#include <exception>
#include <string>

namespace bissl::host {

/// What an exception says, as part of a message for people: without the stack frames of LibTorch,
/// the codes of the JSON library and the dumps of allocators; one that only names its own class
/// (std::bad_alloc) is put into words. bissl::Error keeps its lines, of others' texts that carry
/// frames only what is before them is kept.
std::string exception_text(const std::exception& exception);

/// The same for a text that was made from an exception somewhere else, in a plugin say.
std::string without_library_dumps(const std::string& text);

/// exception_text of the exception in flight, which need not be a std::exception. To be called in a
/// catch block.
std::string current_exception_text();

/// Whether the exception says that memory could not be had.
bool is_out_of_memory(const std::exception& exception);

/// "12.3 GB": bytes in the unit that keeps the number short.
std::string bytes_text(double bytes);

}  // namespace bissl::host
