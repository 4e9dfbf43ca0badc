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
  target_link_options(${name} PRIVATE -Wl,--exclude-libs,ALL)
  # Clang keeps the run-time of its sanitizers in the program alone, so there a library needs it.
  if(NOT (BISSL_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang"))
    target_link_options(${name} PRIVATE -Wl,--no-undefined)
  endif()
  set_target_properties(${name} PROPERTIES
    PREFIX ""
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    CXX_EXTENSIONS OFF)
  bissl_safe_runpath(${name})
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

# bissl_safe_runpath(target): the folders in which the loader looks for the target's libraries are the
# same in the build tree and after an installation.
#
# Otherwise CMake links a target that will be installed with colons behind the folders, to have room
# for others, and each of them is an empty element: the loader takes it for the current folder, and
# would load whatever library lies there. INSTALL_RPATH and the folders of libraries outside the
# project apply to both; libraries of the project are found by their place beside the target.
function(bissl_safe_runpath target)
  set_target_properties(${target} PROPERTIES
    BUILD_WITH_INSTALL_RPATH ON
    INSTALL_RPATH_USE_LINK_PATH ON)
  # Later, when the project has linked all that it wants.
  cmake_language(EVAL CODE "cmake_language(DEFER CALL bissl_complete_runpath [[${target}]])")
endfunction()

function(bissl_complete_runpath target)
  get_target_property(given ${target} INSTALL_RPATH)
  foreach(folder IN LISTS given)
    if(NOT folder MATCHES "\\$<" AND NOT ":${folder}" MATCHES "^(:(/|\\$ORIGIN)[^:]*)+$")
      message(FATAL_ERROR "${target}: INSTALL_RPATH (CMAKE_INSTALL_RPATH) has \"${folder}\", which the "
        "loader would look for in the current folder. Write \$ORIGIN/${folder}, which is relative to "
        "the library, or an absolute path.")
    endif()
  endforeach()
  set(waiting ${target})
  set(seen "")
  while(waiting)
    list(POP_FRONT waiting one)
    if(NOT TARGET "${one}" OR one IN_LIST seen)
      continue()
    endif()
    list(APPEND seen ${one})
    get_target_property(type ${one} TYPE)
    get_target_property(imported ${one} IMPORTED)
    if(type STREQUAL "SHARED_LIBRARY" AND NOT imported AND NOT one STREQUAL target)
      set_property(TARGET ${target} APPEND PROPERTY INSTALL_RPATH
        "$ORIGIN/$<PATH:RELATIVE_PATH,$<TARGET_FILE_DIR:${one}>,$<TARGET_FILE_DIR:${target}>>")
    endif()
    foreach(property LINK_LIBRARIES INTERFACE_LINK_LIBRARIES)
      get_target_property(more ${one} ${property})
      if(more)
        list(APPEND waiting ${more})
      endif()
    endforeach()
  endwhile()
endfunction()

# bissl_add_conformance_test(name ARGUMENTS...): `ctest` runs `bissl conform` on the plugin, with
# these arguments more, such as --set PARAMETER=VALUE where there is no default.
# Every exit code but 0 fails the test: also 3, for a component that could not be tested; what it
# prints says what to give. Call it again for other values: the tests are conform_<name>,
# conform_<name>_2, and so on.
function(bissl_add_conformance_test name)
  set(test conform_${name})
  set(number 1)
  while(TEST ${test})
    math(EXPR number "${number} + 1")
    set(test conform_${name}_${number})
  endwhile()
  add_test(NAME ${test} COMMAND bissl::bissl conform $<TARGET_FILE:${name}> ${ARGN})
endfunction()
