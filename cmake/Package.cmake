# What find_package(bertie) of other projects reads: the targets bertie::autograd … bertie::models, the version, and how
# to find the libraries that they link.
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/bertie)
configure_package_config_file(cmake/bertieConfig.cmake.in bertieConfig.cmake INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(bertieConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT bertieTargets NAMESPACE bertie:: DESTINATION ${package_folder})
install(FILES ${PROJECT_BINARY_DIR}/bertieConfig.cmake ${PROJECT_BINARY_DIR}/bertieConfigVersion.cmake
              cmake/FindOneDNN.cmake cmake/FindOpenBLAS.cmake cmake/Findutf8proc.cmake
        DESTINATION ${package_folder})
