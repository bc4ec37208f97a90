// The cost of a fleet of a given size: the time of a start that finds it, the memory per engine
// beside the store's own pages, and the calls about the whole fleet.
//
//   bench_fleet_measure [--engines N] [--stopped] [--history ROWS] [--runs N] [--beside N]
// --history is the number of audit rows per engine. With --beside, the calls alternate with those
// to a second fleet of that size. Prints a line of JSON per measurement.
#include "../support/stopwatch.hpp"
#include "found_fleet.hpp"

#include <roundhouse/http/api.hpp>

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <future>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace roundhouse_bench;

constexpr std::size_t calls_each = 1'000;

struct sizes {
    std::size_t engines = 50'000;
    engine_status status = engine_status::running;
    std::size_t history = 0;
    int runs = 5;
    std::size_t beside = 0; ///< Engines of a second fleet; none if 0.
};

/// A fleet as an earlier orchestrator left it.
struct left_fleet {
    explicit left_fleet(const sizes& of);

    store_folder folder;
    crypto::key_ring keys = make_keys();
    std::shared_ptr<memory_backend> backend = std::make_shared<memory_backend>();
    std::string platform_key;
};

/// Writes audit rows, spread over the time for which rows are kept. The rows of one user lie on
/// different pages, as they would over time; but users are taken in small groups, so that a batch
/// does not write to every page of the indexes.
void write_history(lmdb_store& store, const product& owner, std::size_t rows_each) {
    constexpr std::size_t batch = 20'000;
    std::vector<std::pair<uuid, std::string>> engines;
    or_throw(store.for_each_engine([&](const result<engine_ptr>& row) {
        const auto& engine = or_throw(row);
        engines.emplace_back(engine->id, engine->user_id);
    }));
    const auto total = static_cast<duration::rep>(engines.size() * rows_each);
    const duration kept = std::chrono::days{settings{}.audit_retention_days - 1};
    const auto now = std::chrono::time_point_cast<duration>(std::chrono::system_clock::now());
    duration::rep written = 0;
    const auto in_turn = std::max<std::size_t>(batch / rows_each, 1);
    for (std::size_t first = 0; first < engines.size(); first += in_turn) {
        const auto end = std::min(first + in_turn, engines.size());
        change_set set;
        for (std::size_t turn = 0; turn < rows_each; ++turn) {
            for (auto n = first; n < end; ++n) {
                audit_entry row;
                row.timestamp = now - kept + kept * ++written / total;
                row.product_id = owner.id;
                row.engine_id = engines[n].first;
                row.user_id = engines[n].second;
                row.action = turn % 2 == 0 ? audit_action::sleep : audit_action::wake;
                row.actor = turn % 2 == 0 ? "system" : owner.slug;
                row.from = turn % 2 == 0 ? engine_status::running : engine_status::sleeping;
                row.to = turn % 2 == 0 ? engine_status::sleeping : engine_status::running;
                row.took = duration{12};
                set.audit.push_back(std::move(row));
            }
        }
        or_throw(store.commit(set));
    }
}

left_fleet::left_fleet(const sizes& of) {
    const auto store = folder.open();
    fleet_plan plan;
    plan.engines = of.engines;
    plan.status = of.status;
    plan.batch = 10'000;
    platform_key = fill(*store, *backend, keys, plan);
    const auto owner = or_throw(store->find_product(crypto::sha256(platform_key)));
    if (of.history > 0) write_history(*store, *owner, of.history);
}

/// Prints the beginning of a line of JSON; the caller prints the figures and the end.
void print_start(const char* measure, const sizes& of) {
    std::printf(R"({"measure":"%s","engines":%zu,"status":"%.*s","history":%zu)", measure,
                of.engines, static_cast<int>(name_of(of.status).size()), name_of(of.status).data(),
                of.history);
}

/// Measures the time from opening the store until calls are served. The store's file is in the page
/// cache from before.
void measure_start(const left_fleet& left, const sizes& of) {
    std::vector<double> serving_ms;
    for (int run = 0; run < of.runs; ++run) {
        const auto began = std::chrono::steady_clock::now();
        const found_fleet found(left.folder.open(), left.backend, left.keys, settings{});
        or_throw(found.orchestrator()->async_recover(wait));
        serving_ms.push_back(milliseconds(std::chrono::steady_clock::now() - began).count());
    }
    print_start("start", of);
    std::printf(R"(,"serving_ms":%.1f})"
                "\n",
                median(serving_ms));
}

struct memory_use {
    double heap = 0;
    double resident = 0; ///< Without the store's pages, which are mapped from a file.
};

memory_use memory_now() {
    const auto heap = ::mallinfo2();
    memory_use out{static_cast<double>(heap.uordblks + heap.hblkhd), 0};
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
        if (word == "RssAnon:" && status >> out.resident) out.resident *= 1024;
    return out;
}

