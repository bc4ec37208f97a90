# Finds the standalone (not Boost) Asio headers.
#
# Target:    Asio::Asio
# Variables: Asio_FOUND, Asio_VERSION, Asio_INCLUDE_DIR
#
# With Clang and libstdc++, older Asio has asio::awaitable only if macros say that the compiler has
# coroutines. This is found by compiling, not from the version: distributions patch the header.

find_path(Asio_INCLUDE_DIR NAMES asio/awaitable.hpp)
mark_as_advanced(Asio_INCLUDE_DIR)

if(Asio_INCLUDE_DIR AND EXISTS "${Asio_INCLUDE_DIR}/asio/version.hpp")
    # ASIO_VERSION % 100 is the sub-minor version, / 100 % 1000 the minor and / 100000 the major.
    file(STRINGS "${Asio_INCLUDE_DIR}/asio/version.hpp" _asio_version REGEX "^#define ASIO_VERSION [0-9]+")
    string(REGEX MATCH "[0-9]+" _asio_version "${_asio_version}")
    if(_asio_version)
        math(EXPR _asio_major "${_asio_version} / 100000")
        math(EXPR _asio_minor "${_asio_version} / 100 % 1000")
        math(EXPR _asio_patch "${_asio_version} % 100")
        set(Asio_VERSION "${_asio_major}.${_asio_minor}.${_asio_patch}")
    endif()
endif()

# Sets the cache variable <variable>: whether asio::awaitable exists with the given definitions.
function(_asio_try_coroutines variable)
    include(CheckCXXSourceCompiles)
    if(NOT CMAKE_CXX_STANDARD OR CMAKE_CXX_STANDARD LESS 20)
        set(CMAKE_CXX_STANDARD 20)
    endif()
    set(CMAKE_CXX_STANDARD_REQUIRED ON)
    set(CMAKE_REQUIRED_QUIET ON)
    set(CMAKE_REQUIRED_INCLUDES "${Asio_INCLUDE_DIR}")
    set(CMAKE_REQUIRED_DEFINITIONS -DASIO_STANDALONE ${ARGN})
    # Compiling is enough: nothing depends on the linker.
    set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
    check_cxx_source_compiles("
        #include <asio/awaitable.hpp>
        asio::awaitable<int> one() { co_return 1; }" ${variable})
endfunction()

set(_asio_definitions ASIO_STANDALONE)
set(_asio_coroutines FALSE)
if(Asio_INCLUDE_DIR)
    _asio_try_coroutines(Asio_HAS_COROUTINES)
    if(Asio_HAS_COROUTINES)
        set(_asio_coroutines TRUE)
    else()
        _asio_try_coroutines(Asio_HAS_COROUTINES_IF_TOLD -DASIO_HAS_CO_AWAIT -DASIO_HAS_STD_COROUTINE)
        if(Asio_HAS_COROUTINES_IF_TOLD)
            set(_asio_coroutines TRUE)
            list(APPEND _asio_definitions ASIO_HAS_CO_AWAIT ASIO_HAS_STD_COROUTINE)
        endif()
    endif()
endif()

# Clang keeps the address of a __thread variable across a co_await, after which a coroutine may run
# on another thread. Asio's allocator then returns memory of another thread (seen with Clang 16 at
# -O1, found by the thread sanitizer). With this macro Asio calls pthread_getspecific each time.
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    list(APPEND _asio_definitions ASIO_DISABLE_THREAD_KEYWORD_EXTENSION)
endif()

# Asio allocates with std::aligned_alloc if a header of the standard library was included before it,
# and with operator new if not: a program mixes both if its sources differ in that (found by the
# address sanitizer). With this macro they do not.
list(APPEND _asio_definitions ASIO_HAS_STD_ALIGNED_ALLOC)

include(CMakeFindDependencyMacro)
find_dependency(Threads)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    Asio
    REQUIRED_VARS Asio_INCLUDE_DIR _asio_coroutines
    VERSION_VAR Asio_VERSION
    REASON_FAILURE_MESSAGE
        "Roundhouse needs the standalone Asio headers (Debian: libasio-dev) with C++20 coroutines in this compiler."
)

if(Asio_FOUND AND NOT TARGET Asio::Asio)
    add_library(Asio::Asio INTERFACE IMPORTED)
    set_target_properties(
        Asio::Asio
        PROPERTIES
            INTERFACE_INCLUDE_DIRECTORIES "${Asio_INCLUDE_DIR}"
            INTERFACE_COMPILE_DEFINITIONS "${_asio_definitions}"
            INTERFACE_LINK_LIBRARIES Threads::Threads
    )
endif()
