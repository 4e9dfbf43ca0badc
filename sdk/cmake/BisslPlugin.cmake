# bissl_add_plugin(name SOURCES... [LIBRARIES ...]): a plugin library.
#
# It links the sdk and LibTorch, hides all symbols but the entry, must resolve every symbol at link
# time, and lands where the host looks for plugins.
function(bissl_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 PLUGIN "" "" "LIBRARIES")
  add_library(${name} MODULE ${PLUGIN_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE bissl::sdk ${PLUGIN_LIBRARIES})
  target_link_options(${name} PRIVATE -Wl,--no-undefined)
  set_target_properties(${name} PROPERTIES
    PREFIX ""
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  if(BISSL_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${name} PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY ${BISSL_PLUGIN_OUTPUT_DIRECTORY})
  endif()
endfunction()
