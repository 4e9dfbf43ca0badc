# How all targets are compiled.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# CMake's default of -O3 costs compile time and gains nothing but in the pixel loops, which ask for
# it themselves.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

# The program finds its plugins relative to itself, in the build tree as in an installation.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib" "$ORIGIN/../..")
# A LibTorch outside the system's folders is found where it was linked.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
set(BISSL_PLUGIN_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/bissl/plugins)

# One precompiled header serves all targets that want it, so all are compiled with the same flags: position
# independent, also the programs.
set(CMAKE_CXX_COMPILE_OPTIONS_PIE "")
add_compile_options(-fPIC -Wall -Wextra)
if(BISSL_WARNINGS_AS_ERRORS)
  add_compile_options(-Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 and 13 report these inside the standard library's strings and vectors where there is
  # nothing to report (GCC bug 105651 and its kin). The last one, of GCC 13 and 14, takes every
  # reference that a function with a temporary among its arguments returns for that temporary's.
  add_compile_options(-Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict
                      -Wno-dangling-reference)
endif()

if(BISSL_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC takes members of the standard library for uninitialised behind the added instructions.
  add_compile_options(-Wno-maybe-uninitialized)
elseif(BISSL_SANITIZE)
  # Clang reports loops that these instructions keep it from vectorising.
  add_compile_options(-Wno-pass-failed)
endif()
# A finding ends the process, so that no test passes over it.
if(BISSL_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
elseif(BISSL_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
if(BISSL_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "BISSL_FUZZ needs clang, since libFuzzer is part of it: "
                        "cmake --preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
  # LibTorch 1.13's List.h holds a std::vector of a class that is complete only behind this header,
  # which clang 14 refuses in C++20.
  add_compile_options("SHELL:-include ATen/core/ivalue.h")
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths relative to the checkout make what one checkout has compiled serve another.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      ${CCACHE_PROGRAM})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  endif()
endif()

# bissl_precompile(target): compile with the shared precompiled header. Worth it for files that
# include torch/nn or torch/autograd headers (12 s without, 5 s with it); others take 1 to 3 s without.
function(bissl_precompile target)
  set_target_properties(${target} PROPERTIES DEFINE_SYMBOL "")
  target_precompile_headers(${target} REUSE_FROM bissl_pch)
endfunction()

# bissl_unite(target): with BISSL_UNITY_BUILD, its files are compiled ten at a time, so that headers
# are read once for all ten. What files keep to themselves must then have names of its own.
function(bissl_unite target)
  if(BISSL_UNITY_BUILD)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 10)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # GCC takes an included .cpp file for a header, in which such a member would be a mistake.
      target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
    endif()
  endif()
endfunction()
