#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

/// What a store promises of host ports: at most one engine holds one, until its row is gone.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::port_cases {

using namespace samples;

/// The engine that an insert or update made.
template <store Store> engine_record made(Store& kept, const change_set& set) {
    const auto done = must(kept.commit(set));
    require(done.engines.size() == 1, "a commit tells the engine that it made");
    return *done.engines.front();
}

template <store Store> void ports_differ_and_run_out(Store& kept) {
    std::set<std::uint16_t> held;
    for (std::uint32_t n = 1; n <= 4; ++n) {
        const auto& owner = n % 2 == 0 ? demo : other;
        const auto user = "user" + std::to_string(n);
        const auto record = made(kept, insert(engine(n, user, owner), {}, ports(9001, 9004)));
        held.insert(record.port);
        require_same(must_have(kept.find_engine(owner, user)), record, "the port is kept");
    }
    require(held == std::set<std::uint16_t>{9001, 9002, 9003, 9004}, "each port is held once");
    require_refused(kept.commit(insert(engine(5, "eve"), {}, ports(9001, 9004))),
                    errc::port_exhaustion);
    require(must(kept.find_engine(demo, "eve")) == nullptr, "without a port there is no engine");
    must(kept.commit(insert(engine(5, "eve"), {}, ports(9004, 9005))));
}

template <store Store> void the_last_port_can_be_held(Store& kept) {
    const auto first = made(kept, insert(engine(1, "ada"), {}, ports(65534, 65535)));
    const auto second = made(kept, insert(engine(2, "bob"), {}, ports(65534, 65535)));
    require(first.port + second.port == 65534 + 65535, "both are held");
    require_refused(kept.commit(insert(engine(3, "eve"), {}, ports(65535, 65535))),
                    errc::port_exhaustion);
}

template <store Store> void without_a_request_no_port_is_held(Store& kept) {
    require(made(kept, insert(engine(1, "ada"))).port == 0, "none was asked for");
    const auto held = made(kept, update(must_have(kept.find_engine(demo, "ada")), ports(1, 1)));
    require(held.port == 1, "an update may ask");
    require(made(kept, update(held)).port == 1, "an update that does not ask keeps it");
    require_refused(kept.commit(insert(engine(2, "bob"), {}, ports(1, 1))), errc::port_exhaustion);
}

template <store Store> void a_records_own_port_is_not_looked_at(Store& kept) {
    auto record = engine(1, "ada");
    record.port = 9009;
    require(made(kept, insert(record)).port == 0, "none was asked for");
    record.user_id = "bob";
    record.id = numbered(2);
    record.port = 9001;
    record = made(kept, insert(record, {}, ports(9001, 9002)));
    const auto held = record.port;
    record.port = 9009;
    record = made(kept, update(record));
    require(record.port == held, "an update that does not ask changes no port");
    record.port = held == 9001 ? 9002 : 9001;
    require(made(kept, update(record, ports(9001, 9002))).port == held,
            "the port that is kept is the one that is held");
    must(kept.commit(insert(engine(3, "eve"), {}, ports(9001, 9002))));
    must(kept.commit(insert(engine(4, "joe"), {}, ports(9009, 9009))));
}

template <store Store> void erase_frees_the_port(Store& kept) {
    const auto held = made(kept, insert(engine(1, "ada"), {}, ports(9001, 9001)));
    require_refused(kept.commit(insert(engine(2, "bob"), {}, ports(9001, 9001))),
                    errc::port_exhaustion);
    must(kept.commit(erase(held)));
    require(made(kept, insert(engine(2, "bob"), {}, ports(9001, 9001))).port == 9001,
            "the freed port is held again");
}

template <store Store> void ports_are_taken_in_turn(Store& kept) {
    for (std::uint32_t n = 1; n <= 7; ++n) {
        const auto old = made(kept, insert(engine(n, "ada"), {}, ports(9001, 9003)));
        must(kept.commit(erase(old)));
        const auto next = made(kept, insert(engine(n, "bob"), {}, ports(9001, 9003)));
        require(next.port != old.port, "a port just freed is not the next one taken");
        must(kept.commit(erase(next)));
    }
}

template <store Store> void strangers_ports_are_passed_over(Store& kept) {
    const auto only_second = ports(9001, 9003, [](std::uint16_t port) { return port == 9002; });
    require(made(kept, insert(engine(1, "ada"), {}, only_second)).port == 9002,
            "the one that is usable");
    require_refused(kept.commit(insert(engine(2, "bob"), {}, only_second)), errc::port_exhaustion);
    const auto none = ports(9001, 9003, [](std::uint16_t) { return false; });
    require_refused(kept.commit(insert(engine(2, "bob"), {}, none)), errc::port_exhaustion);
}

template <store Store> void held_ports_are_not_asked_about(Store& kept) {
    const auto held = made(kept, insert(engine(1, "ada"), {}, ports(9001, 9004))).port;
    std::set<std::uint16_t> asked;
    const auto nowhere = ports(9001, 9004, [&](std::uint16_t port) {
        asked.insert(port);
        return false;
    });
    require_refused(kept.commit(insert(engine(2, "bob"), {}, nowhere)), errc::port_exhaustion);
    std::set<std::uint16_t> wanted{9001, 9002, 9003, 9004};
    wanted.erase(held);
    require(asked == wanted, "each port of the range that no engine holds is asked about");
}

