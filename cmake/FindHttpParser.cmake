# Finds the nodejs http-parser library.
#
# Target:    HttpParser::HttpParser
# Variables: HttpParser_FOUND, HttpParser_VERSION, HttpParser_INCLUDE_DIR, HttpParser_LIBRARY

find_path(HttpParser_INCLUDE_DIR NAMES http_parser.h)
find_library(HttpParser_LIBRARY NAMES http_parser)
mark_as_advanced(HttpParser_INCLUDE_DIR HttpParser_LIBRARY)

if(HttpParser_INCLUDE_DIR)
    file(STRINGS "${HttpParser_INCLUDE_DIR}/http_parser.h" _http_parser_version
         REGEX "^#define HTTP_PARSER_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
    list(TRANSFORM _http_parser_version REPLACE "^.* ([0-9]+)$" "\\1")
    list(JOIN _http_parser_version "." HttpParser_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    HttpParser
    REQUIRED_VARS HttpParser_LIBRARY HttpParser_INCLUDE_DIR
    VERSION_VAR HttpParser_VERSION
    REASON_FAILURE_MESSAGE "Debian: libhttp-parser-dev"
)

if(HttpParser_FOUND AND NOT TARGET HttpParser::HttpParser)
    add_library(HttpParser::HttpParser UNKNOWN IMPORTED)
    set_target_properties(
        HttpParser::HttpParser
        PROPERTIES
            IMPORTED_LOCATION "${HttpParser_LIBRARY}"
            INTERFACE_INCLUDE_DIRECTORIES "${HttpParser_INCLUDE_DIR}"
    )
endif()
