# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where: the programs, and what a vending client needs to be built with.
include(CMakePackageConfigHelpers)

install(TARGETS sts6d sts6ctl sts6-kmc sts6-conform RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")

install(TARGETS sts6_client sts6_public EXPORT sts6 ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/sts6" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/sts6")
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/sts6-config.cmake.in" "${PROJECT_BINARY_DIR}/sts6-config.cmake"
                              INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/sts6-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/sts6-config.cmake" "${PROJECT_BINARY_DIR}/sts6-config-version.cmake"
        DESTINATION "${package_dir}")
install(EXPORT sts6 NAMESPACE sts6:: FILE sts6-targets.cmake DESTINATION "${package_dir}")

# The prefix as seen from the file itself, so that the tree can be installed anywhere.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig"
           OUTPUT_VARIABLE STS6_PREFIX_FROM_PKGCONFIG)
configure_file("${CMAKE_CURRENT_LIST_DIR}/sts6-client.pc.in" "${PROJECT_BINARY_DIR}/sts6-client.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/sts6-client.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

install(PROGRAMS "${PROJECT_SOURCE_DIR}/tools/python/sts6_client.py" DESTINATION "${CMAKE_INSTALL_DATADIR}/sts6")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
# Not below a multiarch directory: systemd looks nowhere else.
install(FILES "${PROJECT_SOURCE_DIR}/tools/packaging/sts6d.service" DESTINATION lib/systemd/system)
