# Finds the `expected` that `result<T>` is made of: std::expected if the standard library has it in
# the language mode in use (C++20 unless CMAKE_CXX_STANDARD is higher), else tl::expected (Debian:
# libexpected-dev).
#
# Target: tl::expected, if it was found. Users link $<TARGET_NAME_IF_EXISTS:tl::expected>.

function(_roundhouse_try_std_expected)
    include(CheckCXXSourceCompiles)
    if(NOT CMAKE_CXX_STANDARD OR CMAKE_CXX_STANDARD LESS 20)
        set(CMAKE_CXX_STANDARD 20)
    endif()
    set(CMAKE_CXX_STANDARD_REQUIRED ON)
    set(CMAKE_REQUIRED_QUIET ON)
    set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
    check_cxx_source_compiles("
        #include <version>
        #if !defined(__cpp_lib_expected) || __cpp_lib_expected < 202202L
        #error no std::expected
        #endif
        int unused;" Roundhouse_HAS_STD_EXPECTED)
endfunction()

_roundhouse_try_std_expected()
find_package(tl-expected CONFIG QUIET)

if(Roundhouse_HAS_STD_EXPECTED)
    set(_roundhouse_expected "std::expected")
elseif(TARGET tl::expected)
    set(_roundhouse_expected "tl::expected")
else()
    set(_roundhouse_expected FALSE)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    RoundhouseExpected
    REQUIRED_VARS _roundhouse_expected
    REASON_FAILURE_MESSAGE
        "the standard library has no std::expected in this language mode, and tl::expected is missing (Debian: libexpected-dev)"
)
