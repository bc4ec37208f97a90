# Finds the LMDB library.
#
# Target:    LMDB::LMDB
# Variables: LMDB_FOUND, LMDB_VERSION, LMDB_INCLUDE_DIR, LMDB_LIBRARY

find_path(LMDB_INCLUDE_DIR NAMES lmdb.h)
find_library(LMDB_LIBRARY NAMES lmdb)
mark_as_advanced(LMDB_INCLUDE_DIR LMDB_LIBRARY)

if(LMDB_INCLUDE_DIR)
    file(STRINGS "${LMDB_INCLUDE_DIR}/lmdb.h" _lmdb_version REGEX "^#define MDB_VERSION_(MAJOR|MINOR|PATCH)[ \t]+[0-9]+")
    list(TRANSFORM _lmdb_version REPLACE "^.*[ \t]([0-9]+)$" "\\1")
    list(JOIN _lmdb_version "." LMDB_VERSION)
endif()

include(CMakeFindDependencyMacro)
find_dependency(Threads)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    LMDB
    REQUIRED_VARS LMDB_LIBRARY LMDB_INCLUDE_DIR
    VERSION_VAR LMDB_VERSION
    REASON_FAILURE_MESSAGE "Debian: liblmdb-dev"
)

if(LMDB_FOUND AND NOT TARGET LMDB::LMDB)
    add_library(LMDB::LMDB UNKNOWN IMPORTED)
    set_target_properties(
        LMDB::LMDB
        PROPERTIES
            IMPORTED_LOCATION "${LMDB_LIBRARY}"
            INTERFACE_INCLUDE_DIRECTORIES "${LMDB_INCLUDE_DIR}"
            INTERFACE_LINK_LIBRARIES Threads::Threads
    )
endif()
