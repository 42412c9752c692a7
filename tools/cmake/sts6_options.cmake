# SPDX-License-Identifier: Apache-2.0
# What every target of the project is compiled with, and the libraries it may ask for.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

option(STS6_TESTS "Build the tests" ON)
option(STS6_WERROR "Treat warnings as errors" OFF)
set(STS6_SANITIZE "" CACHE STRING "Sanitizers for every target, e.g. address,undefined")
option(STS6_COVERAGE "Instrument for gcov" OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

include(GNUInstallDirs)

find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto SSL)
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBP11 REQUIRED IMPORTED_TARGET libp11)
pkg_check_modules(P11KIT REQUIRED IMPORTED_TARGET p11-kit-1)
pkg_check_modules(SQLITE3 REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(nlohmann_json REQUIRED)

add_library(sts6_build_flags INTERFACE)
target_compile_options(sts6_build_flags INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
  -fstack-protector-strong -fno-omit-frame-pointer)
# GCC 12 sees overlaps in std::string's operator+ that are not there (its bug 105651), when it optimises.
target_compile_options(sts6_build_flags INTERFACE
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<NOT:$<CONFIG:Debug>>>:-Wno-restrict>)
target_compile_definitions(sts6_build_flags INTERFACE STS6_VERSION="${PROJECT_VERSION}")
if(STS6_WERROR)
  target_compile_options(sts6_build_flags INTERFACE -Werror)
endif()
if(STS6_SANITIZE)
  target_compile_options(sts6_build_flags INTERFACE -fsanitize=${STS6_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(sts6_build_flags INTERFACE -fsanitize=${STS6_SANITIZE})
  if(STS6_SANITIZE MATCHES "undefined")
    # This check opens a pipe to look at an object, and fails in a test that takes all descriptors away.
    target_compile_options(sts6_build_flags INTERFACE -fno-sanitize=vptr)
  endif()
  if(STS6_SANITIZE STREQUAL "address,undefined")
    # UndefinedBehaviorSanitizer's tables are millions of relocations, done anew at each start of a test.
    target_link_options(sts6_build_flags INTERFACE
      $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-no-pie>)
  endif()
  if(STS6_SANITIZE STREQUAL "thread")
    # Asio uses a fence that ThreadSanitizer does not model; it is not what orders our data.
    target_compile_options(sts6_build_flags INTERFACE -Wno-tsan)
  endif()
else()
  target_compile_definitions(sts6_build_flags INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2> _GLIBCXX_ASSERTIONS)
endif()
if(STS6_COVERAGE)
  target_compile_options(sts6_build_flags INTERFACE --coverage)
  target_link_options(sts6_build_flags INTERFACE --coverage)
endif()

# The public face: headers only, standard library only.
add_library(sts6_public INTERFACE)
target_compile_features(sts6_public INTERFACE cxx_std_20)
target_include_directories(sts6_public INTERFACE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
                           "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
set_target_properties(sts6_public PROPERTIES EXPORT_NAME public)

# sts6_room(NAME DIRECTORY): a room is a folder, and its library is every source file in it.
function(sts6_room name directory)
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${directory}/*.cpp")
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>")
  target_link_libraries(${name} PUBLIC sts6_public PRIVATE "$<BUILD_INTERFACE:sts6_build_flags>"
                        "$<BUILD_INTERFACE:spdlog::spdlog>")
  sts6_precompile(${name} sts6_pkcs11 ${STS6_HOSTED_HEADERS})
endfunction()

# The headers that most sources name, parsed once for each kind of target, for the tests' builds. A source names what it
# uses all the same: the presets `release`, `tsan` and `fuzz` build without them. Out of a precompiled header GCC 12 takes
# std::string for the project's code when it optimises, and warns of overlaps and bounds that are not there.
set(STS6_COMMON_HEADERS <algorithm> <array> <chrono> <cstddef> <cstdint> <optional> <span> <string_view> <utility>)
set(STS6_HOSTED_HEADERS ${STS6_COMMON_HEADERS} <filesystem> <functional> <memory> <string> <vector>)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
  # ccache looks through precompiled headers with it.
  target_compile_options(sts6_build_flags INTERFACE -fpch-preprocess)
endif()

# sts6_precompile(TARGET FIRST HEADERS...): TARGET shares the precompiled headers of FIRST, or makes them when it is FIRST.
function(sts6_precompile target first)
  if(target STREQUAL first)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${first})
  endif()
endfunction()
