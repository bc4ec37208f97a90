# The warnings for the project's own programs. Users of the library choose their own.

add_library(roundhouse_warnings INTERFACE)
target_compile_options(
    roundhouse_warnings
    INTERFACE -Wall
              -Wextra
              -Wpedantic
              -Wshadow
              -Wconversion
              $<$<BOOL:${ROUNDHOUSE_WERROR}>:-Werror>
)