/// Prints the memory per engine that was added since `before`.
void print_memory(const char* when, const memory_use& before, const sizes& of) {
    const auto now = memory_now();
    const auto each = static_cast<double>(of.engines);
    print_start("memory", of);
    std::printf(R"(,"when":"%s","heap_bytes":%.1f,"resident_bytes":%.1f})"
                "\n",
                when, (now.heap - before.heap) / each, (now.resident - before.resident) / each);
}

void admit_each(fleet& orchestrator, const product_ptr& owner, const sizes& of) {
    for (std::size_t n = 0; n < of.engines; ++n) {
        const auto answer = orchestrator.try_admit(owner, user_of(n), {});
        if (!answer || !or_throw(*answer).engine)
            throw std::runtime_error(user_of(n) + " is not admitted");
    }
}

/// Makes calls as a transport does.
class caller {
public:
    caller(std::shared_ptr<fleet> orchestrator, std::string platform_key)
        : api_(orchestrator->calls(), {}), platform_key_(std::move(platform_key)) {}

    void get(const std::string& target) const {
        http::request request;
        request.method = "GET";
        request.target = target;
        request.platform_key = platform_key_;
        // Shared, because this thread may go on before `set_value` has returned.
        const auto later = std::make_shared<std::promise<http::reply>>();
        auto answer = api_.handle(request,
                                  [later](http::reply made) { later->set_value(std::move(made)); });
        if (!answer) answer = later->get_future().get();
        if (answer->status != 200) throw std::runtime_error(target + ": " + answer->body);
    }

private:
    http::api api_;
    std::string platform_key_;
};

/// A fleet that answers calls, and the times that they took.
struct called_fleet {
    sizes of;
    caller calls;
    std::vector<double> us = {};
};

void measure_calls(std::vector<called_fleet>& fleets) {
    std::mt19937_64 random(1); // the same users in every run
    for (const std::string target :
         {"/status", "/metrics", "/engines?limit=100", "/audit?user_id="}) {
        for (std::size_t n = 0; n < calls_each; ++n) {
            for (auto& called : fleets) {
                const auto user = target.ends_with('=') ? user_of(random() % called.of.engines)
                                                        : "";
                called.us.push_back(1'000 *
                                    time_of([&] { called.calls.get(target + user); }).count());
            }
        }
        for (auto& called : fleets) {
            print_start("call", called.of);
            std::printf(R"(,"target":"%s","median_us":%.2f})"
                        "\n",
                        target.c_str(), median(std::exchange(called.us, {})));
        }
    }
}

/// Measures the calls to a fleet, alternating with those to a second fleet if `of` says so.
void measure_calls(const found_fleet& found, const left_fleet& left, const sizes& of) {
    std::vector<called_fleet> fleets;
    fleets.push_back({of, {found.orchestrator(), left.platform_key}});
    if (of.beside == 0) return measure_calls(fleets);
    auto smaller = of;
    smaller.engines = of.beside;
    const left_fleet other(smaller);
    const found_fleet beside(other.folder.open(), other.backend, other.keys, quiet_settings());
    or_throw(beside.orchestrator()->async_recover(wait));
    fleets.push_back({smaller, {beside.orchestrator(), other.platform_key}});
    measure_calls(fleets);
    fleets.pop_back(); // destroyed before the fleet that it calls
}

void measure(const sizes& of) {
    const left_fleet left(of);
    measure_start(left, of);

    const auto store = left.folder.open();
    const auto owner = or_throw(store->find_product(crypto::sha256(left.platform_key)));
    ::malloc_trim(0); // so that memory freed before is not reused unseen
    const auto before = memory_now();
    const found_fleet found(store, left.backend, left.keys, quiet_settings());
    const auto took = time_of([&] { or_throw(found.orchestrator()->async_recover(wait)); });
    print_start("found", of);
    std::printf(R"(,"all_found_ms":%.1f})"
                "\n",
                took.count());
    print_memory("found", before, of);
    if (of.status == engine_status::running) {
        admit_each(*found.orchestrator(), owner, of);
        print_memory("admitted", before, of);
    }
    measure_calls(found, left, of);
}

} // namespace

int main(int argc, char** argv) {
    sizes of;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const bool more = i + 1 < argc;
        if (word == "--stopped") of.status = engine_status::stopped;
        else if (word == "--engines" && more) of.engines = std::strtoul(argv[++i], nullptr, 10);
        else if (word == "--history" && more) of.history = std::strtoul(argv[++i], nullptr, 10);
        else if (word == "--beside" && more) of.beside = std::strtoul(argv[++i], nullptr, 10);
        else if (word == "--runs" && more) of.runs = std::atoi(argv[++i]);
    }
    try {
        measure(of);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_fleet_measure: %s\n", problem.what());
        return 1;
    }
    return 0;
}
