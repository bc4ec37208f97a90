#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/child.hpp>
#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/engine_cgroups.hpp>
#include <roundhouse/backend/subprocess/launch.hpp>
#include <roundhouse/backend/subprocess/passed_listener.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace sub = roundhouse::detail::subprocess;

namespace {

/// The files that a launch hands to its child.
enum file : std::size_t { input, output, listener, lock, report, ruleset };
constexpr std::size_t files = 6;

/// Names a file; 0 if a descriptor is closed.
ino_t inode_of(int number) noexcept {
    struct stat status {};
    return ::fstat(number, &status) == 0 ? status.st_ino : 0;
}

/// In a child: has the files where they have the numbers from `first` on, in turn, and arranges them.
/// Which check fails, or 0.
int failed_check(const std::array<int, files>& opened, std::size_t first, bool passes) noexcept {
    constexpr int clear = 20;
    std::array<ino_t, files> inodes{};
    std::array<int, files> copies{};
    std::array<int, files> numbers{};
    for (std::size_t each = 0; each < files; ++each) {
        inodes[each] = inode_of(opened[each]);
        copies[each] = ::fcntl(opened[each], F_DUPFD_CLOEXEC, clear);
    }
    for (std::size_t each = 0; each < files; ++each) {
        numbers[each] = static_cast<int>((first + each) % (files + 1));
        if (::dup3(copies[each], numbers[each], O_CLOEXEC) < 0) return 1;
    }
    sub::child_isolation isolation;
    isolation.ruleset = numbers[ruleset];
    const sub::child_plan plan{.program = nullptr,
                               .arguments = nullptr,
                               .environment = nullptr,
                               .folder = -1,
                               .identity = nullptr,
                               .identity_draft = nullptr,
                               .identity_head = {},
                               .input = numbers[input],
                               .output = numbers[output],
                               .listener = passes ? numbers[listener] : -1,
                               .lock = numbers[lock],
                               .report = numbers[report],
                               .isolation = isolation};
    int report_to = plan.report;
    if (!sub::arrange_descriptors(plan, report_to, isolation)) return 2;
    const auto is = [&](int number, file each) { return inode_of(number) == inodes[each]; };
    if (!is(0, input) || !is(1, output) || !is(2, output)) return 3;
    if (passes && !is(sub::listener_number, listener)) return 4;
    if (!is(report_to, report)) return 5;
    if (!is(isolation.ruleset, ruleset)) return 6;
    const int inherited = passes ? sub::listener_number + 1 : 3;
    bool is_locked = false;
    for (int number = 0; number < 2 * clear; ++number) {
        const int flags = ::fcntl(number, F_GETFD);
        is_locked = is_locked || is(number, lock);
        if ((flags >= 0 && (flags & FD_CLOEXEC) == 0) != (number < inherited)) return 7;
    }
    return is_locked ? 0 : 8;
}

} // namespace

TEST_CASE("an engine's descriptors have their numbers, whatever numbers they had in the server") {
    std::array<sub::descriptor, files> owners;
    std::array<int, files> opened{};
    for (std::size_t each = 0; each < files; ++each) {
        owners[each] = sub::descriptor{::memfd_create("launch", MFD_CLOEXEC)};
        REQUIRE(owners[each]);
        opened[each] = owners[each].get();
    }
    // Each file has once the number that another is to get: so has the report's pipe that of the
    // socket which is passed.
    for (const bool passes : {false, true})
        for (std::size_t first = 0; first <= files; ++first) {
            CAPTURE(passes, first);
            const auto check = [&]() noexcept { return failed_check(opened, first, passes); };
            CHECK(sub::run_in_child(check) == 0);
        }
}

TEST_CASE(
    "a child that cannot be started in its control group tries to enter it, and is told why not") {
    const roundhouse_tests::temporary_folder folder; // no control group
    sub::cgroup_entrances groups;
    groups.folder = sub::descriptor{
        ::open(folder.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    REQUIRE(groups.folder);
    CHECK(sub::start_child_in(groups.folder.get(), []() noexcept { return 0; }) < 0);
    const auto told = [&groups] {
        const auto pid = sub::start_child_in(
            groups, [](bool entered) noexcept { return entered ? 0 : errno; });
        REQUIRE(pid > 0);
        return sub::wait_for_child(pid).si_status;
    };
    groups.file = sub::descriptor{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    CHECK(told() == 0);
    groups.file = sub::descriptor{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
    CHECK(told() == ENOSPC);
    groups.file = {};
    groups.others[1] = sub::descriptor{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
    CHECK(told() == ENOSPC);
}
