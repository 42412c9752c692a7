#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs a build into PLACE/prefix and builds the examples against it as its users do: by find_package into
# PLACE/cmake/vending_loop, by pkg-config and the bare compiler into PLACE/pkg-config.
#   run.sh BUILD PLACE VERSION COMPILER FLAGS    FLAGS: what a build under a sanitizer wants, or nothing
set -euo pipefail

build=$1
place=$2
version=$3
compiler=$4
read -r -a flags <<<"$5"
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
examples=$source/tools/examples
prefix=$place/prefix

fail() {
    printf 'package: %s\n' "$*" >&2
    exit 1
}

cmake --install "$build" --prefix "$prefix" >/dev/null
for file in bin/sts6d bin/sts6ctl bin/sts6-kmc bin/sts6-conform share/sts6/sts6_client.py; do
    [ -x "$prefix/$file" ] || fail "$file is not installed, or cannot be run"
done
[ -e "$prefix/include/sts6/client.hpp" ] || fail "no headers"

package=$(dirname "$(find "$prefix" -name sts6-config.cmake)")
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name sts6-client.pc)")
# It must work where this build is not.
if grep --recursive --fixed-strings -e "$build" -e "$source" "$package" "$PKG_CONFIG_PATH"; then
    fail "what is installed names the tree that it was built in"
fi

# Each header by itself, under a user's own warnings.
warnings=(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
pkg-config --validate sts6-client
[ "$(pkg-config --modversion sts6-client)" = "$version" ] || fail "sts6-client.pc is of another version"
read -r -a cflags <<<"$(pkg-config --cflags sts6-client)"
for header in "$prefix"/include/sts6/*.hpp; do
    printf '#include <sts6/%s>\n' "$(basename "$header")" >"$place/header.cpp"
    "$compiler" -std=c++20 -fsyntax-only "${warnings[@]}" "${cflags[@]}" "$place/header.cpp"
done

"$compiler" -std=c++20 "${flags[@]}" "${warnings[@]}" "${cflags[@]}" -c "$examples/vending_loop.cpp" -o "$place/loop.o"
for mode in "" --static; do
    read -r -a libs <<<"$(pkg-config $mode --libs sts6-client)"
    "$compiler" "${flags[@]}" "$place/loop.o" "${libs[@]}" -o "$place/pkg-config"
done

configure() {
    cmake -G Ninja -S "$1" -B "$2" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$compiler" \
        -DCMAKE_CXX_FLAGS="${flags[*]}"
}
configure "$examples" "$place/cmake" >/dev/null
cmake --build "$place/cmake" >/dev/null

# A version with another interface is not taken.
mkdir "$place/other"
sed 's/find_package(sts6 [0-9.]*/find_package(sts6 99.0/' "$examples/CMakeLists.txt" >"$place/other/CMakeLists.txt"
if output=$(configure "$place/other" "$place/other/build" 2>&1); then
    fail "find_package takes any version"
fi
case $output in
*99.0*"$version"*) ;;
*) fail "find_package fails for another reason: $output" ;;
esac
