#include "catch.hpp"
#include "random_operations.hpp"
#include "temporary_folder.hpp"

#include <roundhouse/store/lmdb.hpp>
#include <roundhouse/store/memory.hpp>
#include <roundhouse/testing/record_text.hpp>
#include <roundhouse/testing/store_conformance/contents.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

using namespace roundhouse;
using namespace roundhouse_tests;
using testing::contents_of;
using testing::difference;
using testing::text_of;

namespace {

/// What a store answers about each thing that there ever was.
template <store Store> std::string found_in(const Store& store, const random_operations& drawn) {
    std::string out;
    for (const auto& product : random_operations::products())
        for (const auto& user : random_operations::users())
            out += text_of(store.find_engine(product, user));
    for (const auto& id : drawn.engine_ids()) out += text_of(store.find_engine_by_id(id));
    for (const auto& hash : drawn.key_hashes()) out += text_of(store.find_product(hash));
    for (const auto& slug : random_operations::slugs())
        out += text_of(store.find_product_named(slug));
    return out;
}

void require_same(const std::string& answer, const std::string& wanted) {
    const auto differs = difference(answer, wanted);
    INFO(differs);
    REQUIRE(differs.empty());
}

/// Asks both stores everything that can be asked, and some of what has arguments without end.
void require_alike(const lmdb_store& store, const memory_store& model, random_operations& drawn) {
    const auto products = random_operations::products();
    require_same(contents_of(store, products), contents_of(model, products));
    require_same(found_in(store, drawn), found_in(model, drawn));
    for (int i = 0; i < 20; ++i) {
        const auto rows = drawn.draw_audit_query(model);
        require_same(text_of(store.audit(rows)), text_of(model.audit(rows)));
        const auto page = drawn.draw_engine_query();
        require_same(text_of(store.list_engines(page)), text_of(model.list_engines(page)));
    }
}

constexpr int steps = 800;
constexpr int steps_between_questions = 40;
constexpr int steps_between_openings = 200;

void drive_both(std::uint32_t seed, const lmdb_options& options) {
    random_operations drawn(seed);
    memory_store model;
    auto store = or_throw(lmdb_store::open(options));
    for (int step = 1; step <= steps; ++step) {
        const auto what = drawn.next(model);
        CAPTURE(seed, step, text_of(what));
        const auto answer = carry_out(*store, what);
        require_same(answer, carry_out(model, what));
        if (step % steps_between_questions == 0) require_alike(*store, model, drawn);
        if (step % steps_between_openings != 0) continue;
        REQUIRE(or_throw(store->verify()).problems.empty());
        store.reset(); // lets go of the folder
        store = or_throw(lmdb_store::open(options));
        require_alike(*store, model, drawn);
    }
}

} // namespace

TEST_CASE("the LMDB store answers what the memory store does, whatever is done to both") {
    const auto seed = GENERATE(range(1U, 5U));
    const temporary_folder folder;
    lmdb_options options;
    options.folder = folder.path();
    drive_both(seed, options);
}

TEST_CASE("the LMDB store answers what the memory store does while its map grows") {
    const temporary_folder folder;
    lmdb_options options;
    options.folder = folder.path();
    options.map_size = std::size_t{256} << 10U;
    drive_both(99, options);
}
