#include "../demo_engine_count.hpp"
#include "../process_variables.hpp"
#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/backend/memory.hpp>
#include <roundhouse/backend/subprocess.hpp>
#include <roundhouse/testing/backend_conformance.hpp>

#include <signal.h>

#include <stdexcept>
#include <string>

using namespace roundhouse;
using namespace roundhouse_tests;

TEST_CASE("the memory backend meets the requirements of the concept") {
    const bool needs_port = GENERATE(false, true);
    const auto requirement = GENERATE(from_range(testing::backend_conformance<memory_backend>()));
    DYNAMIC_SECTION(requirement.name << (needs_port ? ", with ports" : "")) {
        io_threads io;
        memory_backend_script script;
        script.needs_port = needs_port;
        script.latency = script.boot_delay = duration{1};
        memory_backend tested(script);
        requirement.run(
            {.tested = tested,
             .executor = io.executor(),
             .version = "v1",
             .free_port = free_port,
             .crash = [&](const workload_ref& ref) { tested.crash(ref.engine_id); },
             .set_paused = [&](const workload_ref& ref,
                               bool paused) { tested.set_paused(ref.engine_id, paused); },
             .environment = [&](const workload_ref& ref) { return tested.env_of(ref.engine_id); }});
        CHECK(tested.alive() == 0);
    }
}

TEST_CASE("a repeated create of the memory backend makes nothing") {
    io_threads io;
    memory_backend tested;
    const auto w = new_workload();
    REQUIRE(io.wait(tested.create(w)));
    REQUIRE(io.wait(tested.create(w)));
    CHECK(tested.created() == 1);
}

// ROUNDHOUSE_DEMO_ENGINE is defined only if the demo engine is built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_DEMO_ENGINE)

namespace {

/// Runs the demo engine as processes, and a case on them.
struct process_conformance : subprocess_fixture {
    process_conformance() { options.command = {ROUNDHOUSE_DEMO_ENGINE}; }

    void run(const testing::backend_case<subprocess_backend>& requirement) {
        auto& tested = backend();
        requirement.run({.tested = tested,
                         .executor = io->executor(),
                         .version = "v1",
                         .free_port = free_port,
                         .crash = [this](const workload_ref& ref) { kill(ref); },
                         .count =
                             [this](const workload_ref& ref, const std::string& key) {
                                 return count_of_demo_engine(*io, ref.port, key);
                             },
                         .environment =
                             [this](const workload_ref& ref) {
                                 workload asked;
                                 asked.ref = ref;
                                 return variables_of(pid_of(asked));
                             }});
        // The folders that hold copies stay, without a copy in them.
        for (const auto& left :
             std::filesystem::recursive_directory_iterator(store.path() / "engines")) {
            const auto name = left.path().filename();
            CHECK((name == ".copies" || name == ".new"));
        }
        const auto workloads = store.path() / "workloads"; // made by the first operation
        CHECK((!std::filesystem::exists(workloads) || std::filesystem::is_empty(workloads)));
    }

private:
    void kill(const workload_ref& ref) const {
        workload killed;
        killed.ref = ref;
        if (::kill(pid_of(killed), SIGKILL) != 0) throw std::runtime_error{"no process to kill"};
    }
};

} // namespace

TEST_CASE_METHOD(process_conformance,
                 "the subprocess backend meets the requirements of the concept") {
    const auto requirement = GENERATE(
        from_range(testing::backend_conformance<subprocess_backend>()));
    DYNAMIC_SECTION(requirement.name) { run(requirement); }
}

TEST_CASE_METHOD(process_conformance,
                 "the subprocess backend keeps the data and the keys of its engines") {
    const auto requirement = GENERATE(
        from_range(testing::backend_data_conformance<subprocess_backend>()));
    DYNAMIC_SECTION(requirement.name) { run(requirement); }
}

#endif
