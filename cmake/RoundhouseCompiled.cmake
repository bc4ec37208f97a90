# Defines roundhouse::compiled: the bodies of the library's core, compiled once instead of in every
# file that includes its headers. Whatever links it is compiled with ROUNDHOUSE_SEPARATE_COMPILATION,
# which all files of a program must agree on.
#
# It is built by the project that uses it, with that project's compiler and flags, and only if
# something links it.

function(roundhouse_add_compiled)
    add_library(roundhouse_compiled STATIC EXCLUDE_FROM_ALL "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/roundhouse_src.cpp")
    add_library(roundhouse::compiled ALIAS roundhouse_compiled)
    target_link_libraries(roundhouse_compiled PUBLIC roundhouse::roundhouse)
    target_compile_definitions(roundhouse_compiled PUBLIC ROUNDHOUSE_SEPARATE_COMPILATION)
endfunction()
