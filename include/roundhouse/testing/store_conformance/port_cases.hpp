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

/// Cases about host ports: at most one engine holds a port, until its row is erased.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::port_cases {

using namespace samples;

/// Commits one insert or update. Returns the stored row.
template <store Store> engine_record made(Store& store, const change_set& set) {
    const auto done = must(store.commit(set));
    require(done.engines.size() == 1, "a commit returns the row that it put");
    return *done.engines.front();
}

template <store Store> void ports_differ_and_run_out(Store& store) {
    std::set<std::uint16_t> held;
    for (std::uint32_t n = 1; n <= 4; ++n) {
        const auto& owner = n % 2 == 0 ? demo : other;
        const auto user = "user" + std::to_string(n);
        const auto record = made(store, insert(engine(n, user, owner), {}, ports(9001, 9004)));
        held.insert(record.port);
        require_same(must_have(store.find_engine(owner, user)), record,
                     "the returned row is the stored one");
    }
    require(held == std::set<std::uint16_t>{9001, 9002, 9003, 9004}, "each port is held once");
    require_refused(store.commit(insert(engine(5, "eve"), {}, ports(9001, 9004))),
                    errc::port_exhaustion);
    require(must(store.find_engine(demo, "eve")) == nullptr,
            "an insert without a port is refused whole");
    must(store.commit(insert(engine(5, "eve"), {}, ports(9004, 9005))));
}

template <store Store> void the_last_port_can_be_held(Store& store) {
    const auto first = made(store, insert(engine(1, "ada"), {}, ports(65534, 65535)));
    const auto second = made(store, insert(engine(2, "bob"), {}, ports(65534, 65535)));
    require(first.port + second.port == 65534 + 65535, "both ports are held");
    require_refused(store.commit(insert(engine(3, "eve"), {}, ports(65535, 65535))),
                    errc::port_exhaustion);
}

template <store Store> void without_a_request_no_port_is_held(Store& store) {
    require(made(store, insert(engine(1, "ada"))).port == 0, "without a request no port is held");
    const auto held = made(store, update(must_have(store.find_engine(demo, "ada")), ports(1, 1)));
    require(held.port == 1, "an update may request a port");
    require(made(store, update(held)).port == 1, "an update without a request keeps the port");
    require_refused(store.commit(insert(engine(2, "bob"), {}, ports(1, 1))), errc::port_exhaustion);
}

template <store Store> void a_records_own_port_is_not_looked_at(Store& store) {
    auto record = engine(1, "ada");
    record.port = 9009;
    require(made(store, insert(record)).port == 0, "without a request no port is held");
    record.user_id = "bob";
    record.id = numbered(2);
    record.port = 9001;
    record = made(store, insert(record, {}, ports(9001, 9002)));
    const auto held = record.port;
    record.port = 9009;
    record = made(store, update(record));
    require(record.port == held, "an update without a request does not change the port");
    record.port = held == 9001 ? 9002 : 9001;
    require(made(store, update(record, ports(9001, 9002))).port == held,
            "the engine keeps the port that it holds, not the one in the record");
    must(store.commit(insert(engine(3, "eve"), {}, ports(9001, 9002))));
    must(store.commit(insert(engine(4, "joe"), {}, ports(9009, 9009))));
}

template <store Store> void erase_frees_the_port(Store& store) {
    const auto held = made(store, insert(engine(1, "ada"), {}, ports(9001, 9001)));
    require_refused(store.commit(insert(engine(2, "bob"), {}, ports(9001, 9001))),
                    errc::port_exhaustion);
    must(store.commit(erase(held)));
    require(made(store, insert(engine(2, "bob"), {}, ports(9001, 9001))).port == 9001,
            "a freed port can be held again");
}

template <store Store> void ports_are_taken_in_turn(Store& store) {
    for (std::uint32_t n = 1; n <= 7; ++n) {
        const auto old = made(store, insert(engine(n, "ada"), {}, ports(9001, 9003)));
        must(store.commit(erase(old)));
        const auto next = made(store, insert(engine(n, "bob"), {}, ports(9001, 9003)));
        require(next.port != old.port, "a port that was just freed is not the next one taken");
        must(store.commit(erase(next)));
    }
}

template <store Store> void strangers_ports_are_passed_over(Store& store) {
    const auto only_second = ports(9001, 9003, [](std::uint16_t port) { return port == 9002; });
    require(made(store, insert(engine(1, "ada"), {}, only_second)).port == 9002,
            "the usable port is held");
    require_refused(store.commit(insert(engine(2, "bob"), {}, only_second)), errc::port_exhaustion);
    const auto none = ports(9001, 9003, [](std::uint16_t) { return false; });
    require_refused(store.commit(insert(engine(2, "bob"), {}, none)), errc::port_exhaustion);
}

template <store Store> void held_ports_are_not_asked_about(Store& store) {
    const auto held = made(store, insert(engine(1, "ada"), {}, ports(9001, 9004))).port;
    std::set<std::uint16_t> asked;
    const auto nowhere = ports(9001, 9004, [&](std::uint16_t port) {
        asked.insert(port);
        return false;
    });
    require_refused(store.commit(insert(engine(2, "bob"), {}, nowhere)), errc::port_exhaustion);
    std::set<std::uint16_t> wanted{9001, 9002, 9003, 9004};
    wanted.erase(held);
    require(asked == wanted, "`usable` is called for each port of the range that no engine holds");
}

template <store Store> void usable_ports_are_kept(Store& store) {
    auto record = made(store, insert(engine(1, "ada"), {}, ports(9001, 9003)));
    const auto first = record.port;
    int asked = 0;
    const auto counted = ports(9001, 9003, [&](std::uint16_t port) {
        ++asked;
        return port == first;
    });
    record = made(store, update(record, counted));
    require(record.port == first && asked > 0,
            "`usable` is called for the present port, which is kept");
}

