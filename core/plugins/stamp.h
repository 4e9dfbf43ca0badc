#pragma once

#include "bissl/abi.h"
#include "plugins/component.h"

namespace bissl::host {

/// The stamp of this program.
const BisslPluginStamp& host_stamp();

/// Compares `stamp` with `host`, field by field, and checks what the library says of itself. The
/// library's sdk may be of a lower minor version than the host's: those only add.
/// Throws a Refusal of step "stamp" with code
///   stamp      not a stamp of bissl, one cut short, or one with empty pointers
///   mismatch   built in another way than the host: all differences together
///   bad_name   a name not of the form [a-z0-9-]+
/// `stamp` must point to memory that can be read as far as its struct_size says; never null.
void check_stamp(const BisslPluginStamp* stamp, const BisslPluginStamp& host);

/// What follows "build it again with this program's sdk headers" for a library that was built with
/// an earlier major version of the sdk than the host's: where it is written how to port its source;
/// nothing for others.
std::string porting_advice(uint32_t sdk_major, uint32_t host_major);

/// Who the library is, from a stamp that check_stamp accepted.
LibraryIdentity identity_of(const BisslPluginStamp& stamp, const std::string& path);

/// Whether `name` has the form [a-z0-9-]+ of names of plugins and components.
bool is_name(const std::string& name);

}  // namespace bissl::host
