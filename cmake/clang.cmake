# Toolchain file of the presets that use Clang: clang++-16, or the compiler that the environment
# variable ROUNDHOUSE_CLANGXX names.

if(NOT CMAKE_CXX_COMPILER)
    if(NOT "$ENV{ROUNDHOUSE_CLANGXX}" STREQUAL "")
        set(CMAKE_CXX_COMPILER "$ENV{ROUNDHOUSE_CLANGXX}")
    else()
        set(CMAKE_CXX_COMPILER clang++-16)
    endif()
endif()
