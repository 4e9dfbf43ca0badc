#pragma once

namespace bissl::host::test {

/// Where the build put things, for tests: absolute paths. They are defined in one file of each
/// build folder, so that ccache's results for all other tests serve every checkout.
extern const char* const source_folder;
extern const char* const build_folder;
extern const char* const plugin_folder;
extern const char* const fixture_plugin_folder;
extern const char* const program;

}  // namespace bissl::host::test