template <store Store> void unusable_ports_are_replaced(Store& store) {
    auto record = made(store, insert(engine(1, "ada"), {}, ports(9001, 9002)));
    const auto first = record.port;
    const auto not_first = ports(9001, 9002, [=](std::uint16_t port) { return port != first; });
    record = made(store, update(record, not_first));
    require(record.port != first && record.port != 0, "another port is held instead");
    require(made(store, insert(engine(2, "bob"), {}, ports(first, first))).port == first,
            "the first port is free");
}

template <store Store> void ports_out_of_range_are_replaced(Store& store) {
    auto record = made(store, insert(engine(1, "ada"), {}, ports(9001, 9002)));
    record = made(store, update(record, ports(9100, 9100)));
    require(record.port == 9100, "the port is replaced by one of the new range");
    must(store.commit(insert(engine(2, "bob"), {}, ports(9001, 9002))));
    must(store.commit(insert(engine(3, "eve"), {}, ports(9001, 9002))));
    require_refused(store.commit(update(record, ports(9001, 9002))), errc::port_exhaustion);
    require_same(must_have(store.find_engine(demo, "ada")), record,
                 "a refused update changes nothing");
    require_refused(store.commit(insert(engine(4, "joe"), {}, ports(9100, 9100))),
                    errc::port_exhaustion);
}

template <store Store> void a_batch_frees_and_takes_ports(Store& store) {
    change_set set = insert(engine(1, "ada"), {}, ports(9001, 9002));
    set.changes.emplace_back(insert_engine{engine(2, "bob"), {}, ports(9001, 9002)});
    const auto both = must(store.commit(set));
    require(both.engines.size() == 2 && both.engines[0]->port + both.engines[1]->port == 18003,
            "two engines of a batch hold two ports");
    auto swap = erase(*both.engines[0]);
    swap.changes.emplace_back(insert_engine{engine(3, "eve"), {}, ports(9001, 9002)});
    const auto next = made(store, swap);
    require(next.port == both.engines[0]->port,
            "a port that the batch frees can be held by the batch");
    require_refused(store.commit(insert(engine(4, "joe"), {}, ports(9001, 9002))),
                    errc::port_exhaustion);
}

template <store Store> void a_batch_hands_a_port_over(Store& store) {
    const auto ada = made(store, insert(engine(1, "ada"), {}, ports(9001, 9001)));
    auto set = update(ada, ports(9002, 9002));
    set.changes.emplace_back(insert_engine{engine(2, "bob"), {}, ports(9001, 9001)});
    const auto both = must(store.commit(set));
    require(both.engines.at(0)->port == 9002 && both.engines.at(1)->port == 9001,
            "the second engine holds the port that the first one held");
    for (const auto& row : both.engines)
        require_same(must_have(store.find_engine_by_id(row->id)), *row, "the ports are stored");
    must(store.commit(erase(*both.engines.at(0))));
    require_refused(store.commit(insert(engine(3, "eve"), {}, ports(9001, 9001))),
                    errc::port_exhaustion);
    must(store.commit(insert(engine(3, "eve"), {}, ports(9002, 9002))));
}

template <store Store> void failed_batches_hold_no_port(Store& store) {
    const auto old = made(store, insert(engine(1, "ada"), {}, ports(9001, 9003)));
    must(store.commit(erase(old)));
    change_set failing = insert(engine(2, "bob"), {}, ports(9001, 9003));
    failing.changes.emplace_back(insert_engine{engine(3, "eve"), {}, ports(9001, 9003)});
    failing.changes.emplace_back(insert_engine{engine(4, "eve"), {}, {}});
    require_refused(store.commit(failing), errc::engine_already_exists);
    std::set<std::uint16_t> held;
    for (std::uint32_t n = 1; n <= 3; ++n) {
        const auto user = "user" + std::to_string(n);
        held.insert(made(store, insert(engine(n, user), {}, ports(9001, 9003))).port);
        require(n == 3 || !held.contains(old.port),
                "a refused batch does not advance the search for ports");
    }
    require(held.size() == 3, "a refused batch holds no port");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"each port of a range is held by one engine, until none is left",
         ports_differ_and_run_out<Store>},
        {"the highest port number can be held", the_last_port_can_be_held<Store>},
        {"a port is held only on request", without_a_request_no_port_is_held<Store>},
        {"the port in the record of a change is ignored",
         a_records_own_port_is_not_looked_at<Store>},
        {"an erase frees the engine's port", erase_frees_the_port<Store>},
        {"ports are taken in turn", ports_are_taken_in_turn<Store>},
        {"a port that a stranger has is not given", strangers_ports_are_passed_over<Store>},
        {"a store calls `usable` only for ports that no engine holds",
         held_ports_are_not_asked_about<Store>},
        {"an engine keeps its port while that is usable", usable_ports_are_kept<Store>},
        {"an engine gets another port if a stranger has taken its own, which is then free",
         unusable_ports_are_replaced<Store>},
        {"an engine gets another port if the range has changed, or keeps its own if none is left",
         ports_out_of_range_are_replaced<Store>},
        {"a batch frees and takes ports one change after the other",
         a_batch_frees_and_takes_ports<Store>},
        {"a batch can give the port that an engine gives up to another engine",
         a_batch_hands_a_port_over<Store>},
        {"a refused batch holds no port and does not advance the search",
         failed_batches_hold_no_port<Store>},
    };
}

} // namespace testing::port_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
