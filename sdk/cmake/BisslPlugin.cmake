# bissl_add_plugin(name SOURCES... [LIBRARIES ...]): a plugin library.
#
# It links the sdk and LibTorch, hides all symbols but the entry, and must resolve every symbol at
# link time. Inside bissl's own build it lands where the program looks for plugins. Outside, it lands
# in <build folder>/plugins, and the program tries to load it after each build: a library that would
# be refused fails the build, with the reason. -DBISSL_CHECK_PLUGINS=OFF leaves that out (when the
# build is for another machine, say).
function(bissl_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 PLUGIN "" "" "LIBRARIES")
  add_library(${name} MODULE ${PLUGIN_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE bissl::sdk ${PLUGIN_LIBRARIES})
  # Code of static libraries that it links stays its own, as all else does.
  target_link_options(${name} PRIVATE -Wl,--no-undefined -Wl,--exclude-libs,ALL)
  set_target_properties(${name} PROPERTIES
    PREFIX ""
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    CXX_EXTENSIONS OFF)
  if(BISSL_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${name} PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY ${BISSL_PLUGIN_OUTPUT_DIRECTORY})
  else()
    set_target_properties(${name} PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins)
    option(BISSL_CHECK_PLUGINS "Try to load each plugin after it is built" ON)
    if(BISSL_CHECK_PLUGINS AND NOT CMAKE_CROSSCOMPILING)
      add_custom_command(TARGET ${name} POST_BUILD
        COMMAND bissl::bissl plugins --check $<TARGET_FILE:${name}>
        COMMENT "Loading ${name} as the program does"
        VERBATIM)
    endif()
  endif()
endfunction()

# bissl_add_conformance_test(name ARGUMENTS...): `ctest` runs `bissl conform` on the plugin, with
# these arguments more: --set PARAMETER=VALUE where there is no default, --fixed-targets COMPONENT for
# a pretext task whose loss holds targets fixed on purpose.
function(bissl_add_conformance_test name)
  add_test(NAME conform_${name} COMMAND bissl::bissl conform $<TARGET_FILE:${name}> ${ARGN})
endfunction()
