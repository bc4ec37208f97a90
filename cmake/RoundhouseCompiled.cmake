# Defines roundhouse::compiled: the bodies of the library, compiled once instead of in every file
# that includes its headers. Whatever links it is compiled with ROUNDHOUSE_SEPARATE_COMPILATION,
# which all files of a program must agree on.
#
# It holds the core and the components that are defined, is built by the project that uses it, with
# that project's compiler and flags, and only if something links it.

# The functions keep these policies, whatever the version that the user's project asks for.
cmake_policy(PUSH)
cmake_policy(VERSION 3.25)

# Adds what roundhouse::compiled lacks: may be called again once further components are defined.
function(roundhouse_add_compiled)
    if(NOT TARGET roundhouse_compiled)
        add_library(roundhouse_compiled STATIC EXCLUDE_FROM_ALL)
        add_library(roundhouse::compiled ALIAS roundhouse_compiled)
        target_link_libraries(roundhouse_compiled PUBLIC roundhouse::roundhouse)
        target_compile_definitions(roundhouse_compiled PUBLIC ROUNDHOUSE_SEPARATE_COMPILATION)
        # It may become a part of a shared library.
        set_target_properties(roundhouse_compiled PROPERTIES POSITION_INDEPENDENT_CODE ON)
        _roundhouse_compile(src)
    endif()
    # subprocess_fleet.hpp has no bodies to compile.
    foreach(component subprocess docker lmdb http)
        get_target_property(parts roundhouse_compiled ROUNDHOUSE_PARTS)
        if(TARGET roundhouse::${component} AND NOT component IN_LIST parts)
            set_property(TARGET roundhouse_compiled APPEND PROPERTY ROUNDHOUSE_PARTS ${component})
            target_link_libraries(roundhouse_compiled PRIVATE roundhouse::${component})
            _roundhouse_compile(src_${component})
        endif()
    endforeach()
endfunction()

# Compiles <roundhouse/NAME.hpp> into it.
function(_roundhouse_compile name)
    set(source "${CMAKE_CURRENT_BINARY_DIR}/roundhouse_${name}.cpp")
    file(CONFIGURE OUTPUT "${source}" CONTENT "#include <roundhouse/${name}.hpp>\n")
    target_sources(roundhouse_compiled PRIVATE "${source}")
endfunction()

cmake_policy(POP)
