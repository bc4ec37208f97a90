#include "catch.hpp"
#include "temporary_folder.hpp"

#if defined(ROUNDHOUSE_EXAMPLES) && defined(ROUNDHOUSE_DEMO_ENGINE)

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

/// The exit code and the output of a program.
struct outcome {
    int code = -1;
    std::string output;
};

/// Runs an example in a folder.
outcome run_example_in(const roundhouse_tests::temporary_folder& folder, const std::string& name,
                       const std::string& arguments = "") {
    const auto command = "cd '" + folder.path().string() + "' && '" + ROUNDHOUSE_EXAMPLES + "/" +
                         name + "' " + arguments + " 2>&1";
    outcome out;
    if (FILE* const pipe = ::popen(command.c_str(), "r")) {
        for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe))
            out.output += static_cast<char>(c);
        out.code = ::pclose(pipe);
    }
    return out;
}

outcome run_example(const std::string& name, const std::string& arguments = "") {
    const roundhouse_tests::temporary_folder folder;
    return run_example_in(folder, name, arguments);
}

/// Runs the minimal example with a master key.
outcome run_minimal(const roundhouse_tests::temporary_folder& folder, const std::string& engine) {
    ::setenv("MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1);
    return run_example_in(folder, "embed_minimal", "'" + engine + "'");
}

bool holds(const outcome& ran, const std::string& text) {
    return ran.output.find(text) != std::string::npos;
}

} // namespace

TEST_CASE("the minimal example gives a user a real engine, and finds it again when it runs again") {
    const roundhouse_tests::temporary_folder folder;
    const auto first = run_minimal(folder, ROUNDHOUSE_DEMO_ENGINE);
    CAPTURE(first.output);
    CHECK(first.code == 0);
    CHECK(holds(first, "ada's engine answers at http://127.0.0.1:"));
    const auto second = run_minimal(folder, ROUNDHOUSE_DEMO_ENGINE);
    CAPTURE(second.output);
    CHECK(second.code == 0);
    CHECK(second.output == first.output);
}

TEST_CASE("the minimal example says what to do without a master key") {
    ::unsetenv("MASTER_KEY");
    const auto ran = run_example("embed_minimal", ROUNDHOUSE_DEMO_ENGINE);
    CAPTURE(ran.output);
    CHECK(ran.code != 0);
    CHECK(holds(ran, "master_key is empty"));
}

TEST_CASE("the minimal example reports an engine command that cannot be started") {
    const roundhouse_tests::temporary_folder folder;
    const auto ran = run_minimal(folder, "/nonexistent/engine");
    CAPTURE(ran.output);
    CHECK(ran.code != 0);
    CHECK(holds(ran, "/nonexistent/engine"));
}

TEST_CASE("the coroutine example serves three users") {
    const auto ran = run_example("embed_async");
    CAPTURE(ran.output);
    CHECK(ran.code == 0);
    for (const char* user : {"ada", "bob", "eve"})
        CHECK(holds(ran, std::string(user) + " is served by http"));
}

TEST_CASE("the custom backend example runs through an engine's whole life") {
    const auto ran = run_example("custom_backend");
    CAPTURE(ran.output);
    CHECK(ran.code == 0);
    CHECK(holds(ran, "its new key is another"));
}

TEST_CASE("the httplib example answers under its prefix") {
    const auto ran = run_example("mount_on_httplib");
    CAPTURE(ran.output);
    CHECK(ran.code == 0);
    CHECK(holds(ran, "\"status\":\"ok\""));
}

#endif
