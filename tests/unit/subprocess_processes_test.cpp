#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/backend/subprocess/second_ports.hpp>
#include <roundhouse/backend/subprocess/uids.hpp>

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
namespace sub = rh::detail::subprocess;

namespace {

void write(const std::string& file, const std::string& text) { std::ofstream{file} << text; }

sub::process_entry process(pid_t pid, pid_t session, std::optional<rh::uuid> engine,
                           char state = 'S') {
    return {.pid = pid,
            .stat = {.state = state,
                     .parent = 1,
                     .group = session,
                     .session = session,
                     .start_time = 1},
            .engine = engine};
}

std::vector<pid_t> pids_of(const sub::process_table& table) {
    std::vector<pid_t> pids;
    for (const auto& each : table) pids.push_back(each.pid);
    return pids;
}

} // namespace

TEST_CASE("a pid that is a thread's now names no process") {
    std::promise<pid_t> told;
    std::promise<void> looked;
    std::jthread other{[&] {
        told.set_value(static_cast<pid_t>(::syscall(SYS_gettid)));
        looked.get_future().wait();
    }};
    const pid_t thread = told.get_future().get();
    const auto stat = sub::read_process_stat(thread); // a thread has one too
    const auto found = sub::find_process(thread, stat ? stat->start_time : 0);
    looked.set_value();
    REQUIRE(stat);
    REQUIRE(found);
    CHECK_FALSE(*found);
}

TEST_CASE("the processes of an engine are those of its user, and what its processes start") {
    const auto id = fresh_id();
    const auto started_by = [](sub::process_entry child, pid_t parent, std::uint64_t at) {
        child.stat.parent = parent;
        child.stat.start_time = at;
        return child;
    };
    auto of_user = process(20, 20, {});
    of_user.uid = 500;
    auto of_other = process(21, 21, {});
    of_other.uid = 501;
    const sub::process_table table{started_by(process(13, 13, {}), 12, 3),
                                   started_by(process(12, 12, {}), 10, 2), process(10, 10, {}),
                                   of_user, of_other, process(30, 30, {}),
                                   // Its parent's pid is that of an earlier process.
                                   started_by(process(14, 14, {}), 12, 1)};
    const auto members = sub::members_of(table,
                                         {.engine = id, .session = 10, .held = true, .uid = 500});
    CHECK(pids_of(members) == std::vector<pid_t>{10, 20, 12, 13});
    CHECK(
        pids_of(sub::members_of(table, {.engine = id, .session = 0, .held = false, .uid = 501})) ==
        std::vector<pid_t>{21});
}

