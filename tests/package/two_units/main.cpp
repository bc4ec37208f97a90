#include <every_header.hpp>

#include <string_view>

std::string_view version_of_second_unit();

int main() { return version_of_second_unit() == roundhouse::version_string ? 0 : 1; }