template <store Store> void usable_ports_are_kept(Store& kept) {
    auto record = made(kept, insert(engine(1, "ada"), {}, ports(9001, 9003)));
    const auto first = record.port;
    int asked = 0;
    const auto counted = ports(9001, 9003, [&](std::uint16_t port) {
        ++asked;
        return port == first;
    });
    record = made(kept, update(record, counted));
    require(record.port == first && asked > 0, "it is asked about, and kept");
}

template <store Store> void unusable_ports_are_replaced(Store& kept) {
    auto record = made(kept, insert(engine(1, "ada"), {}, ports(9001, 9002)));
    const auto first = record.port;
    const auto not_first = ports(9001, 9002, [=](std::uint16_t port) { return port != first; });
    record = made(kept, update(record, not_first));
    require(record.port != first && record.port != 0, "another port is held");
    require(made(kept, insert(engine(2, "bob"), {}, ports(first, first))).port == first,
            "the first one is free");
}

template <store Store> void ports_out_of_range_are_replaced(Store& kept) {
    auto record = made(kept, insert(engine(1, "ada"), {}, ports(9001, 9002)));
    record = made(kept, update(record, ports(9100, 9100)));
    require(record.port == 9100, "it is moved into the range");
    must(kept.commit(insert(engine(2, "bob"), {}, ports(9001, 9002))));
    must(kept.commit(insert(engine(3, "eve"), {}, ports(9001, 9002))));
    require_refused(kept.commit(update(record, ports(9001, 9002))), errc::port_exhaustion);
    require_same(must_have(kept.find_engine(demo, "ada")), record,
                 "a refused move changes nothing");
    require_refused(kept.commit(insert(engine(4, "joe"), {}, ports(9100, 9100))),
                    errc::port_exhaustion);
}

template <store Store> void a_batch_frees_and_takes_ports(Store& kept) {
    change_set set = insert(engine(1, "ada"), {}, ports(9001, 9002));
    set.changes.emplace_back(insert_engine{engine(2, "bob"), {}, ports(9001, 9002)});
    const auto both = must(kept.commit(set));
    require(both.engines.size() == 2 && both.engines[0]->port + both.engines[1]->port == 18003,
            "two engines of a batch hold two ports");
    auto swap = erase(*both.engines[0]);
    swap.changes.emplace_back(insert_engine{engine(3, "eve"), {}, ports(9001, 9002)});
    const auto next = made(kept, swap);
    require(next.port == both.engines[0]->port, "what the batch frees it can take");
    require_refused(kept.commit(insert(engine(4, "joe"), {}, ports(9001, 9002))),
                    errc::port_exhaustion);
}

template <store Store> void failed_batches_hold_no_port(Store& kept) {
    const auto old = made(kept, insert(engine(1, "ada"), {}, ports(9001, 9003)));
    must(kept.commit(erase(old)));
    change_set failing = insert(engine(2, "bob"), {}, ports(9001, 9003));
    failing.changes.emplace_back(insert_engine{engine(3, "eve"), {}, ports(9001, 9003)});
    failing.changes.emplace_back(insert_engine{engine(4, "eve"), {}, {}});
    require_refused(kept.commit(failing), errc::engine_already_exists);
    std::set<std::uint16_t> held;
    for (std::uint32_t n = 1; n <= 3; ++n) {
        const auto user = "user" + std::to_string(n);
        held.insert(made(kept, insert(engine(n, user), {}, ports(9001, 9003))).port);
        require(n == 3 || !held.contains(old.port), "a failed batch takes nobody's turn");
    }
    require(held.size() == 3, "a failed batch holds no port");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"each port of a range is held by one engine, and then there is none left",
         ports_differ_and_run_out<Store>},
        {"the highest port there is can be held", the_last_port_can_be_held<Store>},
        {"a port is held only if one is asked for", without_a_request_no_port_is_held<Store>},
        {"a record does not say which port its engine holds",
         a_records_own_port_is_not_looked_at<Store>},
        {"an erase frees the engine's port", erase_frees_the_port<Store>},
        {"ports are taken in turn", ports_are_taken_in_turn<Store>},
        {"a port that a stranger has is passed over", strangers_ports_are_passed_over<Store>},
        {"only ports that no engine holds are asked about", held_ports_are_not_asked_about<Store>},
        {"an engine keeps its port while that is usable", usable_ports_are_kept<Store>},
        {"an engine gets another port when a stranger has taken its own, which is free then",
         unusable_ports_are_replaced<Store>},
        {"an engine gets another port when the range has changed, or keeps all if there is none",
         ports_out_of_range_are_replaced<Store>},
        {"a batch frees and takes ports one change after the other",
         a_batch_frees_and_takes_ports<Store>},
        {"a batch that fails holds no port and takes nobody's turn",
         failed_batches_hold_no_port<Store>},
    };
}

} // namespace testing::port_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
