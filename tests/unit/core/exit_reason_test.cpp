#include "catch.hpp"

#include <roundhouse/core/lifecycle.hpp>

using namespace roundhouse;

TEST_CASE("a crash is told by why the backend ended the workload, else by how it ended") {
    workload_exit exit;
    exit.signal = 9;
    CHECK(core::detail::describe(exit) == "it was ended by signal 9.");
    exit.reason = "it listened on port 9005, which is not its own.";
    CHECK(core::detail::describe(exit) == "it listened on port 9005, which is not its own.");
}
