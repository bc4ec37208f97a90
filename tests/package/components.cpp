#include <roundhouse/version.hpp>

#include <iostream>

int main() { std::cout << roundhouse::version_string << '\n'; }
