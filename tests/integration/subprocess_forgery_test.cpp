// Identity files that name processes of others, as a restored backup, a copied store or a reused pid
// can make them.

#include "../number_from_environment.hpp"
#include "../subprocess_fixture.hpp"
#include "catch.hpp"
#include "stranger.hpp"

#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <list>
#include <random>

using namespace roundhouse_tests;

namespace {

/// Makes identity files that name no process of their engine, and the processes that they name.
class forger {
public:
    /// `engine` is that of an engine which runs, and is another's.
    explicit forger(sub::process_identity engine) : engine_{std::move(engine)} {}

    /// The identity file of an engine.
    [[nodiscard]] std::string next(const rh::uuid& engine) {
        auto identity = leader_.identity();
        switch (pick(10)) {
        case 0: identity.start_time += 1 + pick(1'000); break;
        case 1: identity.start_time -= 1 + pick(identity.start_time); break;
        case 2: identity.boot_id.front() = identity.boot_id.front() == '0' ? '1' : '0'; break;
        case 3:
            identity.engine_id = engine;
            return identity_text(identity).substr(0, pick(identity_text(identity).size()));
        case 4: identity = member_.identity(); break;
        case 5: identity = identity_naming(::getpid()); break;
        case 6: identity = identity_naming(::getppid()); break;
        case 7: identity = recycled(); break;
        case 8: identity.pid = 1; break;
        default: return identity_text(engine_);
        }
        identity.engine_id = engine;
        const uid_t uids[] = {0, identity.uid, engine_.uid, 65534};
        identity.uid = uids[pick(std::size(uids))];
        return identity_text(identity);
    }

    [[nodiscard]] bool unharmed() const {
        return leader_.unharmed() && member_.unharmed() && runs(engine_.pid) &&
               std::ranges::all_of(later_, [](const stranger& each) { return each.unharmed(); });
    }

    /// Whether a pid was reused, unless this user may not choose pids.
    [[nodiscard]] bool reused() const { return reused_ || !may_choose_pids_; }

    [[nodiscard]] std::size_t pick(std::size_t below) { return random_() % below; }

private:
    static constexpr std::size_t most_recycled = 20;

    /// Names a process that has ended, and whose pid a stranger has where this user may choose pids.
    sub::process_identity recycled() {
        const auto gone = [] { return stranger().identity(); }();
        for (int tries = 0; tries < 5; ++tries) {
            std::ofstream last("/proc/sys/kernel/ns_last_pid");
            may_choose_pids_ = bool(last << gone.pid - 1 << std::flush);
            last.close();
            later_.emplace_back();
            const auto made = later_.back().identity();
            if (made.pid == gone.pid && made.start_time != gone.start_time) {
                reused_ = true;
                break;
            }
            later_.pop_back(); // somebody was faster, or it is the same hundredth of a second
        }
        if (later_.size() > most_recycled && later_.front().unharmed()) later_.pop_front();
        return gone;
    }

    const sub::process_identity engine_;
    const stranger leader_;
    const stranger member_{0}; // of the session of this process
    std::list<stranger> later_;
    std::mt19937_64 random_{20261127};
    bool reused_ = false;
    bool may_choose_pids_ = false;
};

} // namespace

TEST_CASE_METHOD(subprocess_fixture,
                 "no process of somebody else gets a signal for a forged or recycled identity") {
    constexpr std::uint64_t at_once = 50;
    const auto rounds = number_from_environment("ROUNDHOUSE_FORGED_IDENTITIES", 200);
    const auto bystander = create_new();
    forger forged(
        sub::read_identity(workload_folder(bystander) / sub::identity_name).value().value());
    for (std::uint64_t done = 0; done < rounds; done += at_once) {
        std::vector<rh::workload> batch;
        for (std::uint64_t n = 0; n < at_once; ++n) {
            batch.push_back(new_workload());
            const auto folder = workload_folder(batch.back());
            std::filesystem::create_directories(folder);
            std::ofstream{folder / sub::identity_name} << forged.next(batch.back().ref.engine_id);
        }
        if (forged.pick(2) == 0) reopen();
        const auto all = wait(backend().list());
        REQUIRE(all);
        for (const auto& each : *all)
            CHECK((each.state == rh::workload_state::up) ==
                  (each.ref.engine_id == bystander.ref.engine_id));
        for (const auto& w : batch) {
            const auto way = forged.pick(4);
            if (way == 0) CHECK(stop(w));
            if (way == 1) CHECK_FALSE(wait(backend().pause(w.ref)));
            CHECK(wait(backend().destroy(w.ref)));
        }
        REQUIRE(forged.unharmed());
    }
    const auto next = new_workload();
    write_identity(workload_folder(next), stranger().identity()); // has ended
    CHECK(create(next_generation(next)));
    CHECK(forged.unharmed());
    CHECK(forged.reused());
}
