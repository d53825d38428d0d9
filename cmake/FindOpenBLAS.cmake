# OpenBLAS by its own package file, with the target OpenBLAS::OpenBLAS, which Debian's file doesn't define.
find_package(OpenBLAS ${OpenBLAS_FIND_VERSION} CONFIG QUIET)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenBLAS CONFIG_MODE)
if(OpenBLAS_FOUND AND NOT TARGET OpenBLAS::OpenBLAS)
  add_library(OpenBLAS::OpenBLAS INTERFACE IMPORTED)
  target_link_libraries(OpenBLAS::OpenBLAS INTERFACE ${OpenBLAS_LIBRARIES})
  target_include_directories(OpenBLAS::OpenBLAS INTERFACE ${OpenBLAS_INCLUDE_DIRS})
endif()
