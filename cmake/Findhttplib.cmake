# Finds cpp-httplib in each of its forms: with its own CMake package, as one header, or split into a
# header and a library (Debian: libcpp-httplib-dev).
#
# Target:    httplib::httplib
# Variables: httplib_FOUND, httplib_VERSION, httplib_INCLUDE_DIR, httplib_LIBRARY

find_package(httplib CONFIG QUIET)
if(httplib_FOUND)
    return()
endif()

find_path(httplib_INCLUDE_DIR NAMES httplib.h)
find_library(httplib_LIBRARY NAMES cpp-httplib httplib)
mark_as_advanced(httplib_INCLUDE_DIR httplib_LIBRARY)

include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_package(OpenSSL QUIET)

set(_httplib_definitions)
set(_httplib_links)
set(_httplib_required httplib_INCLUDE_DIR)
if(httplib_INCLUDE_DIR)
    file(STRINGS "${httplib_INCLUDE_DIR}/httplib.h" _httplib_version REGEX "^#define CPPHTTPLIB_VERSION \"[0-9.]+\"")
    string(REGEX MATCH "[0-9.]+" httplib_VERSION "${_httplib_version}")

    # The split header has declarations only. The single header has this line between its halves.
    file(STRINGS "${httplib_INCLUDE_DIR}/httplib.h" _httplib_one_file REGEX "Implementation that will be part of the")
    if(NOT _httplib_one_file)
        list(APPEND _httplib_required httplib_LIBRARY)
    endif()
endif()

# TLS support changes the layout of httplib::Request: a program that is compiled without it and uses
# a library with it links, and crashes. Only a library with TLS has SSLServer.
if(httplib_LIBRARY AND NOT _httplib_one_file AND OpenSSL_FOUND)
    function(_httplib_try_tls)
        include(CheckCXXSourceCompiles)
        set(CMAKE_REQUIRED_QUIET ON)
        set(CMAKE_REQUIRED_INCLUDES "${httplib_INCLUDE_DIR}")
        set(CMAKE_REQUIRED_DEFINITIONS -DCPPHTTPLIB_OPENSSL_SUPPORT)
        set(CMAKE_REQUIRED_LIBRARIES "${httplib_LIBRARY}" OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
        check_cxx_source_compiles("
            #include <httplib.h>
            int main() { return httplib::SSLServer{\"\", \"\"}.is_valid(); }" httplib_HAS_TLS)
    endfunction()
    _httplib_try_tls()
    if(httplib_HAS_TLS)
        list(APPEND _httplib_definitions CPPHTTPLIB_OPENSSL_SUPPORT)
        list(APPEND _httplib_links OpenSSL::SSL OpenSSL::Crypto)
    endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    httplib
    REQUIRED_VARS ${_httplib_required}
    VERSION_VAR httplib_VERSION
    REASON_FAILURE_MESSAGE "Debian: libcpp-httplib-dev"
)

if(httplib_FOUND AND NOT TARGET httplib::httplib)
    if(_httplib_one_file)
        add_library(httplib::httplib INTERFACE IMPORTED)
    else()
        add_library(httplib::httplib UNKNOWN IMPORTED)
        set_target_properties(httplib::httplib PROPERTIES IMPORTED_LOCATION "${httplib_LIBRARY}")
    endif()
    set_target_properties(
        httplib::httplib
        PROPERTIES
            INTERFACE_INCLUDE_DIRECTORIES "${httplib_INCLUDE_DIR}"
            INTERFACE_COMPILE_DEFINITIONS "${_httplib_definitions}"
            INTERFACE_LINK_LIBRARIES "${_httplib_links};Threads::Threads"
    )
endif()
