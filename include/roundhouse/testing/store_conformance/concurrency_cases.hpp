#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <latch>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

/// Cases with several threads: a commit is seen whole, by every read that begins after it has
/// returned; and of commits that exclude each other exactly one succeeds.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::concurrency_cases {

using namespace samples;

/// Runs each piece of work on its own thread, and starts all of them together. Rethrows the first
/// exception.
inline void run_together(const std::vector<std::function<void()>>& work) {
    std::latch start(static_cast<std::ptrdiff_t>(work.size()));
    std::mutex mutex;
    std::exception_ptr failure;
    std::vector<std::thread> threads;
    threads.reserve(work.size());
    for (const auto& piece : work)
        threads.emplace_back([&] {
            start.arrive_and_wait();
            try {
                piece();
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (!failure) failure = std::current_exception();
            }
        });
    for (auto& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
}

/// Runs a writer, and repeats the reads on other threads until it has ended.
inline void read_while(const std::function<void()>& write,
                       const std::vector<std::function<void()>>& reads) {
    std::atomic<bool> ended{false};
    struct end_at_exit {
        std::atomic<bool>& flag;
        ~end_at_exit() { flag = true; }
    };
    std::vector<std::function<void()>> work{[&] {
        const end_at_exit end{ended};
        write();
    }};
    for (const auto& read : reads)
        work.emplace_back([&] {
            do read();
            while (!ended);
        });
    run_together(work);
}

inline constexpr std::uint32_t commits = 100; ///< Of each writer.

template <store Store> void readers_see_what_has_returned(Store& store) {
    std::atomic<std::uint32_t> inserted{0};
    const auto write = [&] {
        for (std::uint32_t n = 1; n <= commits; ++n) {
            must(store.commit(insert(nth_engine(n))));
            inserted = n;
        }
    };
    // Each read begins after the one before it has ended, so it must not see an older state.
    const auto read = [&] {
        const std::uint32_t first = inserted;
        const auto counted = must(store.counts(demo));
        require(counted.total() >= first, "a commit that has returned is counted");
        require(counted.total() == counted.total_provisions, "the counters are of one state");
        const auto last = static_cast<std::uint32_t>(counted.total());
        if (last == 0) return;
        const auto newest = must_have(store.find_engine(demo, "user" + std::to_string(last)));
        require(newest.id == numbered(last), "a counted engine is found");
        const auto page = must(store.list_engines({demo, {}, last - 1, 1}));
        require(page.total >= last && page.engines.size() == 1, "a counted engine is listed");
        require_same(*page.engines[0], newest, "the engine is listed in its place");
    };
    read_while(write, {read, read});
}

/// Changes two engines alike, in one batch.
template <store Store> void move_pair(Store& store, engine_status status) {
    change_set set;
    for (const auto* user : {"ada", "bob"}) {
        auto record = must_have(store.find_engine(demo, user));
        record.status = status;
        ++record.generation;
        set.changes.emplace_back(update_engine{record, {}});
    }
    set.audit = {row(demo, 1), row(demo, 2)};
    must(store.commit(set));
}

template <store Store> void require_pair_alike(const Store& store) {
    std::vector<result<engine_ptr>> visited;
    must(store.for_each_engine([&](const auto& engine) { visited.push_back(engine); }));
    require(visited.size() == 2, "both engines are visited");
    const auto ada = must_have(visited[0]);
    const auto bob = must_have(visited[1]);
    require(ada.generation == bob.generation && ada.status == bob.status,
            "a visit sees a batch whole");
    for (const auto status : all_engine_statuses) {
        const auto page = must(store.list_engines(every_engine(demo, status)));
        require(page.engines.size() == page.total, "a page is of one state");
        require(page.total == 0 || page.total == 2, "a listing sees a batch whole");
    }
    const auto counted = must(store.counts(demo));
    require(counted.of(engine_status::running) % 2 == 0 && counted.total() == 2,
            "counters see a batch whole");
    const auto added = must(store.audit(every_row(demo))).entries.size();
    require(added % 2 == 0, "the audit log sees a batch whole");
}

template <store Store> void readers_see_whole_batches(Store& store) {
    must(store.commit(insert(engine(1, "ada"))));
    must(store.commit(insert(engine(2, "bob"))));
    const auto write = [&] {
        for (std::uint32_t n = 0; n < commits; ++n)
            move_pair(store, n % 2 == 0 ? engine_status::running : engine_status::stopped);
    };
    const auto read = [&] { require_pair_alike(store); };
    read_while(write, {read, read});
}

template <store Store> void one_of_two_updates_wins(Store& store) {
    auto record = *must(store.commit(insert(engine(1, "ada")))).engines.at(0);
    for (std::uint32_t n = 0; n < commits; ++n) {
        std::atomic<int> won{0};
        const auto race = [&](std::uint32_t retries) {
            auto changed = record;
            changed.retries = retries;
            const auto done = store.commit(update(changed));
            if (done) ++won;
            else require_refused(done, errc::revision_conflict);
        };
        run_together({[&] { race(1); }, [&] { race(2); }});
        require(won == 1, "of two commits to one revision exactly one succeeds");
        const auto next = must_have(store.find_engine(demo, "ada"));
        require(next.revision == record.revision + 1, "the commit makes the next revision");
        record = next;
    }
}

/// Makes the inserts of 40 engines on several threads, of which the store refuses some. Returns the
/// number of those that it takes.
template <store Store>
std::uint32_t insert_together(Store& store,
                              const std::function<change_set(std::uint32_t)>& nth_insert,
                              errc refusal) {
    std::atomic<std::uint32_t> made{0};
    std::vector<std::function<void()>> work;
    for (std::uint32_t thread = 0; thread < 4; ++thread)
        work.emplace_back([&, thread] {
            for (std::uint32_t i = 0; i < 10; ++i) {
                const auto n = thread * 10 + i + 1;
                const auto done = store.commit(nth_insert(n));
                if (done) ++made;
                else require_refused(done, refusal);
            }
        });
    run_together(work);
    return made;
}

template <store Store> void quota_holds_among_threads(Store& store) {
    const auto insert_one = [](std::uint32_t n) { return insert(nth_engine(n), 17); };
    require(insert_together(store, insert_one, errc::quota_exceeded) == 17,
            "as many inserts succeed as the quota allows");
    require(must(store.counts(demo)).total() == 17,
            "as many engines are stored as the quota allows");
}

template <store Store> void memory_quota_holds_among_threads(Store& store) {
    const auto insert_one = [](std::uint32_t n) {
        return batch(reserving(nth_engine(n), 100, 1'750));
    };
    require(insert_together(store, insert_one, errc::quota_exceeded) == 17,
            "as many inserts succeed as find room");
    require(must(store.counts(demo)).reserved_memory_mb == 1'700,
            "no more is reserved than the quota allows");
}

/// Engines that reserve 10 each grow, on several threads, up to a quota.
template <store Store> void growth_holds_the_memory_quota_among_threads(Store& store) {
    constexpr std::uint32_t engines = 4;
    static constexpr std::uint64_t quota = 100; // static, so that no lambda has to capture it
    for (std::uint32_t n = 1; n <= engines; ++n)
        must(store.commit(batch(reserving(nth_engine(n), 10, quota))));
    std::vector<std::function<void()>> work;
    for (std::uint32_t n = 1; n <= engines; ++n)
        work.emplace_back([&store, user = "user" + std::to_string(n)] {
            for (std::uint64_t memory = 11; memory <= 50; ++memory) {
                const auto record = must_have(store.find_engine(demo, user));
                const auto done = store.commit(batch(reserving_anew(record, memory, quota)));
                if (!done) require_refused(done, errc::quota_exceeded);
            }
        });
    run_together(work);
    std::uint64_t sum = 0;
    for (const auto& engine : must(store.list_engines(every_engine(demo))).engines)
        sum += engine->reserved_memory_mb;
    require(sum == quota, "the engines grow until the quota is used up");
    require(must(store.counts(demo)).reserved_memory_mb == sum, "the sum is that of the rows");
}

template <store Store> void ports_are_apart_among_threads(Store& store) {
    const auto insert_one = [](std::uint32_t n) {
        return insert(nth_engine(n), {}, ports(9001, 9023));
    };
    require(insert_together(store, insert_one, errc::port_exhaustion) == 23,
            "as many inserts succeed as there are ports");
    std::set<std::uint16_t> held;
    for (const auto& engine : must(store.list_engines(every_engine(demo))).engines)
        held.insert(engine->port);
    require(held.size() == 23, "each engine holds a port of its own");
}

template <store Store> void one_engine_a_user_among_threads(Store& store) {
    for (std::uint32_t n = 1; n <= commits; n += 2) {
        const auto user = "user" + std::to_string(n);
        std::atomic<int> made{0};
        const auto race = [&](std::uint32_t number) {
            const auto done = store.commit(insert(engine(number, user)));
            if (done) ++made;
            else require_refused(done, errc::engine_already_exists);
        };
        run_together({[&] { race(n); }, [&] { race(n + 1); }});
        require(made == 1, "of two inserts for one user exactly one succeeds");
    }
    require(must(store.list_engines(every_engine(demo))).total == commits / 2,
            "each user has one engine");
}

template <store Store> void prunes_and_commits_go_together(Store& store) {
    const auto write = [&] {
        for (std::uint32_t n = 0; n < commits; ++n)
            must(store.commit(audit({row(demo, 1), row(demo, 1)})));
    };
    std::size_t pruned = 0;
    const auto prune = [&] { pruned += must(store.prune_audit(at(2), 3)); };
    const auto read = [&] {
        const auto page = must(store.audit(every_row(demo)));
        for (std::size_t i = 1; i < page.entries.size(); ++i)
            require(page.entries[i - 1].id == page.entries[i].id + 1, "a page has no gaps");
    };
    read_while(write, {prune, read});
    const auto left = must(store.audit(every_row(demo))).entries.size();
    require(pruned + left == std::size_t{commits} * 2,
            "each row has either been pruned or is still there");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"a reader sees each commit that has returned", readers_see_what_has_returned<Store>},
        {"a reader sees a batch whole or not at all", readers_see_whole_batches<Store>},
        {"of two threads that commit to one revision exactly one succeeds",
         one_of_two_updates_wins<Store>},
        {"threads that insert together do not exceed the quota", quota_holds_among_threads<Store>},
        {"threads that insert together do not exceed the quota of memory",
         memory_quota_holds_among_threads<Store>},
        {"threads that let engines grow together do not exceed the quota of memory",
         growth_holds_the_memory_quota_among_threads<Store>},
        {"threads that insert together hold different ports", ports_are_apart_among_threads<Store>},
        {"of two threads that insert a user's engine exactly one succeeds",
         one_engine_a_user_among_threads<Store>},
        {"audit rows can be pruned while others are added and read",
         prunes_and_commits_go_together<Store>},
    };
}

} // namespace testing::concurrency_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
