# Defines the library's targets. Each header belongs to the target that links its dependencies:
#
#   roundhouse::roundhouse   headers that need only Asio and libcrypto
#   roundhouse::subprocess   engines as child processes
#   roundhouse::docker       engines as containers
#   roundhouse::lmdb         the store on disk
#   roundhouse::fleet        one call that opens a fleet of child processes, kept on disk
#   roundhouse::http         the HTTP API and its adapters
#   roundhouse::compiled     the bodies of these, compiled once (RoundhouseCompiled.cmake)
#
# All but the first are defined only if their headers exist and their dependencies are found.
#
# Sets ROUNDHOUSE_COMPONENTS to the names, without the namespace, of the targets that were defined
# in addition to the first; and on each target the property ROUNDHOUSE_HEADERS to the full paths of
# its headers.

set(roundhouse_include_dir "${PROJECT_SOURCE_DIR}/include")
file(
    GLOB_RECURSE roundhouse_headers
    CONFIGURE_DEPENDS
    RELATIVE "${roundhouse_include_dir}"
    "${roundhouse_include_dir}/roundhouse/*.hpp"
    "${roundhouse_include_dir}/roundhouse/*.ipp"
)

# roundhouse_target(<name> HEADERS <header>... LINK <target>...)
function(roundhouse_target name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "HEADERS;LINK")
    if(name STREQUAL "roundhouse")
        set(target roundhouse)
    else()
        set(target roundhouse_${name})
    endif()
    add_library(${target} INTERFACE)
    add_library(roundhouse::${name} ALIAS ${target})
    target_sources(
        ${target}
        INTERFACE FILE_SET HEADERS
                  BASE_DIRS "${roundhouse_include_dir}"
                  FILES ${arg_HEADERS}
    )
    target_compile_features(${target} INTERFACE cxx_std_20)
    target_link_libraries(${target} INTERFACE ${arg_LINK})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} ROUNDHOUSE_HEADERS "${arg_HEADERS}")
endfunction()

# roundhouse_component(<name> HEADERS <regex> LINK <target>...)
#
# Moves the headers that match from ${roundhouse_headers} into a target that links
# roundhouse::roundhouse and the <target>s.
macro(roundhouse_component name)
    cmake_parse_arguments(component "" "HEADERS" "LINK" ${ARGN})
    set(component_headers ${roundhouse_headers})
    list(FILTER component_headers INCLUDE REGEX "^roundhouse/(${component_HEADERS})")
    list(REMOVE_ITEM roundhouse_headers ${component_headers})
    set(component_missing ${component_LINK})
    foreach(dependency IN LISTS component_LINK)
        if(TARGET ${dependency})
            list(REMOVE_ITEM component_missing ${dependency})
        endif()
    endforeach()
    list(TRANSFORM component_headers PREPEND "${roundhouse_include_dir}/")
    if(component_headers AND component_missing)
        list(JOIN component_missing ", " component_missing)
        message(STATUS "roundhouse::${name}: left out, ${component_missing} not found")
    elseif(component_headers)
        roundhouse_target(${name} HEADERS ${component_headers} LINK roundhouse ${component_LINK})
        list(APPEND ROUNDHOUSE_COMPONENTS ${name})
    endif()
endmacro()

find_package(Asio REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(RoundhouseExpected REQUIRED)
find_package(simdjson CONFIG QUIET)
find_package(HttpParser QUIET)
find_package(httplib QUIET)
find_package(LMDB QUIET)

set(ROUNDHOUSE_COMPONENTS)
roundhouse_component(
    subprocess
    HEADERS "backend/subprocess|detail/http_client|detail/engine_calls|src_subprocess"
    LINK HttpParser::HttpParser simdjson::simdjson
)
# The HTTP client that both use is part of roundhouse::subprocess.
roundhouse_component(
    docker
    HEADERS "backend/docker|src_docker"
    LINK roundhouse_subprocess OpenSSL::SSL
)
roundhouse_component(lmdb HEADERS "store/lmdb|src_lmdb" LINK LMDB::LMDB)
roundhouse_component(fleet HEADERS "subprocess_fleet" LINK roundhouse_subprocess roundhouse_lmdb)
roundhouse_component(
    http
    HEADERS "http/|src_http"
    LINK simdjson::simdjson httplib::httplib
)
list(TRANSFORM roundhouse_headers PREPEND "${roundhouse_include_dir}/")
roundhouse_target(
    roundhouse
    HEADERS ${roundhouse_headers}
    LINK Asio::Asio Threads::Threads OpenSSL::Crypto $<TARGET_NAME_IF_EXISTS:tl::expected>
)

include(RoundhouseCompiled)
roundhouse_add_compiled()
