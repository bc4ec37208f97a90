# Finds RESTinio (Debian: librestinio-dev).
#
# Target:    restinio::restinio
# Variables: RESTinio_FOUND, RESTinio_VERSION, RESTinio_INCLUDE_DIR
#
# Up to 0.6 RESTinio is headers over http-parser, fmt and standalone Asio. Its CMake package is not
# used then, because it defines Asio macros under which Asio's types differ from those of
# Asio::Asio. From 0.7 on the package is used.

find_path(RESTinio_INCLUDE_DIR NAMES restinio/all.hpp)
mark_as_advanced(RESTinio_INCLUDE_DIR)

if(RESTinio_INCLUDE_DIR AND EXISTS "${RESTinio_INCLUDE_DIR}/restinio/version.hpp")
    file(STRINGS "${RESTinio_INCLUDE_DIR}/restinio/version.hpp" _restinio_version
         REGEX "^#define RESTINIO_VERSION_(MAJOR|MINOR|PATCH) [0-9]+ull")
    list(TRANSFORM _restinio_version REPLACE "^.* ([0-9]+)ull$" "\\1")
    list(JOIN _restinio_version "." RESTinio_VERSION)
endif()

set(_restinio_required RESTinio_INCLUDE_DIR)
if(RESTinio_VERSION VERSION_GREATER_EQUAL 0.7)
    find_package(restinio CONFIG QUIET)
    list(APPEND _restinio_required restinio_FOUND)
elseif(RESTinio_INCLUDE_DIR)
    include(CMakeFindDependencyMacro)
    find_dependency(Asio)
    find_dependency(HttpParser)
    find_dependency(fmt)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    RESTinio
    REQUIRED_VARS ${_restinio_required}
    VERSION_VAR RESTinio_VERSION
    REASON_FAILURE_MESSAGE "Debian: librestinio-dev"
)

if(RESTinio_FOUND AND NOT TARGET restinio::restinio)
    add_library(restinio::restinio INTERFACE IMPORTED)
    set_target_properties(
        restinio::restinio
        PROPERTIES
            INTERFACE_INCLUDE_DIRECTORIES "${RESTinio_INCLUDE_DIR}"
            INTERFACE_LINK_LIBRARIES "Asio::Asio;HttpParser::HttpParser;fmt::fmt"
    )
endif()
