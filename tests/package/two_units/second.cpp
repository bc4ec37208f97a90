#include <every_header.hpp>

#include <string_view>

std::string_view version_of_second_unit();

std::string_view version_of_second_unit() { return roundhouse::version_string; }
