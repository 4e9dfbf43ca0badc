# What `cmake --install` and `cpack` make of the build: the program with its plugins, and what others
# need to write plugins of their own.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The program looks for its plugins relative to itself (core/plugins/registry.cpp).
set(BISSL_INSTALL_PLUGINS lib/bissl/plugins)
set(BISSL_INSTALL_PACKAGE ${CMAKE_INSTALL_LIBDIR}/cmake/bissl)

install(TARGETS bissl EXPORT bissl COMPONENT program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS bissl_sdk bissl_sdk_headers EXPORT bissl
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT program NAMELINK_COMPONENT development)
get_property(plugins GLOBAL PROPERTY BISSL_SHIPPED_PLUGINS)
install(TARGETS ${plugins} LIBRARY DESTINATION ${BISSL_INSTALL_PLUGINS} COMPONENT program)
install(DIRECTORY pipelines DESTINATION ${CMAKE_INSTALL_DATADIR}/bissl COMPONENT program)
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program
  FILES_MATCHING PATTERN "*.md" PATTERN "*.svg")
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)

install(DIRECTORY sdk/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(DIRECTORY sdk/examples DESTINATION ${CMAKE_INSTALL_DATADIR}/bissl COMPONENT development)
install(EXPORT bissl NAMESPACE bissl:: FILE bisslTargets.cmake
  DESTINATION ${BISSL_INSTALL_PACKAGE} COMPONENT development)
configure_package_config_file(cmake/bisslConfig.cmake.in ${CMAKE_BINARY_DIR}/bisslConfig.cmake
  INSTALL_DESTINATION ${BISSL_INSTALL_PACKAGE}
  NO_SET_AND_CHECK_MACRO)
# A plugin builds with headers of the same major and at least the same minor number of the sdk.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/bisslConfigVersion.cmake
  VERSION ${BISSL_SDK_VERSION} COMPATIBILITY SameMajorVersion)
install(FILES
  ${CMAKE_BINARY_DIR}/bisslConfig.cmake
  ${CMAKE_BINARY_DIR}/bisslConfigVersion.cmake
  sdk/cmake/BisslPlugin.cmake
  DESTINATION ${BISSL_INSTALL_PACKAGE} COMPONENT development)

# Debian packages, by `cpack` in the build folder. Their dependencies are read from the libraries.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME bissl)
set(CPACK_PACKAGE_VENDOR "the bissl developers")
set(CPACK_PACKAGE_CONTACT "the bissl developers <bissl@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL program development)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE "https://arxiv.org/abs/2410.02387")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME bissl)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
# Its own library is part of the package.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "dataset-fashion-mnist, libopenblas0-openmp")
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION
  "self-supervised learning with bilevel optimisation
 Runs pretrain, BiSSL and fine-tune pipelines that are described in TOML,
 composed of components from plugin libraries.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libbissl-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "bissl (= ${PROJECT_VERSION}), libtorch-dev, libfmt-dev, cmake (>= 3.25), make, g++")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
  "headers and CMake package for plugins of bissl
 With find_package(bissl) and bissl_add_plugin, a plugin is one file of CMake
 and one of C++.")
include(CPack)
