# Settings for work on the project itself.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

# Uses ccache if it is installed and no compiler launcher is set. Paths are hashed relative to the
# source folder, so that a new clone uses the results of an older one.
if(NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
    find_program(ROUNDHOUSE_CCACHE ccache)
    mark_as_advanced(ROUNDHOUSE_CCACHE)
    if(ROUNDHOUSE_CCACHE)
        set(CMAKE_CXX_COMPILER_LAUNCHER
            "${CMAKE_COMMAND};-E;env;CCACHE_BASEDIR=${PROJECT_SOURCE_DIR};CCACHE_NOHASHDIR=true"
            "CCACHE_SLOPPINESS=pch_defines,time_macros;${ROUNDHOUSE_CCACHE}"
        )
    endif()
endif()