TEST_CASE("the user of a process is the real one of its status") {
    CHECK(sub::uid_in("Name:\tsh\nUid:\t1879048192\t0\t0\t0\nGid:\t1\n") == 1'879'048'192);
    CHECK_FALSE(sub::uid_in("Name:\tUid:\t7\n"));
    CHECK_FALSE(sub::uid_in(""));
}

TEST_CASE("users that somebody has are not the engines'") {
    const temporary_folder folder;
    const auto file = (folder.path() / "file").string();
    constexpr rh::uid_range range{.low = 1000, .high = 1999};
    const auto has_account = [&](const std::string& text) {
        write(file, text);
        return sub::has_account_in(file, range);
    };
    CHECK(has_account("root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n"));
    CHECK(has_account("ada:x:1999:7::/:/bin/sh"));
    CHECK_FALSE(has_account("ada:x:999:1500::/:/bin/sh\n+::::::\n:::\nada:x:4294968296:1::/:/\n"));
    const auto has_subordinate = [&](const std::string& text) {
        write(file, text);
        return sub::has_subordinate_in(file, range);
    };
    CHECK(has_subordinate("ada:500:501\n"));
    CHECK(has_subordinate("ada:1999:65536\n"));
    CHECK_FALSE(has_subordinate("ada:500:500\nbob:2000:65536\ncarl:1500:0\nbroken\n"));
    const auto is_mapped = [&](const std::string& text) {
        write(file, text);
        return sub::is_mapped(file, range);
    };
    CHECK(is_mapped("         0          0 4294967295\n"));
    CHECK(is_mapped("0 1000 1\n1 100000 65536\n2000 5 5\n"));
    CHECK_FALSE(is_mapped("0 0 1500\n1500 7000 1000\n"));
}

TEST_CASE("each engine gets a user that no other has") {
    sub::uid_pool pool{{.low = 10, .high = 14}}; // the last is for what ends them
    pool.mark(11);
    std::vector<uid_t> taken;
    for (int i = 0; i < 3; ++i) taken.push_back(pool.take().value());
    std::ranges::sort(taken);
    CHECK(taken == std::vector<uid_t>{10, 12, 13});
    CHECK_THAT(pool.take().error().message, Contains("10-14"));
    pool.give_back(12);
    CHECK(pool.take().value() == 12);
}

TEST_CASE("the processes of an engine are those of its session, and those with its id") {
    const auto id = fresh_id();
    const sub::process_table table{process(10, 10, id),         process(11, 10, {}),
                                   process(12, 12, id),         process(13, 13, {}),
                                   process(14, 14, fresh_id()), process(15, 10, {}, 'Z'),
                                   process(::getpid(), 10, id)};
    CHECK(pids_of(sub::members_of(table, {.engine = id, .session = 10, .held = true})) ==
          std::vector<pid_t>{10, 11, 12});
    // A member with the id proves that the session is the engine's.
    CHECK(pids_of(sub::members_of(table, {.engine = id, .session = 10, .held = false})) ==
          std::vector<pid_t>{10, 11, 12});
    // Without that, and without the leader, the number may have been reused.
    const sub::process_table strangers{process(11, 10, {}), process(12, 12, id)};
    CHECK(pids_of(sub::members_of(strangers, {.engine = id, .session = 10, .held = false})) ==
          std::vector<pid_t>{12});
    CHECK(pids_of(sub::members_of(strangers, {.engine = id, .session = 10, .held = true})) ==
          std::vector<pid_t>{11, 12});
    CHECK(pids_of(sub::members_of(strangers, {.engine = id, .session = 0, .held = false})) ==
          std::vector<pid_t>{12});
    // A process that exits or calls exec has no environment.
    const sub::process_table known{process(13, 13, id), process(16, 16, id)};
    CHECK(pids_of(sub::members_of(table, {.engine = id, .session = 0, .held = false}, known)) ==
          std::vector<pid_t>{10, 12, 13});
    auto reused = known;
    reused[0].stat.start_time = 2;
    CHECK(pids_of(sub::members_of(strangers, {.engine = id, .session = 0, .held = false},
                                  reused)) == std::vector<pid_t>{12});
    const sub::process_table ended{process(13, 13, {}, 'Z')};
    CHECK(sub::members_of(ended, {.engine = id, .session = 0, .held = false}, known).empty());
}

TEST_CASE("an engine answers for what its session started, whatever a process says of itself") {
    const auto id = fresh_id();
    auto left = process(12, 12, {});
    left.stat.parent = 11;
    left.stat.start_time = 2;
    const auto stranger = process(20, 20, id); // with the engine's id in its environment
    auto later = process(21, 21, {});          // its parent's pid is that of an earlier process
    later.stat.parent = 11;
    later.stat.start_time = 0;
    const sub::process_table table{process(10, 10, id), process(11, 10, {}), left, stranger, later};
    const std::vector<sub::engine_session> engines{{.engine = id, .leader = 10, .port = 9001}};
    const sub::engine_sessions sessions(table, engines);
    CHECK(sessions.engine_of(table[1]) == engines.data());
    CHECK(sessions.engine_of(left) == engines.data());
    CHECK(sessions.engine_of(stranger) == nullptr);
    CHECK(sessions.engine_of(later) == nullptr);
}
