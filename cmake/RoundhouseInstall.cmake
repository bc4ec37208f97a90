# Installs the headers and a CMake package:
# find_package(roundhouse [COMPONENTS subprocess docker lmdb fleet http compiled]).
#
# Each target is exported separately, so that a component with a missing dependency does not make
# the others unusable.

include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/roundhouse")

foreach(component roundhouse ${ROUNDHOUSE_COMPONENTS})
    set(target roundhouse_${component})
    if(component STREQUAL "roundhouse")
        set(target roundhouse)
    endif()
    install(
        TARGETS ${target}
        EXPORT roundhouse-${component}
        COMPONENT sdk
        FILE_SET HEADERS
        COMPONENT sdk
    )
    install(
        EXPORT roundhouse-${component}
        NAMESPACE roundhouse::
        DESTINATION "${package_dir}"
        COMPONENT sdk
    )
endforeach()

configure_package_config_file(
    "${CMAKE_CURRENT_LIST_DIR}/roundhouseConfig.cmake.in" "${PROJECT_BINARY_DIR}/roundhouseConfig.cmake"
    INSTALL_DESTINATION "${package_dir}"
    NO_SET_AND_CHECK_MACRO
)
# Until 1.0 a minor version may break what the previous one had.
write_basic_package_version_file(
    "${PROJECT_BINARY_DIR}/roundhouseConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion
    ARCH_INDEPENDENT
)
install(
    FILES "${PROJECT_BINARY_DIR}/roundhouseConfig.cmake" "${PROJECT_BINARY_DIR}/roundhouseConfigVersion.cmake"
          "${CMAKE_CURRENT_LIST_DIR}/FindAsio.cmake" "${CMAKE_CURRENT_LIST_DIR}/FindHttpParser.cmake"
          "${CMAKE_CURRENT_LIST_DIR}/FindLMDB.cmake" "${CMAKE_CURRENT_LIST_DIR}/Findhttplib.cmake"
          "${CMAKE_CURRENT_LIST_DIR}/FindRoundhouseExpected.cmake"
          "${CMAKE_CURRENT_LIST_DIR}/RoundhouseCompiled.cmake"
    DESTINATION "${package_dir}"
    COMPONENT sdk
)
